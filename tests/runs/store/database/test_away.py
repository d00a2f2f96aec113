"""A database that goes away, and clocks that jump: what was asked happens once, or is an error."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from database_proxy import proxied
from postgres_server import PostgresServer
from queued_runs import PASSED, SNAPSHOT, add_projects, claimed, new_runs, put

from duologue.context import Context, SystemClock
from duologue.errors import StoreError, StoreUnavailableError
from duologue.runs.store.database.clocks import ClockWatch, since_boot
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import count_runs, get_run
from duologue.runs.store.records import NewExecution, QueueStatus


async def test_a_transaction_whose_end_nobody_told_happens_once(postgres: PostgresServer) -> None:
    async with proxied(postgres.new_database()) as (url, proxy), Database.open(url, create=True) as database:
        await add_projects(database, "p")

        proxy.cut_at = b"COMMIT"
        put_in = await database.queue.enqueue("p", new_runs("a", "b"), snapshots=[SNAPSHOT], execution=NewExecution())
        assert put_in.execution is not None
        assert await count_runs(database) == 2

        proxy.cut_at = b"worker whose answer is lost"
        runs = await database.queue.claim("worker whose answer is lost", 5)
        assert [(run.id, run.attempts) for run in runs] == [("a", 1), ("b", 1)]

        proxy.cut_at = b"the first line"
        await database.writer.append(runs[0], 1, [(0, b"the first line")])
        proxy.cut_at = b"the second line"
        await asyncio.gather(
            database.writer.append(runs[0], 1, [(1, b"the second line")]), database.queue.finish(runs[0], PASSED)
        )
        proxy.cut_at = b"COMMIT"
        await database.queue.release(runs[1])
        assert proxy.cuts == 5
        assert dict(await database.queue.counts()) == {QueueStatus.COMPLETED: 1, QueueStatus.QUEUED: 1}
        (again,) = await database.queue.claim("w", 5)
        assert (again.id, again.attempts) == ("b", 1)


async def test_a_transaction_that_was_cut_off_before_its_end_happens_once(postgres: PostgresServer) -> None:
    async with proxied(postgres.new_database()) as (url, proxy), Database.open(url, create=True) as database:
        await add_projects(database, "p")
        for cut_at in (b"INSERT INTO runs", b"SELECT pg_current_xact_id"):
            proxy.cut_at = cut_at
            await put(database, cut_at.decode())
        assert proxy.cuts == 2
        assert await count_runs(database) == 2


async def test_a_server_that_restarts_is_waited_for(postgres: PostgresServer) -> None:
    async with Database.open(postgres.new_database(), create=True) as database:
        await add_projects(database, "p")
        await put(database, "a", "b")
        runs = await database.queue.claim("w", 2)
        with database.wakeup.listen() as listener:
            await listener.wait(30)
            await asyncio.to_thread(postgres.stop)
            waiting = [
                asyncio.create_task(database.writer.append(runs[0], 1, [(0, b"line")])),
                asyncio.create_task(database.queue.finish(runs[0], PASSED)),
                asyncio.create_task(database.queue.heartbeat("w", runs)),
                asyncio.create_task(put(database, "c")),
                asyncio.create_task(count_runs(database)),
            ]
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in waiting)
            await asyncio.to_thread(postgres.start)
            await asyncio.gather(*waiting)
            while "queued" not in await listener.wait(30):
                pass
        assert dict(await database.queue.counts()) == {
            QueueStatus.COMPLETED: 1,
            QueueStatus.RUNNING: 1,
            QueueStatus.QUEUED: 1,
        }


async def test_patience_ends(postgres: PostgresServer) -> None:
    async with proxied(postgres.new_database()) as (url, _):
        async with Database.open(url, create=True):
            pass
        context = Database.open(url, patience=0.5)
        database = await context.__aenter__()
        await add_projects(database, "p")
        await put(database, "a")
        (run,) = await database.queue.claim("w", 1)
        await asyncio.to_thread(postgres.stop)
        try:
            for doing in (database.queue.finish(run, PASSED), count_runs(database), database.queue.claim("w", 1)):
                with pytest.raises(StoreUnavailableError):
                    await doing
        finally:
            await asyncio.to_thread(postgres.start)
        await database.queue.finish(run, PASSED)
        await context.__aexit__(None, None, None)


async def test_a_file_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    async with Database.open(tmp_path) as database:
        await add_projects(database, "p")
        await put(database, "a", "b")
        (run, _) = await database.queue.claim("w", 2)
        other = sqlite3.connect(tmp_path / "duologue.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = [
            asyncio.create_task(database.queue.finish(run, PASSED)),
            asyncio.create_task(put(database, "c")),
            asyncio.create_task(database.queue.heartbeat("w", [run])),
        ]
        assert await count_runs(database) == 2  # readers wait for nobody
        await asyncio.sleep(0.6)
        assert not any(task.done() for task in waiting)
        other.execute("COMMIT")
        other.close()
        await asyncio.gather(*waiting)
        assert (await database.queue.counts())[QueueStatus.COMPLETED] == 1


async def test_only_what_is_to_blame_for_a_batch_fails(database: Database) -> None:
    await put(database, "good", "bad", "fine")
    good, bad, fine = await database.queue.claim("w", 3)

    outcomes = await asyncio.gather(
        database.writer.append(good, 1, [(0, b"line")]),
        database.writer.append(bad, 2**80, [(0, b"line")]),
        database.queue.finish(fine, PASSED),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), StoreError, type(None)]
    stored = await get_run(database, "fine")
    assert stored is not None
    assert stored.status is QueueStatus.COMPLETED


async def test_work_comes_from_any_event_loop_and_thread(database: Database) -> None:
    await put(database, *(f"r{number}" for number in range(12)))

    def elsewhere(worker: str) -> list[str]:
        async def work() -> list[str]:
            runs = await database.queue.claim(worker, 3)
            await asyncio.gather(*(database.writer.append(run, 1, [(0, b"x")]) for run in runs))
            await asyncio.gather(*(database.queue.finish(run, PASSED) for run in runs))
            return [run.id for run in runs]

        return asyncio.run(work())

    done = await asyncio.gather(*(asyncio.to_thread(elsewhere, f"w{number}") for number in range(4)))
    assert len({name for names in done for name in names}) == 12
    assert dict(await database.queue.counts()) == {QueueStatus.COMPLETED: 12}


async def test_what_a_claim_takes_whose_caller_has_left_goes_back(database: Database) -> None:
    await put(database, "r")
    async with database.hot:  # the claim waits
        claiming = asyncio.create_task(database.queue.claim("w", 1))
        await asyncio.sleep(0.05)
        claiming.cancel()
        with suppress(asyncio.CancelledError):
            await claiming
    while (taken := await claimed(database)) == []:
        await asyncio.sleep(0.02)
    assert taken == ["r"]


class JumpingClock(SystemClock):
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:  # type: ignore[override]
        return SystemClock.now() + self.ahead


@pytest.mark.parametrize("seconds", [-86_400.0, 86_400.0])
async def test_a_clock_that_is_set_ends_no_lease_and_keeps_none(where: str, seconds: float) -> None:
    clock = JumpingClock()
    async with Database.open(where, create=True, context=Context(clock=clock), lease=30.0) as database:
        await add_projects(database, "p")
        await put(database, "a")
        (run,) = await database.queue.claim("w", 1)
        clock.ahead = seconds
        await put(database, "b")
        assert (await database.queue.recover()).requeued == ()
        assert (await database.queue.heartbeat("w", [run])).lost == frozenset()
        assert await claimed(database, 5) == ["b"]
        await database.queue.finish(run, PASSED)


async def test_a_servers_clock_that_is_set_ahead_ends_no_lease(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database.open(postgres.new_database(), create=True, lease=30.0) as database:
        await add_projects(database, "p")
        await put(database, "a")
        await database.queue.claim("w", 1)
        assert (await database.queue.recover()).requeued == ()

        server = database.now
        monkeypatch.setattr(database, "now", lambda connection: server(connection) + 3600)
        assert (await database.queue.recover()).requeued == ()

        passed = since_boot
        monkeypatch.setattr("duologue.runs.store.database.recovery.since_boot", lambda: passed() + 31)
        assert (await database.queue.recover()).requeued == ("a",)  # nobody has renewed it since


@pytest.mark.parametrize(
    ("now", "trusted"),
    [
        ([0, 10, 20, 30], [True, True, True, True]),
        ([0, 1000, 1010, 1020, 1030, 1040], [True, False, False, False, True, True]),
        ([0, -1000, -990], [True, True, True]),
        ([0, 12, 24], [True, True, True]),
    ],
)
def test_a_jump_of_a_clock_is_noticed(now: list[float], trusted: list[bool]) -> None:
    watch = ClockWatch(lease=30.0)
    assert [watch.trusts(time, 10.0 * place) for place, time in enumerate(now)] == trusted
