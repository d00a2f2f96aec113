"""Whatever a model writes, it is a judgement that keeps the rules or one of the two complaints, and never more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.agents.judge._judgement import Judgement, Question, read_judgement, verdict_of
from duologue.models.structured import RuleBrokenError, UnreadableError
from duologue.vocabulary import Decision, Verdict

QUESTION = Question(criteria=("a", "b", "c"), message_ids=frozenset({"m1", "m2", "m3"}))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
DECISIONS = st.sampled_from(["true", "false", "inconclusive", True, False, " True ", "yes", None, 1])
ENTRIES = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["c1", "c2", "c3", "c4", "C1", ""]) | ANYTHING,
        "reason": st.text(max_size=5) | ANYTHING,
        "evidence": st.lists(st.sampled_from(["m1", "m2", "m9", "[m3]"]), max_size=2) | ANYTHING,
        "decision": DECISIONS | ANYTHING,
    }
)
ANSWERS = st.fixed_dictionaries(
    {
        "criteria": st.lists(ENTRIES, max_size=4) | ANYTHING,
        "verdict": st.sampled_from(["pass", "fail", "undecided"]) | ANYTHING,
    },
    optional={"action": st.sampled_from(["decide", "continue"]) | ANYTHING, "reasoning": ANYTHING},
)


def read(text: str, question: Question = QUESTION) -> Judgement | None:
    try:
        return read_judgement(text, question)
    except (UnreadableError, RuleBrokenError):
        return None


@given(st.text() | st.text(alphabet='{}[]"\\:, \n`ctpasv1m'))
def test_texts_are_read_or_complained_of(text: str) -> None:
    read(text)


@given(ANSWERS | ANYTHING, st.booleans())
def test_objects_are_read_or_complained_of(answer: Any, forced: bool) -> None:
    question = Question(criteria=QUESTION.criteria, message_ids=QUESTION.message_ids, forced=forced)
    judgement = read(json.dumps(answer), question)
    if judgement and not judgement.continues:
        assert len(judgement.findings) == 3


def test_complaints_are_short_whatever_they_complain_of() -> None:
    entries = [{"id": f"c{n}", "reason": "", "evidence": [], "decision": "x" * 10_000} for n in (1, 2, 3)]
    for answer in (
        {"criteria": entries, "verdict": "fail"},
        {"criteria": [{"id": "y" * 10_000 + str(n)} for n in range(1000)], "verdict": "fail"},
        {"action": ["z" * 10_000]},
    ):
        with pytest.raises(RuleBrokenError) as caught:
            read_judgement(json.dumps(answer), QUESTION)
        assert len(str(caught.value)) < 3000


@given(
    decisions=st.lists(st.sampled_from(["true", "false", "inconclusive"]), min_size=3, max_size=3),
    order=st.permutations([0, 1, 2]),
    evidence=st.lists(st.lists(st.sampled_from(["m1", "m2", "m3", "m4"]), max_size=2), min_size=3, max_size=3),
    verdict=st.sampled_from(["pass", "fail", "undecided"]),
)
def test_only_true_on_existing_messages_for_every_criterion_is_a_pass(
    decisions: list[str], order: list[int], evidence: list[list[str]], verdict: str
) -> None:
    entries = [
        {"id": f"c{index + 1}", "reason": "", "evidence": evidence[index], "decision": decisions[index]}
        for index in order
    ]
    judgement = read(json.dumps({"criteria": entries, "reasoning": "", "verdict": verdict}))
    passes = set(decisions) == {"true"} and verdict == "pass"
    grounded = all(cited and "m4" not in cited for cited in evidence)
    assert (judgement is not None and judgement.verdict is Verdict.PASS) == (passes and grounded)
    if judgement:
        assert [finding.decision.value for finding in judgement.findings] == decisions


@given(st.lists(st.sampled_from(Decision)))
def test_the_verdict_follows_from_the_decisions(decisions: list[Decision]) -> None:
    verdict = verdict_of(decisions)
    assert (verdict is Verdict.FAIL) == (Decision.UNMET in decisions)
    assert (verdict is Verdict.PASS) == (bool(decisions) and set(decisions) == {Decision.MET})


@pytest.mark.parametrize("text", ["{" * 100_000, '{"a":' * 50_000, "[" * 100_000, '{"criteria": ' + "9" * 10_000 + "}"])
def test_texts_that_are_made_to_break_a_reader_do_not(text: str) -> None:
    assert read(text) is None
