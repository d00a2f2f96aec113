"""Tables get from each version to each other one, on both kinds of database, and are those that the code describes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from duologue.errors import StoreVersionError
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.migrations import HEAD, VERSION_TABLE, VERSIONS, migrate, version
from duologue.runs.store.database.rows import list_runs
from duologue.runs.store.database.schema import metadata

OLDER = Path(__file__).parent / "fixtures"
"""Databases of older versions, as those wrote them: ``0001.db`` and so on."""

_OF_0002 = {
    *("metrics", "environments", "baselines", "deployments", "call_sources", "calls"),
    *("tokens", "secrets", "idempotency", "execution_events"),
}
_OF_0003 = {"execution_indexes"}
LATER = {"0001": _OF_0002 | _OF_0003, "0002": _OF_0003, "0003": set[str]()}
"""Tables that a version does not have yet."""


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {VERSION_TABLE}


@pytest.mark.filterwarnings("ignore:autogenerate skipping:UserWarning")
async def test_the_newest_tables_are_those_that_the_code_describes(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": False}
        )
        # What SQLAlchemy cannot read back, an index of an expression, is compared by its name below.
        return [found for found in compare_metadata(context, metadata) if "ix_runs_queue" not in str(found)]

    def indexes(connection: Connection) -> set[str | None]:
        catalogue = "SELECT name FROM sqlite_master WHERE type = 'index'"
        if connection.dialect.name == "postgresql":
            catalogue = "SELECT indexname FROM pg_indexes"
        return set(connection.execute(text(catalogue)).scalars())

    assert await database.read(differences) == []
    expected = {index.name for table in metadata.tables.values() for index in table.indexes}
    assert expected <= await database.read(indexes)


async def test_tables_go_down_to_nothing_and_up_again(database: Database) -> None:
    for target in ("base", *VERSIONS, *reversed(VERSIONS[:-1]), HEAD):
        await database.loop.call(migrate(database, target))
        found = await database.loop.call(version(database))
        assert found.current == (None if target == "base" else target)
        made = await database.read(tables)
        assert made == (set() if target == "base" else set(metadata.tables) - LATER[target])


async def test_tables_of_a_newer_version_are_left_alone(where: str, database: Database) -> None:
    await database.write(
        lambda connection: connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    )
    for upgrade in (False, True):
        with pytest.raises(StoreVersionError, match="version 9999, which a newer version of Duologue has made"):
            async with Database.open(where, create=True, upgrade=upgrade):
                pass


async def test_older_tables_are_changed_only_when_asked(
    where: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from duologue.runs.store.database import migrations

    monkeypatch.setattr(migrations, "VERSIONS", ("0000", *VERSIONS))
    await database.write(
        lambda connection: connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0000'"))
    )
    with pytest.raises(StoreVersionError, match="make a backup, and run: duologue db upgrade"):
        async with Database.open(where, create=True):
            pass


@pytest.mark.parametrize("name", VERSIONS)
async def test_a_database_of_an_older_version_is_brought_up_to_date(name: str, tmp_path: Path) -> None:
    path = tmp_path / "duologue.db"
    shutil.copy(OLDER / f"{name}.db", path)

    async with Database.open(path, upgrade=True) as database:
        page = await list_runs(database)
        assert [run.id for run in page.runs] == ["done", "waiting"]
        assert [run.case.scenario for run in page.runs] == ["order", "order"]
        (claimed,) = await database.queue.claim("w", 5)
        assert claimed.id == "waiting"
        assert await database.read(tables) == set(metadata.tables)
