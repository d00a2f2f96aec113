"""Recorded runs that are continued from the end of a turn."""

from __future__ import annotations

from typing import Any

import pytest
from forked_agents import Counter, Keeper

from duologue.errors import ConfigurationError
from duologue.suites.forks.fork import fork
from duologue.suites.forks.localise import localise
from duologue.suites.results.run import RunResult
from duologue.vocabulary import CheckStatus, RunStatus, Verdict

LINES = ["one", "two", "three", "four"]
GUEST = {"name": "guest", "agenda": {"goal": "book a table", "slots": {"party size": "four", "time": "8 pm"}}}


def contains(pattern: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_includes_any", "params": {"patterns": [pattern]}, **fields}


def scripted(*lines: str, **fields: Any) -> dict[str, Any]:
    return {"name": "s", "turns": [{"content": line} for line in lines], "checks": [contains("e")], **fields}


def said(run: RunResult) -> list[str]:
    assert run.error is None, run.error
    return [str(item.message.get("content")) for item in run.messages]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Keeper.seen.clear()


@pytest.mark.parametrize("turns", range(5))
async def test_an_agent_that_is_given_everything_gets_what_was_recorded(record: Any, turns: int) -> None:
    recorded = await record(Keeper, scenarios=[scripted(*LINES)])
    Keeper.seen.clear()
    found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=turns, trials=3)
    runs = found.execution.runs
    assert len(runs) == 3
    assert len({run.case.seed for run in runs}) == 3
    for run in runs:
        assert said(run) == said(recorded.run)
        assert [item.turn for item in run.messages] == [item.turn for item in recorded.run.messages]
    assert len(Keeper.seen) == 3 * (4 - turns)


async def test_an_agent_with_a_memory_of_its_own_hears_the_lines_again(record: Any) -> None:
    recorded = await record(Counter, scenarios=[scripted(*LINES)])
    found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=2, trials=1, say="else")
    [run] = found.execution.runs
    assert said(run) == ["one", "1: one", "two", "2: two", "else", "3: else", "four", "4: four"]


async def test_whether_answers_are_recorded_ones_can_be_chosen(record: Any) -> None:
    recorded = await record(Counter, scenarios=[scripted(*LINES)])
    found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=2, trials=1, again=False)
    [run] = found.execution.runs
    assert said(run) == ["one", "1: one", "two", "2: two", "three", "1: three", "four", "2: four"]


async def test_a_line_of_ones_own_follows_the_last_turn_too(record: Any) -> None:
    recorded = await record(Keeper, scenarios=[scripted("one", "two")])
    found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=2, trials=1, say="and now?")
    [run] = found.execution.runs
    assert said(run)[-2:] == ["and now?", "heard 5"]
    assert run.messages[-1].turn == 2


async def test_another_agent_continues(record: Any) -> None:
    from dataclasses import replace

    recorded = await record(
        Keeper, agents=[{"name": "other", "target": "x:y"}], scenarios=[{**scripted(*LINES), "agents": ["bot"]}]
    )
    engine = recorded.engine
    from duologue.suites.execution.parts import parts_of

    engine.parts = replace(
        engine.parts, agents={**engine.parts.agents, **parts_of({"other": lambda input: "me"}, {}).agents}
    )
    case = replace(recorded.run.case, agent="other")
    found = await fork(engine, case, recorded.entries, turns=3, trials=1, again=False)
    [run] = found.execution.runs
    assert said(run)[-3:] == ["heard 5", "four", "me"]
    assert run.messages[-1].author == "other"


@pytest.mark.parametrize("turns", range(4))
async def test_a_user_with_an_agenda_goes_on_from_what_was_said(record: Any, turns: int) -> None:
    answers = ["For how many, and at what time?", "A table for four at 8 pm. Shall I book it?", "Your table is booked."]

    class Clerk(Keeper):
        async def call(self, input: Any) -> str:
            return answers[min(sum(item["role"] == "assistant" for item in input.messages), 2)]

    recorded = await record(
        Clerk,
        personas=[GUEST],
        scenarios=[{"name": "s", "personas": ["guest"], "checks": [contains("booked")]}],
    )
    found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=turns, trials=2)
    for run in found.execution.runs:
        assert run.verdict is Verdict.PASS
        assert [item.message["role"] for item in run.messages] == [
            item.message["role"] for item in recorded.run.messages
        ]
        assert said(run)[:2] == said(recorded.run)[:2]
    assert found.passed.rate == 1


