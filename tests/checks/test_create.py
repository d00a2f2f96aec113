from typing import Any

import pytest

from duologue import checks
from duologue.errors import ConfigurationError
from duologue.vocabulary import CheckStatus, Scope

THREE = ["u: hi", "a: One. Two. Three."]


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        checks.create(*args, **kwargs)
    return str(caught.value)


# Ten suites with a mistake each, answered with "One. Two. Three.": none of them may pass.


@pytest.mark.parametrize(
    ("type", "params", "said"),
    [
        ("content_includes", {"text": "zzz"}, "unknown parameter 'text' (found \"zzz\"); did you mean 'patterns'?"),
        ("content_matches", {"pattern": "("}, "parameter 'pattern': found \"(\"; expected: a regular expression"),
        ("content_not_includes", {"text": "One"}, "did you mean 'patterns'?"),
        ("content_excludes", {"words_list": ["One"]}, "did you mean 'words'?"),
        ("content_not_inclueds", {"patterns": ["One"]}, "unknown check type 'content_not_inclueds'; did you mean"),
        ("content_inclueds", {"patterns": ["One"]}, "did you mean 'content_includes'?"),
    ],
)
def test_mistakes_that_are_seen_when_the_check_is_made(type: str, params: dict[str, Any], said: str) -> None:
    assert said in refusal(type, params)


@pytest.mark.parametrize(
    ("type", "params", "answer"),
    [
        ("tools_called", {"tool_names": ["nope"]}, "One. Two. Three."),
        ("tools_called", {"tools": ["nope"]}, "One. Two. Three."),
        ("json_path", {"expression": "n", "min": 100}, '{"n": 5}'),
        ("required_fields", {"required_fields": ["zzz"]}, "One. Two. Three."),
        ("max_sentences", {"max_sentences": 1}, "One. Two. Three."),
    ],
)
async def test_mistakes_that_the_answer_shows(build: Any, type: str, params: dict[str, Any], answer: str) -> None:
    outcome = await checks.create(type, params).evaluate(build("u: hi", f"a: {answer}", scope=Scope.TURN))
    assert outcome.status is CheckStatus.FAILED
    assert outcome.score is not None
    assert outcome.score < 1


def test_every_mistake_is_told_at_once() -> None:
    text = refusal("tool_call_count", {"min": "1", "maxx": 3, "tool": 5})
    assert "parameter 'min': found \"1\"; expected: a valid integer" in text
    assert "parameter 'tool': found 5" in text
    assert "unknown parameter 'maxx' (found 3); did you mean 'max'?" in text
    assert text.startswith("check 'tool_call_count': ")


def test_refusal_lists_the_parameters_and_names_the_type_behind_an_alias() -> None:
    text = refusal("content_includes", {})
    assert text.startswith("check 'content_includes' (contains): the parameter 'patterns' is missing")
    assert "Parameters: patterns (required; or words), case_sensitive, match_mode." in text


def test_a_parameter_cannot_be_given_under_two_names() -> None:
    assert "another name of 'max'" in refusal("max_length", {"max": 5, "max_chars": 6})


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"min_score": 2}, "min_score: found 2; expected a number between 0 and 1"),
        ({"max_score": True}, "max_score: found true"),
        ({"pass_threshold": -0.1}, "pass_threshold: found -0.1"),
        ({"min_score": 0.8, "max_score": 0.2}, "nothing could pass"),
        ({"when": {"tool_caled": "x"}}, "unknown field 'when.tool_caled' (found \"x\"); did you mean 'tool_called'?"),
        ({"when": {"tool_called_pattern": "("}}, 'when.tool_called_pattern: found "("; expected a regular expression'),
    ],
)
def test_bounds_and_conditions_are_checked(kwargs: dict[str, Any], said: str) -> None:
    assert said in refusal("contains", {"patterns": ["a"]}, **kwargs)


def test_bounds_and_message_may_stand_among_the_parameters() -> None:
    check = checks.create("contains", {"patterns": ["a"], "min_score": 0.5, "message": "says a"})
    assert (check.min_score, check.message, check.name) == (0.5, "says a", "says a")
    assert "given twice" in refusal("contains", {"patterns": ["a"], "min_score": 0.5}, min_score=0.6)


def test_the_explicit_form_is_the_same_as_the_short_one() -> None:
    wrapped = {"eval_type": "contains", "eval_params": {"patterns": ["a"]}, "min_score": 0.5}
    check = checks.create("assertion", wrapped)
    assert (check.kind, check.min_score) == ("contains", 0.5)
    assert checks.create("guardrail", wrapped).kind == "contains"
    assert "expected eval_type" in refusal("assertion", {"type": "contains"})


async def test_the_score_is_compared_with_its_bounds(build: Any) -> None:
    given = build(*THREE)
    half = {"patterns": ["one", "zzz"]}
    statuses = [
        (await checks.create("contains", half, **bounds).evaluate(given)).status
        for bounds in ({}, {"min_score": 0.5}, {"min_score": 0.51}, {"max_score": 0.5}, {"max_score": 0.49})
    ]
    passed, failed = CheckStatus.PASSED, CheckStatus.FAILED
    assert statuses == [failed, passed, failed, passed, failed]


