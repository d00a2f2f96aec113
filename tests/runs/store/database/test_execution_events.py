"""What listeners of an execution are told: in order, without gaps, the same by every process, once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queued_runs import PASSED, SNAPSHOT, new_runs
from sqlalchemy import delete, select, update
from stored_runs import worker_record

from duologue.errors import NotFoundError
from duologue.runs.store.database import execution_events as stored
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.execution_events import ExecutionTeller, StoredEvent, stored_events
from duologue.runs.store.database.schema import execution_events, executions, runs
from duologue.runs.store.execution_events import ExecutionFacts, NewEvent, RunNow, RunState, Told, changed_runs, news
from duologue.runs.store.records import FinishedRun, NewExecution, QueueStatus

RUNS = 30
FAILED = FinishedRun(status=QueueStatus.COMPLETED, outcome="fail", score=0.0, reason="no refund")
BROKEN = FinishedRun(status=QueueStatus.ERROR, outcome="error", error="HTTP 500")


async def begun(database: Database, count: int) -> int:
    """The id of an execution of so many runs, which wait."""
    made = await database.queue.enqueue(
        "p", new_runs(*(f"r{number}" for number in range(count))), snapshots=[SNAPSHOT], execution=NewExecution()
    )
    assert made.execution is not None
    await database.queue.register(worker_record("w"))
    return made.execution.id


async def all_of(teller: ExecutionTeller) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    while new := await teller.look():
        found += new
    return found


def short(events: Sequence[StoredEvent]) -> list[tuple[str, str | None]]:
    return [(event.type, json.loads(event.data).get("run_id")) for event in events]


def data_of(event: StoredEvent) -> dict[str, Any]:
    return json.loads(event.data)


async def test_an_execution_from_its_beginning_to_its_end(database: Database) -> None:
    execution = await begun(database, 2)
    teller = ExecutionTeller(database, execution)
    assert short(await all_of(teller)) == [("execution_started", None)]
    [first] = await database.queue.claim("w", 1)
    assert short(await all_of(teller)) == [("run_started", first.id)]
    await database.queue.finish(first, PASSED)
    [second] = await database.queue.claim("w", 1)
    assert short(await all_of(teller)) == [("run_completed", first.id), ("run_started", second.id)]
    assert not teller.over
    await database.queue.finish(second, FAILED)
    *_, completed, over = await all_of(teller)
    assert teller.over
    assert data_of(completed) == {
        "execution_id": execution,
        "run_id": second.id,
        "title": "r1",
        "scenario": "r1",
        "persona": None,
        "agent": None,
        "trial": 1,
        "status": "completed",
        "outcome": "fail",
        "score": 0.0,
        "reason": "no refund",
        "error": None,
        "latency_ms": None,
        "cost": None,
        "tokens": None,
        "started_at": data_of(completed)["started_at"],
        "completed_at": data_of(completed)["completed_at"],
        "counts": counts(total=2, completed=2, passed=1, failed=1),
    }
    assert data_of(over)["counts"] == counts(total=2, completed=2, passed=1, failed=1)
    assert (data_of(over)["status"], data_of(over)["pass_rate"]) == ("completed", 0.5)
    assert await all_of(teller) == []
    assert teller.over


def counts(**given: int) -> dict[str, int]:
    names = ("total", "queued", "running", "completed", "passed", "failed", "undecided", "error", "cancelled")
    return {name: given.get(name, 0) for name in names}


async def test_an_execution_that_nobody_watched_is_told_in_the_order_in_which_it_happened(database: Database) -> None:
    execution = await begun(database, 3)
    claimed = await database.queue.claim("w", 3)
    for run, end in zip(reversed(claimed), (PASSED, FAILED, BROKEN), strict=True):
        await database.queue.finish(run, end)
    teller = ExecutionTeller(database, execution)
    events = await all_of(teller)
    assert [event.seq for event in events] == list(range(1, 9))
    assert [event.type for event in events] == [
        "execution_started", *["run_started"] * 3, *["run_completed"] * 3, "execution_completed",
    ]  # fmt: skip
    assert [data_of(event)["outcome"] for event in events[4:7]] == ["pass", "fail", "error"]
    assert [data_of(event)["counts"]["completed"] for event in events[4:7]] == [1, 2, 3]


async def test_a_run_that_another_worker_continues_is_not_begun_again(database: Database) -> None:
    execution = await begun(database, 1)
    teller = ExecutionTeller(database, execution)
    [run] = await database.queue.claim("w", 1)
    await all_of(teller)
    await database.queue.release(run)
    assert await all_of(teller) == []
    [again] = await database.queue.claim("w", 1)
    assert await all_of(teller) == []
    await database.queue.finish(again, PASSED)
    assert [event.type for event in await all_of(teller)] == ["run_completed", "execution_completed"]


async def retried(database: Database) -> None:
    await database.queue.retry("r0")


async def carried_out_again(database: Database) -> None:
    await database.queue.retry("r0")
    [run] = await database.queue.claim("w", 1)
    await database.queue.finish(run, PASSED)


async def same_end_again(database: Database) -> None:
    await database.queue.retry("r0")
    [run] = await database.queue.claim("w", 1)
    await database.queue.finish(run, BROKEN)


async def corrected(database: Database) -> None:
    values = {"outcome": "pass", "status": "completed"}
    await database.write(lambda connection: connection.execute(update(runs).values(**values, updated_at=1e12)))


async def deleted(database: Database) -> None:
    await database.write(lambda connection: connection.execute(delete(runs).where(runs.c.id == "r0")))


async def added(database: Database) -> None:
    id_ = await database.read(lambda connection: connection.execute(select(executions.c.id)).scalar_one())
    await database.queue.enqueue("p", new_runs("more"), execution=id_)
    [run] = await database.queue.claim("w", 1)
    await database.queue.finish(run, PASSED)


AFTERWARDS: dict[str, tuple[Callable[[Database], Any], list[str], dict[str, int]]] = {
    "it waits again": (retried, ["run_retried"], counts(total=2, queued=1, completed=1, passed=1)),
    "it was carried out again meanwhile": (
        carried_out_again,
        ["run_retried", "run_started", "run_completed", "execution_completed"],
        counts(total=2, completed=2, passed=2),
    ),
    "it ended again as it had": (
        same_end_again,
        ["run_retried", "run_started", "run_completed", "execution_completed"],
        counts(total=2, completed=2, passed=1, error=1),
    ),
    "somebody has changed its outcome": (
        corrected,
        ["run_completed", "execution_completed"],
        counts(total=2, completed=2, passed=2),
    ),
    "somebody has deleted it": (
        deleted,
        ["run_deleted", "execution_completed"],
        counts(total=1, completed=1, passed=1),
    ),
    "a run was added": (
        added,
        ["run_started", "run_completed", "execution_completed"],
        counts(total=3, completed=3, passed=2, error=1),
    ),
}


@pytest.mark.parametrize("restarted", [False, True], ids=["", "by another process"])
@pytest.mark.parametrize("name", AFTERWARDS)
async def test_what_happens_to_an_execution_that_was_over(database: Database, name: str, restarted: bool) -> None:
    execution = await begun(database, 2)
    for end in (BROKEN, PASSED):
        [run] = await database.queue.claim("w", 1)
        await database.queue.finish(run, end)
    teller = ExecutionTeller(database, execution)
    before = await all_of(teller)
    assert teller.over
    change, expected, told = AFTERWARDS[name]
    await change(database)
    if restarted:
        teller = ExecutionTeller(database, execution)
        assert await teller.look() == before
    teller._whole_at = None
    events = await all_of(teller)
    assert [event.type for event in events] == expected
    assert data_of(events[-1])["counts"] == told
    assert await all_of(teller) == []
    assert teller.over == (expected[-1] == "execution_completed")


async def test_a_cancelled_execution_says_so(database: Database) -> None:
    execution = await begun(database, 2)
    teller = ExecutionTeller(database, execution)
    await database.queue.cancel(["r0", "r1"])
    *completed, over = (await all_of(teller))[1:]
    assert [data_of(event)["outcome"] for event in completed] == ["cancelled", "cancelled"]
    assert (data_of(over)["status"], data_of(over)["pass_rate"]) == ("cancelled", None)


async def test_two_processes_number_together_and_tell_the_same(database: Database, where: str) -> None:
    execution = await begun(database, 40)
    async with Database.open(where) as other:
        tellers = [ExecutionTeller(database, execution), ExecutionTeller(other, execution)]
        told: list[list[StoredEvent]] = [[], []]

        async def listen(place: int) -> None:
            while not tellers[place].over:
                told[place] += await tellers[place].look()

        async def work() -> None:
            while claimed := await database.queue.claim("w", 3):
                for run in claimed:
                    await database.queue.finish(run, PASSED)

        await asyncio.gather(listen(0), listen(1), work())
    assert told[0] == told[1]
    assert [event.seq for event in told[0]] == list(range(1, len(told[0]) + 1))
    assert Counter(event.type for event in told[0]) == {
        "execution_started": 1, "run_started": 40, "run_completed": 40, "execution_completed": 1,
    }  # fmt: skip
    assert max(Counter(short(told[0])).values()) == 1
    assert await stored_events(database, execution, 0, upto=10**9) == told[0]
    assert [event.seq for event in await stored_events(database, execution, 3, upto=5)] == [4, 5]


async def test_more_events_than_are_stored_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PAGE", 7)
    execution = await begun(database, RUNS)
    claimed = await database.queue.claim("w", RUNS)
    await asyncio.gather(*(database.queue.finish(run, PASSED) for run in claimed))
    events = await all_of(ExecutionTeller(database, execution))
    assert [event.seq for event in events] == list(range(1, 2 * RUNS + 3))
    assert Counter(event.type for event in events)["execution_completed"] == 1
    assert data_of(events[-1])["counts"]["passed"] == RUNS
    assert await all_of(ExecutionTeller(database, execution)) == events


async def test_a_row_that_was_committed_late_is_told_in_the_end(database: Database) -> None:
    """Its change is older than the last one that was seen: only a look at all rows finds it."""
    execution = await begun(database, 2)
    teller = ExecutionTeller(database, execution)
    first, second = await database.queue.claim("w", 2)
    await all_of(teller)
    await database.queue.finish(first, PASSED)
    await all_of(teller)
    await database.queue.finish(second, PASSED)
    late = update(runs).where(runs.c.id == second.id).values(updated_at=5.0)
    await database.write(lambda connection: connection.execute(late))
    assert await all_of(teller) == []
    teller._whole_at = None
    assert [event.type for event in await all_of(teller)] == ["run_completed", "execution_completed"]


async def test_what_does_not_exist_is_told(database: Database) -> None:
    with pytest.raises(NotFoundError):
        await ExecutionTeller(database, 17).look()
    execution = await begun(database, 1)
    teller = ExecutionTeller(database, execution)
    await all_of(teller)
    await database.write(lambda connection: connection.execute(delete(executions)))
    with pytest.raises(NotFoundError):
        await teller.look()
    left = await database.read(lambda connection: connection.execute(select(execution_events)).all())
    assert left == []


# --- the function, by itself ------------------------------------------------------------------------------------------

SUBJECT = ExecutionFacts(id=1, name="e", eval_id=None, created_at=0.0)
ENDS = {"pass": "completed", "fail": "completed", "undecided": "completed", "error": "error", "cancelled": "cancelled"}


class World:
    """Runs to which anything may happen."""

    def __init__(self, count: int) -> None:
        self.now = 1.0
        self.runs = {number: self.row(number, "queued") for number in range(1, count + 1)}

    def row(self, number: int, status: str, outcome: str | None = None, started: float | None = None) -> RunNow:
        ended = self.now if outcome else None
        title = f"r{number}"
        return RunNow(
            number=number,
            id=title,
            status=status,
            outcome=outcome,
            title=title,
            scenario=title,
            persona=None,
            agent=None,
            trial=1,
            score=None,
            reason=None,
            error=None,
            details={},
            cost=None,
            tokens=None,
            started_at=started,
            completed_at=ended,
        )

    def happen(self, what: str, place: int, outcome: str) -> None:
        self.now += 1.0
        number = sorted(self.runs)[place % len(self.runs)] if self.runs else 0
        run = self.runs.get(number)
        match what:
            case "claim" if run and run.status == "queued":
                self.runs[number] = self.row(number, "running", started=self.now)
            case "end" if run and run.status == "running":
                self.runs[number] = self.row(number, ENDS[outcome], outcome, run.started_at)
            case "release" if run and run.status == "running":
                self.runs[number] = self.row(number, "queued")
            case "cancel" if run and run.status == "queued":
                self.runs[number] = self.row(number, "cancelled", "cancelled")
            case "retry" if run and run.status == "error":
                self.runs[number] = self.row(number, "queued")
            case "delete" if run and len(self.runs) > 1:
                del self.runs[number]
            case "add":
                number = max(self.runs, default=0) + 1
                self.runs[number] = self.row(number, "queued")
            case _:
                """Impossible now."""

    def states(self) -> list[RunState]:
        return [RunState(run.number, run.status, run.outcome, run.completed_at, self.now) for run in self.runs.values()]


STEP = st.tuples(
    st.sampled_from(["claim", "end", "release", "cancel", "retry", "delete", "add", "look", "claim", "end", "look"]),
    st.integers(0, 5),
    st.sampled_from(sorted(ENDS)),
)


@given(count=st.integers(1, 4), steps=st.lists(STEP, max_size=60), most=st.integers(1, 5))
@settings(max_examples=300)
def test_whatever_happens_the_events_lead_to_how_things_are(
    count: int, steps: list[tuple[str, int, str]], most: int
) -> None:
    world, told = World(count), Told()
    events: list[NewEvent] = []

    def look() -> bool:
        states = world.states()
        changed = changed_runs(told, states)
        found = [world.runs[number] for number in changed[:most]]
        over = len(changed) <= most and all(run.outcome for run in world.runs.values())
        gone = [number for number in told.numbers() if number not in world.runs]
        new = news(told, SUBJECT, found, total=len(world.runs), now=world.now, gone=gone, all_over=over)
        for event in new:
            told.apply(event, told.seq + 1)
        events.extend(new)
        return bool(new)

    for what, place, outcome in steps:
        if what == "look":
            look()
        else:
            world.happen(what, place, outcome)
    for _ in range(1000):
        if not look():
            break
    else:
        pytest.fail("there is always something new")
    assert [event.type for event in events].count("execution_started") == 1
    known: dict[int, tuple[str, ...]] = {}
    for event in events:  # a run begins before it is over, and is over before it is retried
        if event.run is None:
            continue
        before, state = known.get(event.run, ()), event.type
        data = json.loads(event.data)
        match state:
            case "run_started":
                assert before in {(), ("run_retried",)}
            case "run_completed":
                assert before[:1] != ("run_completed",) or before[1] != data["outcome"]
            case "run_retried":
                assert before[:1] == ("run_completed",)
            case _:
                assert before
        known[event.run] = () if state == "run_deleted" else (state, *([data["outcome"]] if "outcome" in data else []))
    ended = {number: run.outcome for number, run in world.runs.items() if run.outcome}
    assert {number: state[1] for number, state in known.items() if state[:1] == ("run_completed",)} == ended
    last = json.loads(events[-1].data)["counts"]
    assert last["completed"] == len(ended)
    assert last["total"] == last["queued"] + last["running"] + last["completed"]
    over = len(ended) == len(world.runs)
    assert over == (told.over and told.completed == len(world.runs))
    again = Told()  # somebody who reads what was stored knows the same
    for seq, event in enumerate(events, 1):
        again.apply(event, seq)
    assert changed_runs(again, world.states()) == []
    assert again.counts.of(9) == told.counts.of(9)
