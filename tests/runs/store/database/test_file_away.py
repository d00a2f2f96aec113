"""The file of an SQLite database that is removed, moved or replaced while it is open: nobody writes into nowhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from queued_runs import PASSED, add_projects, claimed, put

from duologue.errors import StoreError, StoreUnavailableError
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import count_runs
from duologue.runs.store.records import ClaimedRun, QueueStatus

Use = Callable[[Database, ClaimedRun], Awaitable[object]]
USES: dict[str, Use] = {
    "count": lambda database, _: count_runs(database),
    "put in": lambda database, _: put(database, "more"),
    "claim": lambda database, _: claimed(database),
    "append": lambda database, run: database.writer.append(run, 1, [(0, b"line")]),
    "heartbeat": lambda database, run: database.queue.heartbeat("w", [run]),
    "recover": lambda database, _: database.queue.recover(),
    "give back": lambda database, run: database.queue.release(run),
    "finish": lambda database, run: database.queue.finish(run, PASSED),
}


def parts(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_file_that_is_moved_away_is_an_error_until_it_is_back(use: Use, tmp_path: Path) -> None:
    path, away = tmp_path / "runs.db", tmp_path / "away"
    away.mkdir()
    async with Database.open(path) as database:
        await add_projects(database, "p")
        await put(database, "a", "b")
        (run,) = await database.queue.claim("w", 1)
        for part in parts(path):
            part.rename(away / part.name)
        with pytest.raises(StoreError, match=r"runs\.db: the file of the database was removed or moved.*Put it back"):
            await use(database, run)
        assert not parts(path)
        for part in away.iterdir():
            part.rename(path.with_name(part.name))
        await use(database, run)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_file_that_is_replaced_gets_nothing_that_was_meant_for_another(use: Use, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with Database.open(path) as database:
        await add_projects(database, "p")
        await put(database, "a", "b")
        (run,) = await database.queue.claim("w", 1)
        for part in parts(path):
            part.rename(tmp_path / f"old-{part.name}")
        async with Database.open(path) as other:
            await add_projects(other, "p")
            await put(other, "other")
        with pytest.raises(
            StoreError, match=r"was replaced by another one while it was open.*start it again"
        ) as caught:
            await use(database, run)
        assert not isinstance(caught.value, StoreUnavailableError)
    async with Database.open(path) as other:
        assert dict(await other.queue.counts()) == {QueueStatus.QUEUED: 1}
