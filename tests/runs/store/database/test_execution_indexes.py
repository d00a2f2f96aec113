"""What is kept of an execution that is over: it spares reading results, and is not shown once something has changed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sample_executions import hotel, many
from sqlalchemy import delete, event, func, select, update
from sqlalchemy.engine import Engine

from duologue.errors import NotFoundError
from duologue.journal import FolderArtifacts
from duologue.runs.run_changes import change_run
from duologue.runs.store.database import execution_indexes as kept
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.results_import import import_results
from duologue.runs.store.database.schema import execution_indexes, executions, results, runs
from duologue.runs.store.folder import write_execution
from duologue.server.execution_view import SHARE, ExecutionView, ExecutionViews

Shown = dict[str, Any]


@pytest.fixture
async def execution(database: Database, tmp_path: Path) -> int:
    """The number of an execution that is over: every outcome, two agents, trials."""
    write_execution(hotel(), tmp_path / "hotel")
    return (await import_results(database, FolderArtifacts(tmp_path), tmp_path / "hotel", "p")).execution.id


async def shown(database: Database, execution: int) -> Shown:
    """What the pages of a server show that was just started."""
    view = await ExecutionViews(database).of("p", execution)
    return await shown_of(view)


async def shown_of(view: ExecutionView) -> Shown:
    overview = await view.overview(lambda _: None)
    page = overview.data()
    if not view.over:
        del page["seconds"]  # they go on
    return {"page": page, "lines": view.lines(overview), "matrix": view.matrix(overview)}


async def shown_without(database: Database, execution: int) -> Shown:
    """The same, when nothing is kept."""
    await database.write(lambda connection: connection.execute(delete(execution_indexes)))
    return await shown(database, execution)


async def count(database: Database) -> int:
    asked = select(func.count()).select_from(execution_indexes)
    return await database.read(lambda connection: connection.execute(asked).scalar_one())


@contextmanager
def results_read() -> Iterator[list[str]]:
    """The statements that read results."""
    found: list[str] = []

    def told(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "results.data" in statement:
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", told)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", told)


async def test_results_are_read_once_whatever_servers_show_them(where: str, database: Database, execution: int) -> None:
    with results_read() as read:
        first = await shown(database, execution)
        assert len(read) == 1
        read.clear()
        async with Database.open(where) as other:
            assert await shown(other, execution) == first
        assert await shown(database, execution) == first
        assert read == []
    assert await shown_without(database, execution) == first


async def test_a_long_execution_is_shown_without_its_results(database: Database, tmp_path: Path) -> None:
    write_execution(many(450, turns=1), tmp_path / "night")
    execution = (await import_results(database, FolderArtifacts(tmp_path), tmp_path / "night", "p")).execution.id
    with results_read() as read:
        first = await shown(database, execution)
        assert len(read) == 3
        read.clear()
        assert await shown(database, execution) == first
        assert read == []


async def test_servers_that_look_at_once_keep_one(where: str, database: Database, execution: int) -> None:
    async with Database.open(where) as other:
        found = await asyncio.gather(*(shown(each, execution) for each in (database, other, database, other)))
    assert all(each == found[0] for each in found)
    assert await count(database) == 1


async def some_run(database: Database, execution: int, outcome: str) -> Any:
    asked = select(runs).where(runs.c.execution_id == execution, runs.c.outcome == outcome).order_by(runs.c.number)
    row = await database.read(lambda connection: connection.execute(asked).first())
    assert row is not None
    return row


async def called_passed(database: Database, execution: int) -> None:
    run, now = await some_run(database, execution, "fail"), database.context.clock.now()
    changes = {"result": {"success": True}}
    assert await database.write(lambda connection: change_run(connection, run.id, "p", changes, now))


async def cancelled(database: Database, execution: int) -> None:
    run, now = await some_run(database, execution, "pass"), database.context.clock.now()
    assert await database.write(lambda connection: change_run(connection, run.id, "p", {"status": "cancelled"}, now))


async def retried(database: Database, execution: int) -> None:
    await database.queue.retry((await some_run(database, execution, "error")).id)


async def deleted(database: Database, execution: int) -> None:
    run = await some_run(database, execution, "pass")
    await database.write(lambda connection: connection.execute(delete(runs).where(runs.c.number == run.number)))


async def allowed_more(database: Database, execution: int) -> None:
    of_it = executions.c.id == execution
    found = await database.read(lambda one: one.execute(select(executions.c.data).where(of_it)).scalar_one())
    data = {**found, "allowance": {"undecided": 5, "errors": 5, "pass_rate": 0.1}}
    await database.write(lambda one: one.execute(update(executions).where(of_it).values(data=data)))


async def renamed(database: Database, execution: int) -> None:
    named = update(executions).where(executions.c.id == execution).values(name="renamed")
    await database.write(lambda connection: connection.execute(named))


CHANGES = (called_passed, cancelled, retried, deleted, allowed_more, renamed)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_what_has_changed_is_shown_as_it_is(
    database: Database, execution: int, change: Callable[[Database, int], Awaitable[None]]
) -> None:
    open_before = await ExecutionViews(database).of("p", execution)
    before = await shown_of(open_before)
    assert await count(database) == 1
    await change(database, execution)
    after = await shown(database, execution)
    assert after != before
    open_before._looked = None  # the quarter of a second in which it is not looked at again is over
    await open_before.refresh()
    assert await shown_of(open_before) == after
    assert await shown_without(database, execution) == after


async def test_an_execution_that_goes_with_its_index_is_gone(database: Database, execution: int) -> None:
    await shown(database, execution)
    await database.write(lambda connection: connection.execute(delete(executions).where(executions.c.id == execution)))
    assert await count(database) == 0
    with pytest.raises(NotFoundError):
        await shown(database, execution)


@pytest.mark.parametrize("damage", [b"", b"no zlib", "cut", "list"], ids=["empty", "other bytes", "cut", "a list"])
async def test_what_is_damaged_is_made_again(database: Database, execution: int, damage: bytes | str) -> None:
    first = await shown(database, execution)
    data = await database.read(lambda one: one.execute(select(execution_indexes.c.data)).scalar_one())
    bad = {"cut": data[: len(data) // 2], "list": kept.packed_index([])}.get(damage, damage)  # type: ignore[arg-type]
    await database.write(lambda connection: connection.execute(update(execution_indexes).values(data=bad)))
    with results_read() as read:
        assert await shown(database, execution) == first
        assert len(read) == 1
        assert await shown(database, execution) == first
        assert len(read) == 1


@pytest.mark.parametrize("name", ["VERSION", "SCHEMA_VERSION", "__version__"])
async def test_what_other_code_has_kept_is_made_again(
    database: Database, execution: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shown(database, execution)
    monkeypatch.setattr(kept, name, 99)
    with results_read() as read:
        await shown(database, execution)
        assert len(read) == 1


async def test_nothing_is_kept_of_what_has_changed_meanwhile(
    database: Database, execution: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await ExecutionViews(database).of("p", execution)
    await called_passed(database, execution)
    await shown_of(view)
    assert await count(database) == 0


async def test_nothing_is_kept_while_runs_are_open(database: Database, execution: int) -> None:
    await retried(database, execution)
    found = await shown(database, execution)
    assert [line["outcome"] for line in found["lines"]].count("queued") == 1
    assert await count(database) == 0


async def test_labels_have_what_judges_decided_although_an_index_is_kept(database: Database, execution: int) -> None:
    view = await ExecutionViews(database).of("p", execution)
    await shown_of(view)
    first = await view.results()
    again = await ExecutionViews(database).of("p", execution)
    assert await again.results() == first
    total = select(func.count()).select_from(results)
    assert len(first) == await database.read(lambda connection: connection.execute(total).scalar_one())


async def test_a_view_under_way_is_read_as_rarely_as_it_costs(database: Database, execution: int) -> None:
    view = await ExecutionViews(database).of("p", execution)
    view._work = 100.0
    assert view.again < 1.0  # over: what it has cost is no reason to wait
    await retried(database, execution)
    view._looked = None
    asked = database.context.clock.monotonic()
    await view.refresh()
    assert not view.over
    assert view.again_since(asked) == 0.0
    view._work = 100.0
    version = view.version
    await cancelled(database, execution)
    await view.refresh()
    assert view.version == version
    assert 90.0 * SHARE < view.again_since(database.context.clock.monotonic()) <= 100.0 * SHARE
    view._work = view._looked = 0.0
    view._changed = -1000.0
    await view.refresh()
    assert view.version == version + 1


KILLED = """
    import asyncio, os, signal, sys
    from duologue.runs.store.database.engine import Database
    from duologue.server import execution_view

    keep = execution_view.keep_index

    def killed(*arguments):
        assert keep(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        execution_view.keep_index = killed
        async with Database.open(sys.argv[1]) as database:
            view = await execution_view.ExecutionViews(database).of("p", int(sys.argv[2]))
            await view.overview(lambda _: None)

    asyncio.run(main())
"""


async def test_a_server_that_is_killed_while_it_writes_leaves_nothing(
    where: str, database: Database, execution: int
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), where, str(execution)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert await count(database) == 0
    first = await shown(database, execution)
    assert await count(database) == 1
    assert await shown(database, execution) == first
