"""The queue when two things happen at once, or when something breaks in the middle, on both kinds of database."""

from __future__ import annotations

import asyncio

import pytest
from queued_runs import PASSED, claimed, put

from duologue.errors import LeaseLostError, StoreError
from duologue.runs.run_changes import change_run
from duologue.runs.service import RunService
from duologue.runs.store.database.changes import BatchResult
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import get_run
from duologue.runs.store.records import QueueStatus


async def test_a_run_that_is_cancelled_while_its_worker_gives_it_back_is_over(database: Database) -> None:
    await put(database, "r", "s")
    cancelled, other = await database.queue.claim("w", 2)
    await database.queue.cancel(["r"])

    await asyncio.gather(database.queue.release(cancelled), database.queue.release(other))

    stored = await get_run(database, "r")
    assert stored is not None
    assert (stored.status, stored.outcome, stored.owner) == (QueueStatus.CANCELLED, "cancelled", None)
    assert stored.cancelling is False
    assert stored.completed_at is not None
    assert await claimed(database, 5) == ["s"]
    with pytest.raises(LeaseLostError):
        await database.queue.finish(cancelled, PASSED)


@pytest.mark.parametrize("status", ["queued", "pending"])
async def test_a_run_that_is_over_begins_anew_when_somebody_puts_it_back(database: Database, status: str) -> None:
    await put(database, "r")
    (run,) = await database.queue.claim("w", 1)
    await database.writer.append(run, 1, [(0, b"first")])
    await database.queue.finish(run, PASSED)

    for name in dict.fromkeys([status, "queued"]):
        await database.write(lambda connection, name=name: change_run(connection, "r", "p", {"status": name}, 0.0))

    (again,) = await database.queue.claim("w", 1)
    assert again.journal_from == 2
    await database.queue.release(again)
    await database.write(lambda connection: change_run(connection, "r", "p", {"status": "queued"}, 0.0))
    (again,) = await database.queue.claim("w", 1)
    assert again.journal_from == 2


async def test_whatever_goes_wrong_while_a_batch_is_written_everybody_in_it_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database, "r")
    (run,) = await database.queue.claim("w", 1)

    async def no_answer_for_heartbeats(*_: object, **__: object) -> BatchResult:
        return BatchResult()

    async with asyncio.timeout(30):
        with monkeypatch.context() as patched:
            patched.setattr(database.driver, "write", no_answer_for_heartbeats)
            with pytest.raises(StoreError, match="recording runs"):
                await database.queue.heartbeat("w", [run])
        await database.queue.finish(run, PASSED)


async def test_many_runs_are_cancelled_at_once(database: Database) -> None:
    await put(database, "r", "s")
    await put(database, "other", project="q")
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None

    done = await RunService(database, project).cancel_runs("r", *(f"none-{n}" for n in range(40_000)), "s", "other")

    assert done.cancelled == ("r", "s")
