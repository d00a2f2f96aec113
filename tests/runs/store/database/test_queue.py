"""The queue on both kinds of database: put in, taken once, kept, given back, set aside."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from queued_runs import PASSED, SNAPSHOT, claimed, end_lease, new_runs, put

from duologue.errors import LeaseLostError, StoreConflictError
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import RunFilter, count_runs, get_run, list_runs
from duologue.runs.store.records import (
    ClaimedRun,
    FinishedRun,
    NewExecution,
    NewRun,
    ProviderLimit,
    QueueStatus,
)
from duologue.suites.plan.build import TestCase


async def test_a_run_is_taken_once_by_many_who_want_it(database: Database) -> None:
    names = [f"r{number}" for number in range(60)]
    await put(database, *names)

    taken = await asyncio.gather(*(claimed(database, 7, worker=f"w{number}") for number in range(20)))

    assert sorted(name for part in taken for name in part) == sorted(names)


async def test_a_run_is_what_was_put_in(database: Database) -> None:
    case = TestCase(index=3, scenario="order", agent="a", perturbation=(("x", "\0 é"),), trial=2, trials=3, seed=2**62)
    new = NewRun(id="r", snapshot=SNAPSHOT.digest, case=case, thread_id="thread", priority=4)
    put_in = await database.queue.enqueue(
        "p", [new], snapshots=[SNAPSHOT], execution=NewExecution(name="e", data={"n": 1})
    )

    (run,) = await database.queue.claim("w", 5)

    assert put_in.execution is not None
    assert (run.case, run.thread_id, run.token, run.attempts) == (case, "thread", 1, 1)
    assert (run.execution_id, run.execution, run.project_id) == (put_in.execution.id, "e", "p")
    stored = await get_run(database, "r")
    assert stored is not None
    assert (stored.case, stored.status, stored.owner, stored.priority) == (case, QueueStatus.RUNNING, "w", 4)


async def test_priority_comes_before_age(database: Database) -> None:
    await put(database, "old", "older")
    await put(database, "urgent", priority=5)

    assert await claimed(database, 3) == ["urgent", "old", "older"]


async def test_a_project_with_many_runs_does_not_starve_another(database: Database) -> None:
    await put(database, *(f"p{number}" for number in range(100)))
    await put(database, "q1", "q2", project="q")

    assert Counter(name[0] for name in await claimed(database, 4)) == {"p": 2, "q": 2}
    assert len(await claimed(database, 10)) == 10


async def test_a_run_is_not_taken_before_its_time(database: Database) -> None:
    now = database.context.clock.now()
    await put(database, "later", not_before=now + 1000)
    await put(database, "due", not_before=now - 1)

    assert await claimed(database, 5) == ["due"]
    assert database.queue.wait is not None
    assert 900 < database.queue.wait <= 1001


async def test_a_finished_run_is_over_and_cannot_be_finished_again(database: Database) -> None:
    await put(database, "r")
    (run,) = await database.queue.claim("w", 1)
    messages = [{"role": "user", "content": "hi \0 \ud800"}]

    await database.queue.finish(
        run,
        FinishedRun(
            status=QueueStatus.COMPLETED,
            outcome="fail",
            score=0.5,
            reason="a\0b",
            output={"key": "\0"},
            messages=messages,
        ),
    )  # pyright: ignore[reportArgumentType]

    stored = await get_run(database, "r")
    assert stored is not None
    assert (stored.status, stored.outcome, stored.score, stored.reason) == (QueueStatus.COMPLETED, "fail", 0.5, "a�b")
    assert stored.messages == [{"role": "user", "content": "hi \0 �"}]
    assert stored.completed_at is not None
    assert stored.owner is None
    with pytest.raises(LeaseLostError, match="run r is not this worker's"):
        await database.queue.finish(run, PASSED)
    with pytest.raises(LeaseLostError):
        await database.writer.append(run, 1, [(0, b"{}")])


async def test_what_a_worker_writes_after_it_lost_its_run_is_refused(database: Database) -> None:
    await put(database, "r", "other")
    (first,) = await database.queue.claim("slow", 1)
    (other,) = await database.queue.claim("well", 1)
    await end_lease(database, "slow")

    recovered = await database.queue.recover()
    (second,) = await database.queue.claim("well", 1)

    assert recovered.requeued == ("r",)
    assert (second.id, second.token, second.attempts) == ("r", first.token + 2, 2)
    outcomes = await asyncio.gather(
        database.writer.append(first, 1, [(0, b"old")]),
        database.queue.finish(first, PASSED),
        database.writer.append(other, 1, [(0, b"in the same batch")]),
        database.writer.append(second, 1, [(0, b"new")]),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [LeaseLostError, LeaseLostError, type(None), type(None)]


async def test_a_heartbeat_keeps_runs_and_says_what_was_lost_and_cancelled(database: Database) -> None:
    await put(database, "kept", "stopped", "gone")
    runs = await database.queue.claim("w", 3)
    await end_lease(database, "w")

    beat = await database.queue.heartbeat("w", runs)
    assert (beat.lost, beat.cancelling) == (frozenset(), frozenset())
    assert (await database.queue.recover()).requeued == ()

    assert (await database.queue.cancel(["stopped", "unknown"])).stopping == ("stopped",)
    assert (await database.queue.heartbeat("w", runs)).cancelling == {"stopped"}

    await end_lease(database, "w")
    await database.queue.recover()
    beat = await database.queue.heartbeat("w", runs)
    assert beat.lost == {"kept", "stopped", "gone"}
    stopped = await get_run(database, "stopped")
    assert stopped is not None
    assert stopped.status is QueueStatus.CANCELLED


async def test_recovery_leaves_the_runs_of_those_who_live(database: Database) -> None:
    await put(database, "r", "s")
    await database.queue.claim("alive", 1)
    await database.queue.claim("dead", 1)
    await end_lease(database, "dead")

    assert (await database.queue.recover()).requeued == ("s",)
    assert {item.id: item.state for item in await database.queue.workers()} == {"alive": "running", "dead": "lost"}


async def test_a_run_that_kills_its_workers_is_set_aside(database: Database) -> None:
    await put(database, "poison", max_attempts=2)
    for worker in ("one", "two"):
        await database.queue.claim(worker, 1)
        await end_lease(database, worker)
        recovered = await database.queue.recover()

    assert recovered.set_aside == ("poison",)  # pyright: ignore[reportPossiblyUnboundVariable]
    stored = await get_run(database, "poison")
    assert stored is not None
    assert stored.status is QueueStatus.ERROR
    assert "2 workers died while they had this run, the last one was two" in (stored.error or "")


async def test_a_run_that_is_given_back_has_lost_no_attempt(database: Database) -> None:
    await put(database, "r")
    (run,) = await database.queue.claim("w", 1)
    await database.queue.release(run)
    (again,) = await database.queue.claim("w", 1)

    assert (again.attempts, again.token > run.token) == (1, True)


async def test_only_an_error_can_be_retried(database: Database) -> None:
    await put(database, "r")
    with pytest.raises(StoreConflictError, match='Cannot retry run with status "queued"'):
        await database.queue.retry("r")
    (run,) = await database.queue.claim("w", 1)
    await database.writer.append(run, 1, [(0, b"first")])
    await database.queue.finish(run, FinishedRun(status=QueueStatus.ERROR, outcome="error", error="broken"))

    await database.queue.retry("r", thread_id="new")

    stored = await get_run(database, "r")
    assert stored is not None
    assert (stored.status, stored.error, stored.outcome, stored.messages) == (QueueStatus.QUEUED, None, None, ())
    (again,) = await database.queue.claim("w", 1)
    assert (again.attempts, again.thread_id, again.journal_from) == (1, "new", 2)


async def test_a_cancelled_run_is_never_taken(database: Database) -> None:
    await put(database, "r", "s")
    assert (await database.queue.cancel(["r"])).cancelled == ("r",)
    assert await claimed(database, 5) == ["s"]
    assert dict(await database.queue.counts("p")) == {QueueStatus.CANCELLED: 1, QueueStatus.RUNNING: 1}


async def test_limits_hold_for_all_workers_together(database: Database) -> None:
    await database.queue.set_limit(ProviderLimit(provider="few", max_concurrency=3))
    await database.queue.set_limit(ProviderLimit(provider="slow", per_second=0.001, burst=2))
    await put(database, *(f"f{number}" for number in range(10)), provider="few")
    await put(database, *(f"s{number}" for number in range(10)), provider="slow")
    await put(database, *(f"n{number}" for number in range(3)))

    taken = await asyncio.gather(*(claimed(database, 4, worker=f"w{number}") for number in range(6)))

    assert Counter(name[0] for part in taken for name in part) == {"f": 3, "s": 2, "n": 3}
    assert await claimed(database, 5) == []
    assert database.queue.wait is not None
    assert 0 < database.queue.wait <= 1000


async def test_twenty_executions_at_once_have_twenty_ids(database: Database) -> None:
    made = await asyncio.gather(*(database.queue.create_execution("p", NewExecution()) for _ in range(20)))
    assert len({item.id for item in made}) == 20
    with pytest.raises(StoreConflictError, match="has an execution 'same' already"):
        await asyncio.gather(*(database.queue.create_execution("p", NewExecution(name="same")) for _ in range(2)))


async def test_all_runs_are_put_in_or_none(database: Database) -> None:
    await put(database, "r")
    with pytest.raises(StoreConflictError):
        await database.queue.enqueue("p", new_runs("new", "r"), execution=NewExecution(name="e"))
    assert await count_runs(database) == 1
    with pytest.raises(StoreConflictError, match="no project"):
        await database.queue.enqueue("nobody", new_runs("x"), snapshots=[SNAPSHOT], execution=NewExecution())


async def test_lists_are_read_page_by_page(database: Database) -> None:
    await put(database, *(f"r{number}" for number in range(25)))
    await put(database, "other", project="q")

    found: list[str] = []
    after = None
    while True:
        page = await list_runs(database, RunFilter(project_id="p"), limit=10, after=after)
        found += [run.id for run in page.runs]
        if (after := page.next) is None:
            break

    assert found == [f"r{number}" for number in range(25)]
    newest = await list_runs(database, limit=2, descending=True)
    assert [run.id for run in newest.runs] == ["other", "r24"]
    assert await count_runs(database, RunFilter(status=[QueueStatus.QUEUED], project_id="p")) == 25


async def test_whoever_waits_is_woken_by_what_another_process_does(where: str, database: Database) -> None:
    async with Database.open(where) as other:
        with other.wakeup.listen() as listener:
            await listener.wait(0.3)  # until it listens
            waiting: Sequence[ClaimedRun] = []
            await put(database, "r")
            topics = await listener.wait(30)
            waiting = await other.queue.claim("w", 1)
            assert "queued" in topics
            assert [run.id for run in waiting] == ["r"]
            await database.queue.cancel(["r"])
            topics = await listener.wait(30)
            while "cancelled" not in topics:
                topics = await listener.wait(30)
