import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue import checks
from duologue.checks.text import sentences_in
from duologue.config.patterns import SEARCH_SECONDS
from duologue.vocabulary import CheckStatus, Scope

WORDS = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=6)


@pytest.fixture(name="outcome")
def outcome_fixture(build: Any) -> Any:
    async def evaluate(type: str, params: dict[str, Any], *answers: str) -> Any:
        lines = [line for answer in answers for line in ("u: x", f"a: {answer}")]
        return await checks.create(type, params, scope=Scope.CONVERSATION).evaluate(build(*lines))

    return evaluate


def run(coroutine: Any) -> Any:
    """Nothing in these checks waits, so that one step is all."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


@given(st.text(min_size=1), st.text(), st.text())
def test_what_contains_finds_excludes_refuses(build: Any, pattern: str, before: str, after: str) -> None:
    text = before + pattern + after
    given_ = build("u: x", {"role": "assistant", "content": text})
    for mode in ("contains", "contains_any"):
        found = run(checks.create(mode, {"patterns": [pattern]}, scope=Scope.CONVERSATION).evaluate(given_))
        assert found.status is CheckStatus.PASSED
    refused = run(checks.create("content_excludes", {"patterns": [pattern]}).evaluate(given_))
    assert refused.status is CheckStatus.FAILED


@given(st.lists(WORDS, min_size=1, max_size=6), WORDS)
def test_a_word_is_found_exactly_where_it_stands_alone(build: Any, words: list[str], wanted: str) -> None:
    given_ = build("u: x", {"role": "assistant", "content": " ".join(words)})
    outcome = run(checks.create("banned_words", {"words": [wanted]}).evaluate(given_))
    assert (outcome.status is CheckStatus.FAILED) == (wanted in words)


@given(st.text(), st.integers(1, 50))
def test_lengths_are_characters(build: Any, text: str, limit: int) -> None:
    given_ = build("u: x", {"role": "assistant", "content": text})
    longest = run(checks.create("max_length", {"max": limit}).evaluate(given_))
    shortest = run(checks.create("min_length", {"min": limit}).evaluate(given_))
    assert (longest.status is CheckStatus.PASSED) == (len(text) <= limit)
    assert (shortest.status is CheckStatus.PASSED) == (len(text) >= limit)


@given(st.lists(WORDS.filter(lambda word: len(word) > 4), min_size=1, max_size=8), st.sampled_from(".!?"))
def test_sentences_are_counted(words: list[str], mark: str) -> None:
    assert sentences_in(" ".join(f"{word}{mark}" for word in words)) == len(words)


@given(st.text())
def test_counting_sentences_never_fails(text: str) -> None:
    assert 0 <= sentences_in(text) <= max(1, len(text))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("...", 0),
        ("no end mark", 1),
        ("It costs 3.50 euros. Fine.", 2),
        ("Ask Dr. Smith or J. Doe.", 1),
        ("So did I. Really?! Yes…", 3),
        ('He said "go." She went.', 2),
        ("你好。再见！", 2),
        ("See app.py for more", 1),
    ],
)
def test_marks_that_end_no_sentence(text: str, count: int) -> None:
    assert sentences_in(text) == count


@pytest.mark.parametrize(
    ("word", "text", "there"),
    [
        ("cat", "concatenate", False),
        ("cat", "a CAT!", True),
        ("C++", "I like C++.", True),
        ("damn it", "damn items", False),
        ("a.b", "axb", False),
        ("naïve", "Naïve idea", True),
        ("ass", "класс ass", True),
    ],
)
async def test_word_boundaries(outcome: Any, word: str, text: str, there: bool) -> None:
    found = await outcome("banned_words", {"words": [word]}, text)
    assert (found.status is CheckStatus.FAILED) == there


async def test_four_umlauts_are_four_characters(outcome: Any) -> None:
    assert (await outcome("max_length", {"max": 4}, "äöüß")).status is CheckStatus.PASSED


async def test_every_violation_is_reported_with_its_place(outcome: Any) -> None:
    found = await outcome("content_excludes", {"patterns": ["bad", "worse"]}, "a bad day", "fine", "worse and bad")
    assert [(item["turn_index"], item["pattern"]) for item in found.details["violations"]] == [
        (0, "bad"),
        (2, "bad"),
        (2, "worse"),
    ]
    assert found.details["violations"][0]["evidence"] == "a bad day"
    assert found.message_ids == ["m2", "m6"]


async def test_contains_over_a_conversation_finds_each_text_anywhere(outcome: Any) -> None:
    found = await outcome("contains", {"patterns": ["apple", "pear"]}, "an apple", "a pear")
    assert (found.status, found.message_ids) == (CheckStatus.PASSED, ["m2", "m4"])


async def test_lengths_over_a_conversation_hold_for_every_answer(outcome: Any) -> None:
    assert (await outcome("max_length", {"max": 3}, "long answer", "ok")).status is CheckStatus.FAILED
    assert (await outcome("min_length", {"min": 3}, "long answer", "ok")).status is CheckStatus.FAILED
    assert (await outcome("max_sentences", {"max": 1}, "One. Two.", "ok")).status is CheckStatus.FAILED


async def test_the_answer_of_a_turn_is_its_last_text(build: Any) -> None:
    given_ = build("u: x", "a: let me look", ("search", {}, "ok"), "a: found it", scope=Scope.TURN)
    for pattern, status in (("found", CheckStatus.PASSED), ("look", CheckStatus.FAILED)):
        check = checks.create("contains", {"patterns": [pattern]}, scope=Scope.TURN)
        assert (await check.evaluate(given_)).status is status
    anywhere = checks.create("contains", {"patterns": ["look"]}, scope=Scope.CONVERSATION)
    assert (await anywhere.evaluate(given_)).status is CheckStatus.PASSED
    banned = checks.create("content_excludes", {"patterns": ["look"]}, scope=Scope.TURN)
    assert (await banned.evaluate(given_)).status is CheckStatus.FAILED


async def test_a_pattern_that_takes_too_long_is_an_error(outcome: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SEARCH_SECONDS < 1
    monkeypatch.setattr("duologue.config.patterns.SEARCH_SECONDS", 0.02)
    found = await outcome("regex", {"pattern": r"^(a|aa|b?a)+(x|y)*$"}, "a" * 60 + "!")
    assert found.status is CheckStatus.ERROR, found
    assert "took longer than 0.02 s" in found.explanation


async def test_regex_must_not_match_anything_that_was_said(build: Any) -> None:
    check = checks.create("regex", {"pattern": r"\d{4}", "expect_match": False}, scope=Scope.TURN)
    quiet = build("u: 1234", "a: first", "a: last", scope=Scope.TURN)
    loud = build("u: x", "a: code 1234", "a: last", scope=Scope.TURN)
    assert (await check.evaluate(quiet)).status is CheckStatus.PASSED
    assert (await check.evaluate(loud)).details["match"] == "1234"
    assert re.fullmatch(r"m\d", (await check.evaluate(loud)).message_ids[0])


@pytest.mark.parametrize(
    ("word", "text", "there"),
    [
        ("cafe", "the cafe\u0301 is open", False),
        ("caf\u00e9", "the cafe\u0301 is open", True),
        ("cafe\u0301", "the caf\u00e9 is open", True),
        ("हिन", "यह हिन्दी है", False),
        ("हिन्दी", "हिन्दीभाषा", False),
        ("हिन्दी", "यह हिन्दी है", True),
        ("退款", "我要退款吗", True),
        ("foo", "我foo你", True),
        ("ass", "a class", False),
        ("straße", "HAUPT STRASSE 1", True),
        ("c++", "in C++.", True),
        ("c++", "in abc++", False),
    ],
)
async def test_words_end_where_their_script_ends_them(build: Any, word: str, text: str, there: bool) -> None:
    banned = checks.create("banned_words", {"words": [word]})
    outcome = await banned.evaluate(build("u: hi", f"a: {text}"))
    assert outcome.status == ("failed" if there else "passed")


async def test_an_accent_of_its_own_is_no_way_around_a_forbidden_text(build: Any) -> None:
    check = checks.create("content_excludes", {"patterns": ["café"]})
    outcome = await check.evaluate(build("u: hi", "a: at the cafe\u0301 here"))
    assert outcome.status == "failed"
    assert outcome.details["violations"][0]["evidence"] == "at the café here"


async def test_the_evidence_is_the_place_itself_where_small_letters_are_longer(build: Any) -> None:
    check = checks.create("content_excludes", {"patterns": ["secret"]})
    outcome = await check.evaluate(build("u: hi", "a: " + "ß" * 60 + " the SECRET is out"))
    assert "SECRET" in outcome.details["violations"][0]["evidence"]


async def test_the_answer_with_the_most_tokens_is_the_one_that_must_keep_them(build: Any) -> None:
    check = checks.create("max_length", {"max_tokens": 50})
    outcome = await check.evaluate(build("u: a", "a: " + "a" * 100, "u: b", "a: " + "退" * 90))
    assert outcome.status == "failed"
    assert outcome.message_ids == ["m4"]


@pytest.mark.parametrize(
    ("text", "count"),
    [("नमस्ते। कैसे हैं।", 2), ("مرحبا؟ نعم.", 2), ("Hello\nDr. Smith is in.", 1), ("「はい。」そう。", 2)],
)
def test_sentences_of_other_scripts_are_counted(text: str, count: int) -> None:
    assert sentences_in(text) == count
