"""A service on a database of its own; see ``fakes/api_service.py``."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api_service import Service, open_service

from duologue.runs.store.database.engine import Database


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "duologue.db"

    async def make() -> None:
        async with Database.open(path, create=True):
            pass

    asyncio.run(make())
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    """A database with tables and nothing in them."""
    path = tmp_path / "store" / "duologue.db"
    path.parent.mkdir(mode=0o700)
    shutil.copy(empty_store, path)
    return path


@pytest.fixture
async def service(store: Path) -> AsyncIterator[Service]:
    """A service that requires tokens."""
    async with open_service(store) as opened:
        yield opened
