import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from duologue import checks
from duologue.checks.pack_evals import fnv1a, sampled
from duologue.errors import CheckError, ConfigurationError
from duologue.journal.events import Noted
from duologue.journal.notes import WorkflowMoved
from duologue.models.scripted import ScriptedModel
from duologue.vocabulary import CheckStatus, Scope


async def test_a_guardrail_withholds_what_breaks_its_rule() -> None:
    rail = checks.guardrail("banned_words", {"words": ["damn"]}, message="[withheld]")
    violation = await rail.inspect("Damn it")
    assert violation is not None
    assert (violation.type, violation.direction, violation.replacement) == ("banned_words", "output", "[withheld]")
    assert "damn" in violation.explanation
    assert await rail.inspect("goddamnit is one word") is None
    assert await rail.inspect("damn", "input") is None


async def test_a_guardrail_of_length_cuts() -> None:
    violation = await checks.guardrail("length", {"max_characters": 5}).inspect("1234567")
    assert violation is not None
    assert violation.replacement == "12345"


async def test_directions_and_switch() -> None:
    both = checks.guardrail("pii_leakage", direction="both")
    assert (await both.inspect("ann@example.org", "input") is None) is False
    off = checks.guardrail("pii_leakage", direction="both", enabled=False)
    assert await off.inspect("ann@example.org") is None
    with pytest.raises(ConfigurationError, match='direction: found "sideways"; expected'):
        checks.guardrail("length", {"max": 5}, direction="sideways")  # pyright: ignore[reportArgumentType]


async def test_a_guardrail_that_cannot_decide_lets_nothing_through() -> None:
    rail = checks.guardrail("toxicity", resources=checks.Resources(judge=ScriptedModel(["?", "?"])))
    with pytest.raises(CheckError, match="could not decide"):
        await rail.inspect("hello")


async def test_what_a_guardrail_noted_is_what_guardrail_triggered_reads(build: Any) -> None:
    rail = checks.guardrail("banned_words", {"words": ["damn"]})
    spoke = Noted(turn=0, note=rail.note(await rail.inspect("damn")))
    quiet = Noted(turn=1, note=rail.note(await rail.inspect("hello")))
    first = build("u: a", "a: damn", "u: b", "a: hello", spoke, quiet, scope=Scope.TURN, turn=0)
    second = build("u: a", "a: damn", "u: b", "a: hello", spoke, quiet, scope=Scope.TURN, turn=1)
    statuses = {}
    for name, given in (("first", first), ("second", second)):
        for should in (True, False):
            params = {"validator": "banned_words", "should_trigger": should}
            outcome = await checks.create("guardrail_triggered", params, scope=Scope.TURN).evaluate(given)
            statuses[name, should] = outcome.status.value
    assert statuses == {
        ("first", True): "passed",
        ("first", False): "failed",
        ("second", True): "failed",
        ("second", False): "passed",
    }
    other_side = {"validator": "content_excludes", "direction": "input"}
    outcome = await checks.create("guardrail_triggered", other_side).evaluate(first)
    assert (outcome.status, "never ran" in outcome.explanation) == (CheckStatus.FAILED, True)


Definer = Callable[..., Awaitable[Any]]


@pytest.fixture
def evaluated(build: Any) -> Definer:
    async def evaluate(lines: list[Any], turn: int | None = None, **definition: Any) -> Any:
        eval_ = checks.pack_eval({"id": "e", "type": "contains", "params": {"patterns": ["zzz"]}, **definition})
        return await eval_.evaluate(build(*lines, scope=eval_.scope, turn=turn))

    return evaluate


TALK = ["u: a", "a: hello world", "u: b", "a: hello zzz"]


async def test_an_eval_of_every_turn_and_one_of_the_session(evaluated: Definer) -> None:
    assert (await evaluated(TALK, 0, trigger="every_turn")).status is CheckStatus.FAILED
    assert (await evaluated(TALK, 1, trigger="every_turn")).status is CheckStatus.PASSED
    assert (await evaluated(TALK, trigger="on_session_complete")).status is CheckStatus.PASSED
    bad = checks.pack_eval(
        {"id": "x", "type": "content_excludes", "trigger": "on_session_complete", "params": {"patterns": ["hello"]}}
    )
    assert (bad.name, bad.kind, bad.scope) == ("x", "pack_eval:content_excludes", Scope.CONVERSATION)


async def test_thresholds_of_an_eval(evaluated: Definer) -> None:
    half = {"trigger": "on_session_complete", "params": {"patterns": ["zzz", "nope"]}}
    assert (await evaluated(TALK, **half)).status is CheckStatus.FAILED
    assert (await evaluated(TALK, **half, threshold={"min_score": 0.5})).status is CheckStatus.PASSED
    assert (await evaluated(TALK, **half, threshold={"passed": False})).status is CheckStatus.PASSED


async def test_evals_that_are_not_due_are_skipped_with_the_reason(evaluated: Definer) -> None:
    disabled = await evaluated(TALK, trigger="every_turn", enabled=False)
    assert (disabled.status, disabled.explanation) == (CheckStatus.SKIPPED, "disabled")
    never = await evaluated(TALK, trigger="sample_turns", sample_percentage=0)
    assert (never.status, never.explanation) == (CheckStatus.SKIPPED, "not in the sample of 0 %")
    assert (await evaluated(TALK, trigger="sample_sessions", sample_percentage=100)).status is CheckStatus.PASSED
    step = Noted(turn=1, note=WorkflowMoved(origin="a", target="b"))
    assert (await evaluated([*TALK, step], 0, trigger="on_workflow_step")).status is CheckStatus.SKIPPED
    assert (await evaluated([*TALK, step], 1, trigger="on_workflow_step")).status is CheckStatus.PASSED


def test_sampling_is_a_hash_and_near_its_share() -> None:
    # Test vectors that are published with the algorithm.
    assert [fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")] == [0xCBF29CE484222325, 0xAF63DC4C8601EC8C, 0x85944171F73967E8]
    assert [sampled("", 7, share) for share in (0, 100)] == [False, True]
    hits = sum(sampled(f"run_{number}", 0, 20) for number in range(5000))
    assert 900 < hits < 1100
    assert [sampled("run", turn, 30) for turn in range(9)] == [sampled("run", turn, 30) for turn in range(9)]


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"id": "e", "type": "contains", "trigger": "sometimes"}, 'pack eval "e": trigger: found "sometimes"'),
        (
            {"id": "e", "type": "contains", "trigger": "every_turn", "parms": {}},
            "unknown field 'parms' (found {}); did you mean 'params'?",
        ),
        ({"id": "e", "type": "contains", "trigger": "every_turn"}, "the parameter 'patterns' is missing"),
        ({"id": "e", "type": "contians", "trigger": "every_turn"}, "did you mean 'contains'"),
    ],
)
def test_wrong_definitions_are_refused(definition: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checks.pack_eval(definition)
    assert said in str(caught.value)
    json.dumps(definition)