async def test_the_message_is_said_only_when_it_does_not_pass(build: Any) -> None:
    check = checks.create("contains", {"patterns": ["zzz"]}, message="must say zzz", name="says zzz")
    outcome = await check.evaluate(build(*THREE))
    assert outcome.explanation == "must say zzz (missing: 'zzz')"
    assert outcome.details == {"found": [], "missing": ["zzz"]}
    other = checks.create("contains", {"patterns": ["one"]}, message="must say one", name="says one")
    assert "must" not in (await other.evaluate(build(*THREE))).explanation


@pytest.mark.parametrize(
    ("when", "applies"),
    [
        ({"tool_called": "search"}, True),
        ({"tool_called": "buy"}, False),
        ({"tool_called_pattern": "^se"}, True),
        ({"tool_called_pattern": "^ea"}, False),
        ({"any_tool_called": True}, True),
        ({"any_tool_called": False}, False),
        ({"min_tool_calls": 1}, True),
        ({"min_tool_calls": 2}, False),
        ({"tool_called": "search", "min_tool_calls": 2}, False),
    ],
)
async def test_a_check_that_does_not_apply_is_skipped(build: Any, when: dict[str, Any], applies: bool) -> None:
    given = build("u: hi", ("search", {}, "ok"), "a: done")
    outcome = await checks.create("contains", {"patterns": ["zzz"]}, when=when).evaluate(given)
    assert outcome.status is (CheckStatus.FAILED if applies else CheckStatus.SKIPPED)


async def test_a_turn_check_sees_its_turn_only(build: Any) -> None:
    lines = ["u: one", "a: apple", ("search", {}, "ok"), "u: two", "a: pear"]
    now = build(*lines, scope=Scope.TURN)
    expected = {
        ("contains", "apple"): False,
        ("contains", "pear"): True,
        ("contains_any", "apple"): False,
        ("content_excludes", "apple"): True,
        ("content_excludes", "pear"): False,
    }
    found = {}
    for kind, word in expected:
        outcome = await checks.create(kind, {"patterns": [word]}, scope=Scope.TURN).evaluate(now)
        found[kind, word] = outcome.status is CheckStatus.PASSED
    assert found == expected
    called = checks.create("tools_called", {"tools": ["search"]})
    assert (await called.evaluate(now)).status is CheckStatus.FAILED


async def test_a_session_type_sees_the_conversation_so_far_also_in_a_turn(build: Any) -> None:
    lines = ["u: one", ("search", {}, "ok"), "a: x", "u: two", "a: y", "u: three", ("buy", {}, "ok")]
    second = build(*lines, turn=1)
    second = type(second)(state=second.state, records=[r for r in second.state.view.records if r.turn == 1], turn=1)
    check = checks.create("tools_called_session", {"tools": ["search"]}, scope=Scope.TURN)
    later = checks.create("tools_called_session", {"tools": ["buy"]}, scope=Scope.TURN)
    assert (await check.evaluate(second)).status is CheckStatus.PASSED
    assert (await later.evaluate(second)).status is CheckStatus.FAILED
    assert checks.create("tools_called_session", {"tools": ["search"]}).scope is Scope.CONVERSATION


def test_secrets_are_in_no_name() -> None:
    headers = {"Authorization": "Bearer s3cret"}
    for type, params in [
        ("rest_eval", {"url": "http://x.example", "headers": headers}),
        ("a2a_eval", {"agent_url": "http://x.example", "auth_token": "s3cret"}),
    ]:
        check = checks.create(type, params, resources=checks.Resources(environment={"KEY": "s3cret"}))
        assert "s3cret" not in check.name
        assert "s3cret" not in repr(check.resources)


def test_real_suites_of_other_systems_are_understood() -> None:
    """Each as it stands in a published example."""
    wrapped = {"allow_wrapped": True, "extract_json": True}
    for type, params in [
        ("content_includes", {"patterns": ["casual"], "case_sensitive": False, "message": "Should mention it"}),
        ("tools_not_called_with_args", {"tool_name": "t", "forbidden_args": {"mode": ["debug"], "limit": ["0"]}}),
        ("content_includes_any", {"patterns": ["11", "10"], "message": "opening hours"}),
        ("is_valid_json", wrapped),
        ("json_schema", {"schema": {"type": "array", "items": {"oneOf": [{"type": "integer"}]}}, **wrapped}),
        ("json_path", {"jmespath_expression": "length([?price > `0`])", "min": 3, **wrapped}),
        ("content_matches", {"pattern": "(?i)capital.*france.*paris|paris.*capital"}),
        ("min_length", {"min_characters": 100}),
        ("max_length", {"max_characters": 5000, "max_tokens": 1500}),
        ("workflow_complete", {}),
        ("llm_judge_conversation", {"criteria": "c", "expected": "pass"}),
    ]:
        checks.create(type, params)
    known = checks.Resources(judges={"mock-judge": "mock/echo"}, prompts={"judge-evidence": "{{criteria}}"})
    judged = {"criteria": "c", "judge": "mock-judge", "prompt": "judge-evidence", "min_score": 0.8}
    assert checks.create("llm_judge", judged, resources=known).min_score == 0.8


@pytest.mark.parametrize("type", ["composition_step_output", "composition_output"])
def test_a_type_of_another_system_that_nothing_here_could_decide_is_refused(type: str) -> None:
    assert type not in checks.known_types()
    with pytest.raises(ConfigurationError, match="is not supported: it is about a composition of prompts"):
        checks.create(type, {"contains": "x"})
