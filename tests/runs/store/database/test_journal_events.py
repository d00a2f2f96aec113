"""The events of a run as whoever watches it is told: what was told stays true, also where a run is continued."""

from __future__ import annotations

import pytest
from stored_runs import claimed, claimed_again

from duologue.errors import NotFoundError
from duologue.journal.events import AgentCalled, Entry, ErrorInfo, Event, MessageAdded, RunFinished, RunResumed
from duologue.journal.jsonl import encode_transition
from duologue.runs.store.database import journal_events
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journal_events import JournalTeller, has_event, recorded_events
from duologue.runs.store.records import ClaimedRun, FinishedRun, QueueStatus
from duologue.vocabulary import RunStatus, Termination

PASSED = FinishedRun(status=QueueStatus.COMPLETED, outcome="pass")
CANCELLED = AgentCalled(
    participant=0, turn=0, delivered=(), seconds=0.0, failed=True, error=ErrorInfo(type="CancelledError", message="")
)
FAILED = AgentCalled(
    participant=0, turn=0, delivered=(), seconds=0.0, failed=True, error=ErrorInfo(type="ValueError", message="no")
)
SAID = MessageAdded(message_id="m", message={"role": "user", "content": "hi"}, turn=0)
STOPPED = RunFinished(status=RunStatus.CANCELLED, termination=Termination.CANCELLED, total_time=0.0, agent_time=0.0)
TAILS: dict[str, tuple[list[Event], int]] = {
    "something was said": ([SAID], 1),
    "a call failed": ([FAILED], 1),
    "a call was cancelled": ([CANCELLED], 0),
    "a call was cancelled, and the run": ([CANCELLED, STOPPED], 0),
    "it was continued, and nothing has happened since": ([RunResumed()], 0),
    "it was continued, and something has": ([RunResumed(), SAID], 2),
    "it was cancelled, continued and cancelled": ([CANCELLED, RunResumed(), CANCELLED], 0),
    "a call was cancelled and the run went on": ([CANCELLED, SAID], 2),
}


async def write(database: Database, run: ClaimedRun, first: int, *events: Event, attempt: int = 1) -> None:
    lines = [(seq, encode_transition((Entry("r", seq, 1.0, event),))) for seq, event in enumerate(events, first)]
    await database.writer.append(run, attempt, lines)


async def told(teller: JournalTeller) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while new := await teller.look():
        found += [(item.attempt, item.seq) for item in new]
    return found


@pytest.mark.parametrize("name", TAILS)
async def test_what_may_be_removed_again_is_told_when_it_stays(database: Database, name: str) -> None:
    [run] = await claimed(database)
    teller, (tail, stays) = JournalTeller(database, run.id), TAILS[name]
    await write(database, run, 0, SAID, SAID)
    assert await told(teller) == [(1, 0), (1, 1)]
    await write(database, run, 2, *tail)
    assert await told(teller) == [(1, 2 + number) for number in range(stays)]
    assert teller.end is None
    again = await claimed_again(database, run)  # it continues where it was before that
    lines = [(2 + stays, encode_transition((Entry("r", 2 + stays, 2.0, SAID),)))]
    await database.writer.append(again, 1, lines, cut=2 + stays)
    assert await told(teller) == [(1, 2 + stays)]
    await database.queue.finish(again, PASSED)
    assert await told(teller) == []
    assert teller.end is not None
    assert await told(JournalTeller(database, run.id)) == [(1, number) for number in range(3 + stays)]


async def test_a_run_that_is_over_has_told_everything(database: Database) -> None:
    [run] = await claimed(database)
    await write(database, run, 0, SAID, CANCELLED, STOPPED)
    teller = JournalTeller(database, run.id)
    assert await told(teller) == [(1, 0)]
    await database.queue.finish(run, FinishedRun(status=QueueStatus.CANCELLED, outcome="cancelled"))
    assert await told(teller) == [(1, 1), (1, 2)]
    assert (teller.end and teller.end.outcome) == "cancelled"


async def test_long_journals_are_read_in_pages(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_events, "PAGE", 3)
    [run] = await claimed(database)
    await write(database, run, 0, *[SAID] * 10)
    await write(database, run, 0, *[SAID] * 4, attempt=2)
    await database.queue.finish(run, PASSED)
    expected = [(1, number) for number in range(10)] + [(2, number) for number in range(4)]
    assert await told(JournalTeller(database, run.id)) == expected
    for place in expected:
        rest = await recorded_events(database, run.id, place, limit=100)
        assert [(item.attempt, item.seq) for item in rest] == expected[expected.index(place) + 1 :]
        assert await has_event(database, run.id, place)
    assert not await has_event(database, run.id, (1, 10))
    with pytest.raises(NotFoundError):
        await JournalTeller(database, "none").look()


async def test_a_place_in_the_middle_of_a_line(database: Database) -> None:
    [run] = await claimed(database)
    line = encode_transition(tuple(Entry("r", seq, 1.0, SAID) for seq in range(3)))
    await database.writer.append(run, 1, [(0, line), (3, encode_transition((Entry("r", 3, 1.0, SAID),)))])
    for known in range(4):
        rest = await recorded_events(database, run.id, (1, known))
        assert [item.seq for item in rest] == list(range(known + 1, 4))
