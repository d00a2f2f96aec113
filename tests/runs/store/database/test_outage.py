"""What the operator is told of a database that is away: once that it is, and once that it is back."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from queued_runs import add_projects, put
from queued_suites import enqueue

from duologue import AgentAdapter, AgentInput
from duologue.errors import StoreUnavailableError
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database import outage
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import count_runs


class Bot(AgentAdapter):
    async def call(self, input: AgentInput) -> str:
        return "ok"


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def until_told(caplog: pytest.LogCaptureFixture, count: int) -> None:
    while len(told(caplog)) < count:
        await asyncio.sleep(0.01)


async def test_a_worker_says_once_that_its_database_is_away_and_once_that_it_is_back(
    postgres: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Database.open(postgres.new_database(), create=True, lease=1.0) as database:
        await add_projects(database, "p")
        processor = RunProcessor(database, poll_interval=0.05, agents={"bot": Bot})
        await processor.start()
        for _ in range(2):
            caplog.clear()
            await asyncio.to_thread(postgres.stop)
            try:
                await until_told(caplog, 1)
                await asyncio.sleep(1.0)  # heartbeats, claims and schedules fail meanwhile, and say nothing
                assert len(told(caplog)) == 1
            finally:
                await asyncio.to_thread(postgres.start)
            await until_told(caplog, 2)
            away, back = told(caplog)
            assert away.startswith("the database is away, and is waited for: postgresql://")
            seconds = re.match(r"the database is back after ([\d.]+) s: postgresql://", back)
            assert seconds is not None
            assert float(seconds[1]) >= 1.0
        await enqueue(database, tmp_path, 1)
        while not processor.outcomes.total():
            await asyncio.sleep(0.01)
        await processor.stop()
        assert len(told(caplog)) == 2


async def test_it_is_told_once_although_nobody_waits_long_enough(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Database.open(postgres.new_database(), create=True, patience=0.0) as database:
        await asyncio.to_thread(postgres.stop)
        try:
            for _ in range(3):
                with pytest.raises(StoreUnavailableError):
                    await count_runs(database)
        finally:
            await asyncio.to_thread(postgres.start)
        assert len(told(caplog)) == 1
        while len(told(caplog)) < 2:
            try:
                await count_runs(database)
            except StoreUnavailableError:
                await asyncio.sleep(0.01)
        assert "is back after" in told(caplog)[1]


async def test_a_connection_that_broke_and_was_made_anew_is_no_outage(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres.new_database()
    async with Database.open(url, create=True) as database:
        await add_projects(database, "p")
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        async with Database.open(postgres.new_database(), create=True) as other:
            await other.outside_transaction(f"{cut} AND datname = '{url.rpartition('/')[2]}'")
        await put(database, "a")
        assert await count_runs(database) == 1
    assert not told(caplog)


async def test_a_file_that_another_process_holds_for_long_is_told_although_it_can_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "BUSY", 0.3)
    async with Database.open(tmp_path) as database:
        await add_projects(database, "p")
        other = sqlite3.connect(tmp_path / "duologue.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(put(database, "a"))
        await until_told(caplog, 1)
        assert await count_runs(database) == 0
        assert len(told(caplog)) == 1
        other.execute("COMMIT")
        other.close()
        await waiting
        away, back = told(caplog)
        assert away.startswith(f"the database is away, and is waited for: {tmp_path}")
        assert back.startswith("the database is back after ")
