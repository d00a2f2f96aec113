"""A database of each kind for the tests: SQLite in a folder, and one of a PostgreSQL server of the session's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from queued_runs import add_projects

from duologue.runs.store.database.engine import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "store" / "duologue.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(where: str) -> AsyncIterator[Database]:
    """An open database with the projects ``p`` and ``q``."""
    async with Database.open(where, create=True) as opened:
        await add_projects(opened, "p", "q")
        yield opened
