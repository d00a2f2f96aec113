"""What a call came to is found in the record, and a record of another call ends the run."""

from __future__ import annotations

import pytest

from duologue.errors import ResumeError
from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    ModelCalled,
    ParticipantSnapshot,
    RunStarted,
    ScenarioSnapshot,
    ToolCalled,
)
from duologue.journal.journal import Journal, MemorySink
from duologue.journal.outcomes import append_outcome, outcome_of
from duologue.journal.recorded import RecordedRun
from duologue.vocabulary import AgentRole, CheckStatus, Scope

STARTED = RunStarted(
    run_id="r",
    thread_id="t",
    scenario=ScenarioSnapshot(name="s", description="d", max_turns=3),
    participants=(ParticipantSnapshot(name="a", role=AgentRole.AGENT),),
    seed=1,
    duologue_version="1",
)
OUTCOMES = [
    AgentCalled(participant=0, turn=0, delivered=(), seconds=0.0, call="c1"),
    ModelCalled(asker="a", turn=0, model="m", request_digest="x", call="c1"),
    ToolCalled(name="t", turn=0, call_id="1", call="c1"),
    CheckEvaluated(name="k", scope=Scope.TURN, turn=0, status=CheckStatus.PASSED, call="c1"),
]


async def recorded(*events):
    sink = MemorySink()
    journal = Journal("r", sinks=[sink])
    for event in (STARTED, *events):
        journal.append(event)
    await journal.flush()
    resumed = Journal("r", recorded=RecordedRun(sink.transitions))
    resumed.append(STARTED)
    return resumed


@pytest.mark.parametrize("was", OUTCOMES, ids=lambda event: event.type)
@pytest.mark.parametrize("now", OUTCOMES, ids=lambda event: event.type)
async def test_a_call_is_answered_by_a_record_of_its_own_kind_only(was, now):
    journal = await recorded(was)
    if type(was) is type(now):
        assert await outcome_of(journal, "c1", type(now), lambda _: "") == was
        return
    with pytest.raises(ResumeError, match=f"cannot be resumed: call c1 was recorded as '{was.type}'"):
        await outcome_of(journal, "c1", type(now), lambda _: "")
    with pytest.raises(ResumeError, match="call c1 was recorded"):  # also for whoever swallowed the first one
        await outcome_of(journal, "c2", type(now), lambda _: "")
    with pytest.raises(ResumeError, match="call c1 was recorded"):
        journal.append(now)


@pytest.mark.parametrize("was", OUTCOMES, ids=lambda event: event.type)
async def test_a_difference_is_told_and_stays(was):
    journal = await recorded(was)
    for _ in range(2):
        with pytest.raises(ResumeError, match="cannot be resumed: it asks for more"):
            await outcome_of(journal, "c1", type(was), lambda _: "it asks for more")


@pytest.mark.parametrize("event", OUTCOMES, ids=lambda event: event.type)
async def test_what_was_not_recorded_is_made_and_appended(event):
    for journal in (await recorded(), Journal("r")):
        if journal.recorded is None:
            journal.append(STARTED)
        assert await outcome_of(journal, "c1", type(event), lambda _: "never asked") is None
        await append_outcome(journal, event)
        assert journal.entries[-1].event == event