async def test_a_simulated_turn_is_played_to_its_end(record: Any) -> None:
    turns = [{"role": "simulated_user", "persona": "reader", "exchanges": 3}, {"content": "last"}]
    reader = {"name": "reader", "lines": ["a", "b", "c", "d"]}
    recorded = await record(
        Keeper, personas=[reader], scenarios=[{"name": "s", "turns": turns, "checks": [contains("e")]}]
    )
    assert said(recorded.run)[::2] == ["a", "b", "c", "last"]
    for count in range(1, 4):
        found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=count, trials=1)
        assert said(found.execution.runs[0])[::2] == ["a", "b", "c", "last"]
    found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=1, trials=1, say="x")
    assert said(found.execution.runs[0])[::2] in (["a", "x", "c", "last"], ["a", "x", "b", "last"])


async def test_checks_of_recorded_turns_count_as_they_were_decided(record: Any) -> None:
    turns = [
        {"content": "one", "checks": [contains("zzz", message="first")]},
        {"content": "two", "checks": [contains("e", message="second")]},
    ]
    recorded = await record(Keeper, scenarios=[{"name": "s", "turns": turns}])
    found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=1, trials=1)
    [run] = found.execution.runs
    assert [(check.name, check.status) for check in run.checks] == [
        ("first", CheckStatus.FAILED),
        ("second", CheckStatus.PASSED),
    ]
    assert run.verdict is Verdict.FAIL


async def test_checks_of_every_turn_are_evaluated_once_a_turn(record: Any) -> None:
    every = contains("e", scope="turn", message="every")
    recorded = await record(Keeper, scenarios=[scripted(*LINES, checks=[every])])
    found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=2, trials=1)
    assert [check.turn for check in found.execution.runs[0].checks] == [0, 1, 2, 3]


async def test_opening_messages_are_not_said_twice(record: Any) -> None:
    opening = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "welcome"}]
    for agent in (Keeper, Counter):
        recorded = await record(agent, scenarios=[scripted("one", "two", messages=opening)])
        found = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=2, trials=1)
        assert said(found.execution.runs[0])[::2] == ["hello", "one", "two"], agent


async def test_what_cannot_be_continued_is_refused(record: Any) -> None:
    recorded = await record(Keeper, scenarios=[scripted(*LINES)])
    for turns in (-1, 5):
        with pytest.raises(ConfigurationError, match="has 4 turns"):
            await fork(recorded.engine, recorded.run.case, recorded.entries, turns=turns)


async def test_the_turn_after_which_success_is_improbable_is_found(record: Any) -> None:
    class Moody(Keeper):
        """Says in its second answer by chance something that decides how the run ends."""

        async def call(self, input: Any) -> str:
            if any(item.get("content") == "no" for item in input.messages):
                return "sorry"
            if sum(item["role"] == "assistant" for item in input.messages) == 1:
                bad = not Keeper.seen or input.scope.context.random("mood").random() < 0.1
                Keeper.seen.append(["asked"])
                return "no" if bad else "yes"
            return "fine"

    checks = [{"type": "content_excludes", "params": {"patterns": ["sorry"]}}]
    recorded = await record(
        Moody, scenarios=[{"name": "s", "turns": [{"content": line} for line in LINES], "checks": checks}]
    )
    assert recorded.run.verdict is Verdict.FAIL
    found = await localise(recorded.engine, recorded.run.case, recorded.entries, trials=12)
    assert found.turn == 2
    assert [item.turns for item in found.outlooks] == [0, 1, 2, 3, 4]
    assert found.outlooks[1].passed.rate > 0.5 > found.outlooks[2].passed.high
    assert (found.outlooks[2].user, found.outlooks[2].agent) == ("two", "no")


async def test_trials_that_end_when_they_decide_are_played_to_the_last(record: Any) -> None:
    checks = [{"type": "contains", "params": {"patterns": ["never said"]}}]
    scenario = {"name": "s", "turns": [{"content": line} for line in LINES[:2]], "checks": checks}
    recorded = await record(Keeper, trials="auto", defaults={"max_trials": 3, "concurrency": 1}, scenarios=[scenario])
    assert recorded.run.case.until_decided
    found = await localise(recorded.engine, recorded.run.case, recorded.entries, trials=4)
    assert [item.passed.total for item in found.outlooks] == [4, 4, 4]
    continued = await fork(recorded.engine, recorded.run.case, recorded.entries, turns=1, trials=5)
    assert continued.passed.total == 5


async def test_errors_are_counted_beside_and_not_as_failures(record: Any) -> None:
    class Broken(Keeper):
        async def call(self, input: Any) -> str:
            if Keeper.seen:
                raise ValueError("boom")
            return "e"

    recorded = await record(Broken, scenarios=[scripted("one", "two")])
    Keeper.seen.append([])
    found = await localise(recorded.engine, recorded.run.case, recorded.entries, trials=2)
    assert [(item.passed.total, item.errors) for item in found.outlooks] == [(0, 2), (0, 2), (2, 0)]
    assert found.turn is None
    assert found.execution.runs[0].status is RunStatus.ERROR
