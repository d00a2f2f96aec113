"""Projects as files of JSON lines: what goes into another database is what came out of the first."""

from __future__ import annotations

import json
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from stored_runs import claimed, project_in, queued, worker_record

import duologue
from duologue.errors import ConfigurationError, JournalError, ResultsError, StoreConflictError
from duologue.journal import FolderArtifacts
from duologue.runs.store.database import project_export, project_import
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.project_export import export_project
from duologue.runs.store.database.project_import import holds_project, import_project
from duologue.runs.store.database.results_export import export_results
from duologue.runs.store.database.results_import import IMPORTING, import_results
from duologue.runs.store.database.schema import (
    agent_versions,
    agents,
    artifacts,
    connectors,
    eval_scenarios,
    evals,
    events,
    executions,
    labels,
    metadata,
    personas,
    projects,
    runs,
    scenario_personas,
    scenarios,
    schedules,
    snapshots,
)
from duologue.runs.store.folder import write_execution
from duologue.testing import ScriptedAgent, ScriptedUserAgent, context

TIMES = {"created_at": 1.5, "updated_at": 2.5}
NUMBERED = {"number", "execution_id", "run", "id"}


class Home:
    """A database and its artifacts."""

    def __init__(self, database, folder):
        self.database = database
        self.store = FolderArtifacts(folder)

    async def rows(self, table):
        """All rows of a table, without numbers that are given anew."""
        own = NUMBERED - ({"id"} if "id" in table.c and not isinstance(table.c.id.type.python_type(), int) else set())
        found = await self.database.read(lambda connection: connection.execute(select(table)).mappings().all())
        kept = [{name: value for name, value in row.items() if name not in own} for row in found]
        return sorted(kept, key=repr)

    async def execute(self, table, *values):
        await self.database.write(lambda connection: connection.execute(insert(table), list(values)))


@pytest.fixture
async def home(database, tmp_path):
    return Home(database, tmp_path / "here")


@pytest.fixture
async def other(tmp_path):
    async with Database.open(tmp_path / "other.db") as opened:
        yield Home(opened, tmp_path / "there")


async def filled(home, samples, folder, text="text"):
    """A project with something of everything."""
    await project_in(home.database, "tests")
    own = {"project_id": "tests", **TIMES}
    data = {"text": text, "list": [1, None, {"deep": text}], "number": 1.25}
    await home.execute(personas, {"id": "per-1", "name": text or "x", "data": data, **own})
    await home.execute(scenarios, *({"id": f"sc-{n}", "name": f"s{n}", "data": data, **own} for n in (1, 2)))
    await home.execute(scenario_personas, {"scenario_id": "sc-1", "persona_id": "per-1", "position": 0})
    secret = {"url": "https://agent.example", "headers": {"Authorization": "Bearer sk-abcdef0123456789", "X-Team": "a"}}
    await home.execute(connectors, {"id": "con-1", "name": "c", "data": secret, **own})
    await home.execute(agents, {"id": "ag-1", "name": "a", "data": {}, **own})
    await home.execute(
        agent_versions, *({"agent_id": "ag-1", "version": n, "data": data, "published_at": 1.0} for n in (1, 2))
    )
    await home.execute(evals, {"id": "ev-1", "name": "e", "data": {}, "connector_id": "con-1", **own})
    await home.execute(eval_scenarios, *({"eval_id": "ev-1", "scenario_id": f"sc-{n}", "position": n} for n in (1, 2)))
    await home.execute(schedules, {"id": "sch-1", "eval_id": "ev-1", "cron": "0 3 * * *", "enabled": True, **own})
    write_execution(samples.hostile(text or "-"), folder / "results")
    imported = await import_results(home.database, home.store, folder / "results", "tests")
    [run] = await claimed(home.database)
    journal = await Journals(home.database, home.store).open(run)
    picture = {"role": "user", "content": [duologue.messages.media_part("image/png", data=b"\x89PNG" * 20)]}
    agents_ = [ScriptedUserAgent([picture]), ScriptedAgent([text or "-"])]
    script = [duologue.proceed(1), duologue.succeed()]
    await duologue.ScenarioExecutor("s", "d", agents_, script, recorded_in=journal, context=context()).run()
    said = {"run": run.number, "rater": "me", "value": "pass", "note": text.replace("\0", ""), "created_at": 1.0}
    await home.execute(labels, {**said, "criterion": ""}, {**said, "criterion": "polite"})
    await queued(home.database, 2)
    return imported.execution, run


