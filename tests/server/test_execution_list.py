"""The list of executions shows the figures of the pages that it leads to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_service import Service, open_service
from made_executions import execution
from postgres_server import PostgresServer

from duologue.journal import FolderArtifacts
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.results_import import import_results
from duologue.runs.store.folder import write_execution, write_run
from duologue.viewer.rows import row_of

OUTCOMES = {
    "one": {"a": "p"},
    "several trials": {"refund": "ppp", "angry": "fff", "patient": "pfp", "quiet": "uup", "lost": "epp"},
    "drawn": {f"scenario {number}": "ppf" if number % 3 else "fff" for number in range(24)},
    "named like its trial": {"1": "pf", "2": "pp"},
    "nothing decided": {"a": "uu", "b": "e"},
}
"""By name of an execution: of each scenario, a letter for each trial."""


@pytest.fixture(params=["sqlite", "postgres"])
async def filled(request: pytest.FixtureRequest, store: Path, tmp_path: Path) -> AsyncIterator[Service]:
    """A service with these executions, of SQLite and of PostgreSQL."""
    place: Any = store
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        place = postgres.new_database()
        async with Database.open(place, create=True):
            pass
    async with open_service(place) as service:
        for name, outcomes in OUTCOMES.items():
            write_execution(execution(outcomes, name=name), tmp_path / name)
            for run in execution(outcomes, name=name).runs:
                write_run(run, tmp_path / name)
            artifacts = FolderArtifacts(tmp_path / "artifacts")
            await import_results(service.database, artifacts, tmp_path / name, service.shop.id)
        yield service


async def test_figures_are_those_of_the_execution_in_every_host(filled: Service, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {filled.tokens['read', 'shop']}"}
    transport = httpx.ASGITransport(app=filled.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/pages", headers=headers) as client:
        rows = (await client.get("/executions")).json()["rows"]
        assert len(rows) == len(OUTCOMES)
        for row in rows:
            page = (await client.get(f"/executions/{row['id']}")).json()
            index = json.loads((tmp_path / row["name"] / "index.json").read_text("utf-8"))
            viewed = await asyncio.to_thread(row_of, "key", row["name"], index)
            assert row["totals"] == page["totals"] == viewed["totals"], row["name"]
            assert {name: row["rate"][name] for name in viewed["rate"]} == viewed["rate"], row["name"]
            assert row["exit"] == viewed["exit"]
            assert page["rates"]["runs"]["low"] == row["rate"]["low"]
