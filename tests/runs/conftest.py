"""A database of each kind for the tests: SQLite in a folder, and one of a PostgreSQL server of the session's own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from queued_runs import add_projects

from duologue.runs.store.database.engine import Database


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("template") / "duologue.db"
    asyncio.run(make_tables(str(path)))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """The name of a database with tables and nothing in them, to be copied."""
    url = postgres.new_database()
    asyncio.run(make_tables(url))
    return url.rpartition("/")[2]


async def make_tables(where: str) -> None:
    async with Database.open(where, create=True):
        pass


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database of each kind; without tables, unless the test has it open as ``database``."""
    opened = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "store" / "duologue.db"
        if opened:
            path.parent.mkdir(mode=0o700)
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return str(path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database(request.getfixturevalue("postgres_template") if opened else "")


@pytest.fixture
async def database(where: str) -> AsyncIterator[Database]:
    """An open database with the projects ``p`` and ``q``."""
    async with Database.open(where) as opened:
        await add_projects(opened, "p", "q")
        yield opened