async def same(home, other, *, but=()):
    for table in metadata.sorted_tables:
        if table.name not in {"workers", "limits", *but}:
            assert await other.rows(table) == await home.rows(table), table.name


def test_every_table_is_in_the_file_or_belongs_to_no_project():
    of_a_service = {"tokens", "secrets", "idempotency"}  # keys never leave; the rest is made anew
    of_a_service |= {"execution_events", "execution_indexes"}
    known = set(project_export.TABLES) | {"workers", "limits"} | of_a_service
    assert set(metadata.tables) == known


async def test_a_project_moves_to_another_database_whole(home, other, samples, tmp_path):
    await home.database.write(lambda connection: connection.execute(projects.delete()))
    execution, run = await filled(home, samples, tmp_path)
    path = tmp_path / "project.jsonl"
    exported = await export_project(home.database, home.store, "tests", path, credentials=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert exported.problems == ()
    await queued(other.database, 3, project="elsewhere")  # so that numbers differ
    for table in (projects, snapshots):
        await other.database.write(lambda connection, table=table: connection.execute(table.delete()))
    imported = await import_project(other.database, other.store, path, going_on=True)
    assert (imported.project_id, imported.unfinished, imported.schedules) == ("tests", 3, 1)
    await same(home, other, but=("runs",))
    mine, theirs = await home.rows(runs), await other.rows(runs)
    claimed_now = {"status": "queued", "owner": None}
    assert theirs == sorted([{**row, **(claimed_now if row["status"] == "running" else {})} for row in mine], key=repr)
    journals = Journals(home.database, home.store), Journals(other.database, other.store)
    there, here = [await item.read(run.id) for item in journals]
    assert (here.entries, here.missing) == (there.entries, [])
    [number] = imported.executions
    await export_results(home.database, home.store, execution.id, tmp_path / "a")
    await export_results(other.database, other.store, number, tmp_path / "b")
    for item in (tmp_path / "a").rglob("*.json*"):
        assert (tmp_path / "b" / item.relative_to(tmp_path / "a")).read_bytes() == item.read_bytes()


async def test_the_run_that_was_under_way_continues_there(home, other, samples, tmp_path):
    _, run = await filled(home, samples, tmp_path)
    await export_project(home.database, home.store, "tests", tmp_path / "p.jsonl")
    await import_project(other.database, other.store, tmp_path / "p.jsonl", going_on=True)
    await other.database.queue.register(worker_record())
    claims = await other.database.queue.claim("worker", 10)
    [again] = [item for item in claims if item.id == run.id]
    assert (await Journals(other.database, other.store).open(again)).read().complete


async def test_nothing_begins_by_itself(home, other, samples, tmp_path):
    await filled(home, samples, tmp_path)
    await export_project(home.database, home.store, "tests", tmp_path / "p.jsonl")
    imported = await import_project(other.database, other.store, tmp_path / "p.jsonl")
    assert (imported.unfinished, imported.schedules) == (3, 1)
    assert [row["enabled"] for row in await other.rows(schedules)] == [False]
    found = [row for row in await other.rows(runs) if row["error"] and "retry it" in row["error"]]
    assert [row["status"] for row in found] == ["error"] * 3
    await other.database.queue.retry(found[0].get("id") or await _an_id(other))


async def _an_id(home):
    asked = select(runs.c.id).where(runs.c.error.contains("retry it")).limit(1)
    return await home.database.read(lambda connection: connection.execute(asked).scalar_one())


async def test_credentials_stay_unless_they_are_asked_for(home, samples, tmp_path):
    await filled(home, samples, tmp_path)
    without = await export_project(home.database, home.store, "tests", tmp_path / "without.jsonl")
    with_them = await export_project(home.database, home.store, "tests", tmp_path / "with.jsonl", credentials=True)
    assert (without.credentials, with_them.credentials) == (1, 0)
    assert "sk-abcdef0123456789" not in (tmp_path / "without.jsonl").read_text()
    assert "sk-abcdef0123456789" in (tmp_path / "with.jsonl").read_text()
    assert '"X-Team":"a"' in (tmp_path / "without.jsonl").read_text()


async def test_an_execution_goes_alone_into_a_project_that_is_there(home, other, samples, tmp_path):
    execution, run = await filled(home, samples, tmp_path)
    path = tmp_path / "e.jsonl"
    exported = await export_project(home.database, home.store, "tests", path, executions=[execution.id])
    assert exported.runs == len(samples.hostile("x").runs)
    with pytest.raises(StoreConflictError, match="there is no project 'tests'"):
        await import_project(other.database, other.store, path)
    await project_in(other.database, "mine")
    imported = await import_project(other.database, other.store, path, project_id="mine")
    assert len(imported.executions) == 1
    assert {row["project_id"] for row in await other.rows(runs)} == {"mine"}
    assert IMPORTING not in (await other.rows(executions))[0]["data"]
    with pytest.raises(StoreConflictError, match="already"):
        await import_project(other.database, other.store, path, project_id="mine")
    assert len(await other.rows(executions)) == 1
    with pytest.raises(JournalError):
        await Journals(other.database, other.store).read(run.id)


async def test_nothing_is_overwritten(home, other, samples, tmp_path):
    await filled(home, samples, tmp_path)
    path = tmp_path / "p.jsonl"
    await export_project(home.database, home.store, "tests", path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        await export_project(home.database, home.store, "tests", path)
    assert path.read_bytes() == before
    await import_project(other.database, other.store, path)
    with pytest.raises(StoreConflictError, match="has the project 'tests' already"):
        await import_project(other.database, other.store, path)
    assert len(await other.rows(projects)) == 1


async def test_a_name_that_another_project_has_is_an_error(home, other, samples, tmp_path):
    await filled(home, samples, tmp_path)
    await export_project(home.database, home.store, "tests", tmp_path / "p.jsonl")
    await other.execute(projects, {"id": "else", "name": "tests", "settings": {}, **TIMES})
    with pytest.raises(StoreConflictError, match=r"another project called 'tests'.*--project NAME"):
        await import_project(other.database, other.store, tmp_path / "p.jsonl")
    assert [row["name"] for row in await other.rows(projects)] == ["tests"]
    assert holds_project(tmp_path / "p.jsonl")
    moved = await import_project(other.database, other.store, tmp_path / "p.jsonl", name="moved")
    assert {row["id"]: row["name"] for row in await other.rows(projects)} == {
        "else": "tests",
        moved.project_id: "moved",
    }


async def test_an_unknown_project_or_execution_is_an_error_and_leaves_no_file(home, tmp_path):
    with pytest.raises(StoreConflictError, match="there is no project 'nobody'"):
        await export_project(home.database, home.store, "nobody", tmp_path / "p.jsonl")
    with pytest.raises(StoreConflictError, match="has no execution 5"):
        await export_project(home.database, home.store, "p", tmp_path / "p.jsonl", executions=[5])
    assert not (tmp_path / "p.jsonl").exists()
    with pytest.raises(ResultsError, match="cannot be written"):
        await export_project(home.database, home.store, "p", tmp_path / "no" / "p.jsonl")


def cut(lines):
    return lines[:-1]


def cut_in_the_middle(lines):
    return [*lines[: len(lines) // 2], lines[len(lines) // 2][:10]]


def a_row_is_missing(lines):
    return [*lines[:3], *lines[4:]]


def a_run_is_missing(lines):
    return [line for line in lines if '"table":"runs"' not in line]


def bytes_of_others(lines):
    return [
        json.dumps({**json.loads(line), "data": "b3RoZXI="}) if line.startswith('{"bytes"') else line for line in lines
    ]


def bytes_that_are_none(lines):
    return [json.dumps({**json.loads(line), "data": "=="}) if line.startswith('{"bytes"') else line for line in lines]


def an_unknown_table(lines):
    return [*lines[:2], '{"table":"secrets","row":{"id":1}}', *lines[2:]]


def an_unknown_column(lines):
    return [line.replace('"position":', '"place":') for line in lines]


def a_row_without_its_key(lines):
    return [line.replace('"row":{"id":"per-1",', '"row":{') for line in lines]


def an_execution_is_missing(lines):
    return [line for line in lines if '"table":"executions"' not in line]


def more_behind_the_end(lines):
    return [*lines, lines[1]]


def no_project(lines):
    return [line for line in lines if '"table":"projects"' not in line]


DAMAGE = [
    cut,
    cut_in_the_middle,
    a_row_is_missing,
    a_run_is_missing,
    bytes_of_others,
    bytes_that_are_none,
    an_unknown_table,
    an_unknown_column,
    a_row_without_its_key,
    an_execution_is_missing,
    more_behind_the_end,
    no_project,
]


@pytest.fixture(scope="module")
def written(tmp_path_factory, samples):
    """The file of a project."""
    import asyncio

    folder = tmp_path_factory.mktemp("written")

    async def write():
        async with Database.open(folder / "runs.db") as database:
            here = Home(database, folder / "artifacts")
            await filled(here, samples, folder)
            await export_project(database, here.store, "tests", folder / "p.jsonl")

    asyncio.run(write())
    return (folder / "p.jsonl").read_text().splitlines()


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("rows", [1, 500])
async def test_a_damaged_file_leaves_nothing(other, written, tmp_path, monkeypatch, damage, rows):
    monkeypatch.setattr(project_import, "_ROWS", rows)
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(damage(written)) + "\n")
    with pytest.raises((ConfigurationError, StoreConflictError)) as raised:
        await import_project(other.database, other.store, path)
    assert "p.jsonl" in str(raised.value) or "other.db" in str(raised.value)
    for table in (projects, executions, runs, events, artifacts, personas):
        assert await other.rows(table) == []


@pytest.mark.parametrize(
    "content",
    ["", "\n", "[]\n", "{}\n", "not json\n", '{"duologue":"suite","version":1,"project":"p"}\n', "\x00\x01\n"],
)
async def test_a_file_of_something_else_is_an_error(other, tmp_path, content):
    path = tmp_path / "p.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"p\.jsonl"):
        await import_project(other.database, other.store, path)


async def test_a_file_of_a_newer_version_says_so(other, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"duologue":"project","version":99,"written_by":"9.9","project":"p"}\n')
    with pytest.raises(ConfigurationError, match=r"has version 99, .*written by Duologue 9\.9; upgrade"):
        await import_project(other.database, other.store, path)


async def test_an_import_that_was_killed_is_replaced_by_the_next(other, written, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(written) + "\n")
    await import_project(other.database, other.store, path)
    half = projects.update().values(settings={IMPORTING: True})
    await other.database.write(lambda connection: connection.execute(half))
    with pytest.raises(StoreConflictError, match="was cut off"):
        await export_project(other.database, other.store, "tests", tmp_path / "no.jsonl")
    await import_project(other.database, other.store, path)
    assert [row["settings"] for row in await other.rows(projects)] == [{}]


async def test_bytes_that_are_missing_are_named_and_all_else_moves(home, other, samples, tmp_path):
    await filled(home, samples, tmp_path)
    for path in home.store.folder.glob("*.png"):
        path.unlink()
    exported = await export_project(home.database, home.store, "tests", tmp_path / "p.jsonl")
    assert exported.problems
    assert all("missing" in problem for problem in exported.problems)
    await import_project(other.database, other.store, tmp_path / "p.jsonl")
    assert await other.rows(artifacts) == await home.rows(artifacts)


@pytest.mark.parametrize("page", [1, 3])
async def test_it_takes_a_little_at_a_time(home, other, samples, tmp_path, monkeypatch, page):
    monkeypatch.setattr(project_export, "_PAGE", page)
    monkeypatch.setattr(project_import, "_ROWS", page)
    await project_in(home.database, "tests")
    write_execution(samples.many(8), tmp_path / "results")
    await import_results(home.database, home.store, tmp_path / "results", "tests")
    await export_project(home.database, home.store, "tests", tmp_path / "p.jsonl")
    assert (await import_project(other.database, other.store, tmp_path / "p.jsonl")).runs == 8
    assert await other.rows(runs) == await home.rows(runs)


ODD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.sampled_from(
    ["\\u0000", "\u2028", "\x1b[31m", "a\r\nb", "🎭", '{"$ref": 1}', '{"base64": "AA=="}', "'; DROP TABLE runs; --"]
)


@settings(max_examples=15)
@given(text=ODD)
async def test_any_text_moves_as_it_is(tmp_path_factory, samples, text):
    folder = tmp_path_factory.mktemp("odd")
    async with Database.open(folder / "a.db") as first, Database.open(folder / "b.db") as second:
        here, there = Home(first, folder / "a"), Home(second, folder / "b")
        await filled(here, samples, folder, text)
        path = folder / "p.jsonl"
        await export_project(first, here.store, "tests", path, credentials=True)
        await import_project(second, there.store, path, going_on=True)
        await same(here, there, but=("runs",))
