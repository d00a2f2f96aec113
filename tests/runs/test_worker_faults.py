"""A worker whose database or disk refuses what its runs have to record."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from queued_suites import enqueue
from waiting import until

from duologue import AgentAdapter, AgentInput
from duologue.errors import StoreError
from duologue.runs import carry_out
from duologue.runs.carry_out import RunCarrier
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.address import DatabaseAddress
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.failures import store_error
from duologue.runs.store.database.rows import get_run, list_runs
from duologue.runs.store.records import ClaimedRun, QueueStatus, StoredRun


class Bot(AgentAdapter):
    """Answers ``ok``."""

    resumable = True

    async def call(self, input: AgentInput) -> str:
        return "ok"


async def test_runs_that_are_left_over_while_others_are_given_back_are_given_back_as_well(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(database, tmp_path, 2)
    async with RunProcessor(database, agents={"bot": Bot}, max_concurrent=2) as processor:
        worker = processor._worker
        assert worker is not None
        first, second = await database.queue.claim(worker.record.id, 2)
        release = database.queue.release

        async def release_while_another_fails(run: ClaimedRun, **options: object) -> None:
            if run == first and second not in worker._left:
                worker._left.append(second)
            await release(run)

        monkeypatch.setattr(database.queue, "release", release_while_another_fails)
        worker._left.append(first)

        async with asyncio.timeout(30):
            await processor.process_once()

    assert dict(await database.queue.counts()) == {QueueStatus.COMPLETED: 2}


async def test_a_run_that_cannot_be_recorded_is_tried_again_less_and_less_often(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    def pauses() -> list[float]:
        return [float(item) for item in re.findall(r"tried again in ([\d.]+) s: .*the disk is full", caplog.text)]

    await enqueue(database, tmp_path)
    caplog.set_level(logging.WARNING)
    with monkeypatch.context() as patched:
        patched.setattr(database.writer, "append", refuse)
        processor = RunProcessor(database, agents={"bot": Bot}, poll_interval=600)
        await processor.start()
        async with asyncio.timeout(60):
            await until(lambda: len(pauses()) >= 3)
    assert pauses()[:3] == [0.1, 0.2, 0.4]
    async with asyncio.timeout(60):
        while dict(await database.queue.counts()) != {QueueStatus.COMPLETED: 1}:
            await asyncio.sleep(0.01)
    await processor.stop()


async def test_an_agent_that_this_worker_was_not_given_is_an_error_that_says_what_to_do(
    database: Database, tmp_path: Path
) -> None:
    await enqueue(database, tmp_path)
    async with RunProcessor(database) as processor:
        await processor.process_once()
    (run,) = (await list_runs(database)).runs
    assert run.status is QueueStatus.ERROR
    assert "the agent 'bot' is one that a program hands over, and this program has not: pass agents=" in (
        run.error or ""
    )


async def test_a_run_that_cannot_be_read_for_callbacks_is_over_all_the_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def read_once(read_from: Database, run_id: str) -> StoredRun | None:
        if (await get_run(read_from, run_id)).status is QueueStatus.COMPLETED:  # pyright: ignore[reportOptionalMemberAccess]
            raise StoreError("away")
        return await get_run(read_from, run_id)

    monkeypatch.setattr("duologue.runs.worker.get_run", read_once)
    await enqueue(database, tmp_path)
    async with RunProcessor(database, agents={"bot": Bot}, on_run_complete=lambda *_: None) as processor:
        await processor.process_once()
        assert processor._worker is not None
        assert processor._worker._left == []
    assert dict(await database.queue.counts()) == {QueueStatus.COMPLETED: 1}
    assert "is over, and no callback hears of it: away" in caplog.text
    assert "could not be recorded" not in caplog.text


async def test_a_snapshot_that_a_run_takes_up_is_not_closed_to_make_room(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry_out, "MOST_SNAPSHOTS", 1)
    carrier = RunCarrier(database, agents={}, models={}, clock=database.context.clock)

    class Engine:
        async def close(self) -> None:
            taken_up.extend(carrier._prepared)
            await asyncio.sleep(0)

    class Snapshot:
        users = 0
        engine = Engine()

    taken_up: list[str] = []
    carrier._prepared.update({"a": Snapshot(), "b": Snapshot()})  # pyright: ignore[reportArgumentType, reportCallIssue]
    await carrier._make_room()
    assert taken_up == []


async def test_a_run_that_cannot_be_given_back_keeps_no_other_from_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of two runs cannot be recorded, and the first of them cannot be given back either, at first."""
    broken, *_ = await enqueue(database, tmp_path, 2)
    given_back: list[str] = []
    release, finish, failing = database.queue.release, database.queue.finish, [True]

    async def may_release(run: ClaimedRun, *given: Any, **more: Any) -> None:
        if run.id == broken and failing[0]:
            raise StoreError("its row is damaged")
        await release(run, *given, **more)
        given_back.append(run.id)

    async def may_finish(*given: Any, **more: Any) -> None:
        if failing[0]:
            raise StoreError("no end can be recorded")
        await finish(*given, **more)

    monkeypatch.setattr(database.queue, "release", may_release)
    monkeypatch.setattr(database.queue, "finish", may_finish)
    processor = RunProcessor(database, agents={"bot": Bot}, max_concurrent=2, poll_interval=0.01)
    await processor.start()
    while not given_back:
        await asyncio.sleep(0.01)
    assert broken not in given_back
    failing[0] = False
    while processor.outcomes.total() < 2:
        await asyncio.sleep(0.01)
    await processor.stop()


