"""Turns are counted from 1 wherever people read of them; fields of events and errors count from 0."""

from typing import Any

import pytest

import duologue
from duologue import checks
from duologue.vocabulary import Scope


class Odd(duologue.AgentAdapter):
    """Fails in one turn."""

    def __init__(self, fails_in: int) -> None:
        self.fails_in = fails_in

    async def call(self, input: duologue.AgentInput) -> str:
        if input.scenario_state.current_turn == self.fails_in:
            raise RuntimeError("no answer")
        return "said"


async def _run(agent: duologue.AgentAdapter, **given: Any) -> duologue.ScenarioResult:
    user = duologue.ScriptedUser(["a", "b", "c"])
    return await duologue.arun("t", "d", [agent, user], verbose=False, max_turns=3, **given)


@pytest.mark.parametrize("turn", [0, 1, 2])
async def test_an_error_names_the_turn_as_people_count(turn: int) -> None:
    with pytest.raises(duologue.errors.AgentError) as raised:
        await _run(Odd(turn))
    assert f"turn {turn + 1}," in str(raised.value)
    assert raised.value.turn == turn


async def test_the_reason_of_a_verdict_names_the_turns_as_people_count() -> None:
    bad = checks.create("contains", {"patterns": ["never"]}, scope=Scope.TURN)
    result = await _run(Odd(9), checks=[bad])
    assert result.reasoning is not None
    assert "(turns 1, 2, 3)" in result.reasoning
    assert [check.turn for check in result.checks] == [0, 1, 2]


async def test_the_slowest_turn_is_named_as_people_count() -> None:
    result = await _run(Odd(9), checks=[checks.create("latency_budget", {"max_ms": 1e-6})])
    told = result.checks[0].explanation
    assert any(f"in turn {turn}," in told for turn in (1, 2, 3))
    slowest = max(result.checks[0].details["latency_ms"].items(), key=lambda item: item[1])[0]
    assert f"in turn {int(slowest) + 1}," in told