def _of_driver(code: int) -> StoreError:
    """The error of a database that is an SQLite file, as the driver raises it."""
    cause = sqlite3.OperationalError("it is refused")
    cause.sqlite_errorcode = code
    return store_error(cause, DatabaseAddress(path=Path("runs.db")), "recording runs")


class _OfServer(Exception):
    """An error of a server, as asyncpg has it."""

    def __init__(self, state: str) -> None:
        super().__init__(f"refused with {state}")
        self.sqlstate = state


def _of_server(state: str) -> StoreError:
    return store_error(_OfServer(state), DatabaseAddress(url="postgresql://host/name"), "recording runs")


@pytest.mark.parametrize(
    ("refused", "outcome"),
    [
        *((_of_driver(code), "pass") for code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)),
        (_of_driver(sqlite3.SQLITE_IOERR | 3 << 8), "pass"),  # an extended code: the write has failed
        *((_of_server(state), "pass") for state in ("53100", "58030", "42501", "25006")),
        (_of_driver(sqlite3.SQLITE_TOOBIG), "error"),
        (_of_server("22P05"), "error"),
        (StoreError("its result is damaged"), "error"),
    ],
    ids=str,
)
async def test_a_run_is_an_error_only_if_its_own_result_cannot_be_recorded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: StoreError, outcome: str
) -> None:
    """A disk that is full when the result comes, and has room for a line, says nothing about the run."""
    asked: list[str] = []

    class Counting(Bot):
        async def call(self, input: AgentInput) -> str:
            asked.append(input.thread_id)
            return "ok"

    (run_id,) = await enqueue(database, tmp_path)
    finish, failing = database.queue.finish, [refused]

    async def refuse_once(*given: Any, **more: Any) -> None:
        if failing:
            raise failing.pop()
        await finish(*given, **more)

    monkeypatch.setattr(database.queue, "finish", refuse_once)
    processor = RunProcessor(database, agents={"bot": Counting}, poll_interval=0.01)
    await processor.start()
    while not processor.outcomes.total():
        await asyncio.sleep(0.01)
    await processor.stop()
    run = await get_run(database, run_id)
    assert run is not None
    assert (run.outcome, len(asked)) == (outcome, 1)


async def test_media_that_cannot_be_kept_send_the_run_back_into_the_queue(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of media is away for a while: no run ends in an error for that."""
    place = tmp_path / "artifacts"
    place.write_text("a file is in the place of the folder")
    monkeypatch.setenv("DUOLOGUE_ARTIFACTS", str(place))
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20_000)).decode()

    class Painter(Bot):
        async def call(self, input: AgentInput) -> Any:
            url = {"url": f"data:image/png;base64,{image}"}
            content = [{"type": "text", "text": "ok"}, {"type": "image_url", "image_url": url}]
            return {"role": "assistant", "content": content}

    ids = await enqueue(database, tmp_path / "suite", 2)
    processor = RunProcessor(database, agents={"bot": Painter}, poll_interval=0.01)
    released, release = list[str](), database.queue.release

    async def noted(run: ClaimedRun, **options: Any) -> None:
        await release(run, **options)
        released.append(run.id)

    monkeypatch.setattr(database.queue, "release", noted)
    await processor.start()
    await until(lambda: set(released) == set(ids) or processor.outcomes)
    assert not processor.outcomes
    place.unlink()
    await until(lambda: processor.outcomes.total() == 2)
    await processor.stop()
    assert processor.outcomes == {"pass": 2}
    assert len([*place.iterdir()]) == 1
