"""Results folders into the database and back: what comes out is what went in."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update
from stored_runs import project_in

from duologue.cli.app import invoke
from duologue.errors import ArtifactError, ConfigurationError, StoreConflictError
from duologue.journal import FolderArtifacts, read_journal
from duologue.runs.store.database import results_import
from duologue.runs.store.database.artifacts import remove_unused
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.results_export import export_results
from duologue.runs.store.database.results_import import IMPORTING, import_results
from duologue.runs.store.database.schema import artifacts, checks, events, executions, results, runs
from duologue.runs.store.folder import claimed, write_execution
from duologue.runs.store.reader import find_execution, read_execution, unfinished

VERSION_1 = Path(__file__).parent.parent / "fixtures" / "version-1"
SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  models: [{name: clerk-model, provider: mock, model: tiny}]
  agents: [{name: clerk, model: clerk-model}]
  prompts: [{name: support, system_template: "You answer."}]
  scenarios:
    - name: order
      prompt: support
      trials: 2
      turns:
        - {content: "I want a pizza – größe L, „bitte“ \\u2028"}
        - content: Look.
          parts: [{type: image, media: {file_path: picture.png, mime_type: image/png}}]
      checks: [{type: content_excludes, params: {patterns: [stupid]}}]
    - name: broken
      prompt: support
      turns: [{content: hello}]
      checks: [{type: contains, params: {patterns: [never said]}}]
  defaults: {seed: 7}
"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The results of a suite, as ``duologue run`` writes them."""
    home = tmp_path_factory.mktemp("suite")
    (home / "suite.yaml").write_text(SUITE)
    (home / "picture.png").write_bytes(PNG)
    code = invoke(["run", str(home / "suite.yaml"), "--mock-all", "--out", str(home / "results"), "--quiet"])
    assert code == 1
    [folder] = [path.parent for path in (home / "results").rglob("index.json")]
    return folder


@pytest.fixture
def folder(played, tmp_path):
    """A copy of them, to be changed."""
    return shutil.copytree(played, tmp_path / "in")


@pytest.fixture
def store(tmp_path):
    return FolderArtifacts(tmp_path / "artifacts")


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(("report", "junit", "."))
    }


async def there_and_back(database, store, folder, out):
    imported = await import_results(database, store, folder, "p")
    exported = await export_results(database, store, imported.execution.id, out)
    return imported, exported


async def count(database, table):
    return await database.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar())


async def test_a_folder_comes_out_byte_for_byte(database, store, folder, tmp_path):
    imported, exported = await there_and_back(database, store, folder, tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(folder)
    assert any(name.startswith("media/") for name in files_of(folder))
    assert (imported.runs, imported.unfinished, imported.problems, exported.problems) == (3, 0, [], ())
    assert read_execution(tmp_path / "out") == read_execution(folder)


async def test_rows_say_what_files_said(database, store, folder):
    imported = await import_results(database, store, folder, "p")
    columns = (runs.c.id, runs.c.status, runs.c.outcome, runs.c.execution_id, runs.c.tokens, runs.c.started_at)
    rows = await database.read(lambda connection: connection.execute(select(*columns).order_by(runs.c.number)).all())
    expected = read_execution(folder)
    assert [(row.id, row.status, row.outcome, row.execution_id) for row in rows] == [
        (run.run_id, "completed", run.outcome, imported.execution.id) for run in expected.runs
    ]
    assert [row.started_at for row in rows] == [run.started_at.timestamp() for run in expected.runs]
    assert imported.execution.name == expected.id
    assert imported.execution.data["suite"] == "shop"
    assert await count(database, checks) == sum(len(run.checks) + len(run.decisions) for run in expected.runs)
    assert await count(database, results) == 3
    assert await count(database, artifacts) == 2  # one picture, in two runs
    journals = Journals(database, store)
    for run in expected.runs:
        assert (await journals.read(run.run_id)).entries == read_journal(folder / run.journal).entries


def tear(folder):
    path = next((folder / "journals").glob("*.jsonl"))
    path.write_bytes(path.read_bytes()[:-40])


def kill_first_run(folder):
    (folder / "index.json").unlink()
    path = next((folder / "runs").glob("order*.json"))
    path.unlink()
    journal = folder / "journals" / f"{path.stem}.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]) + b'{"seq": 99, "at"')


def never_begun(folder):
    (folder / "index.json").unlink()
    for path in [*(folder / "runs").iterdir(), *(folder / "journals").iterdir()]:
        path.unlink()


def set_aside(folder):
    for path in [*(folder / "runs").iterdir(), *(folder / "journals").iterdir()]:
        shutil.copy(path, path.with_name(f"{path.name}.replaced"))
        shutil.copy(path, path.with_name(f"{path.name}.replaced.2"))
    path = next((folder / "journals").glob("*.jsonl"))
    path.with_name(f"{path.name}.unreadable").write_bytes(b"\xff\x00\r\n{")


def attempts(folder):
    for path in sorted((folder / "journals").glob("*.jsonl")):
        lines = path.read_bytes()
        path.with_name(f"{path.name}.attempt-1").write_bytes(lines)
        path.with_name(f"{path.name}.attempt-2").write_bytes(lines.replace(b'"attempt":1', b'"attempt":2', 1))
        path.write_bytes(lines.replace(b'"attempt":1', b'"attempt":3', 1))


def attempts_with_a_gap(folder):
    path = next((folder / "journals").glob("*.jsonl"))
    path.with_name(f"{path.name}.attempt-2").write_bytes(path.read_bytes())
    path.with_name(f"{path.name}.attempt-1.2").write_bytes(path.read_bytes())


def killed_between_attempts(folder):
    path = next((folder / "journals").glob("*.jsonl"))
    path.rename(path.with_name(f"{path.name}.attempt-1"))


def damaged_result(folder):
    (folder / "index.json").unlink()
    path = next((folder / "runs").glob("*.json"))
    path.write_bytes(b'{"schema_version": 1, "run_id": ')


def damaged_journal(folder):
    path = next((folder / "journals").glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"\x00\xff\n", *lines[2:]]))


def empty_journal(folder):
    next((folder / "journals").glob("*.jsonl")).write_bytes(b"")


def journal_without_events(folder):
    next((folder / "journals").glob("*.jsonl")).write_bytes(b'{"seq":0,"at":1.0,"events":[]}\n{"seq":0}\n')


def no_journals(folder):
    shutil.rmtree(folder / "journals")


def no_media(folder):
    shutil.rmtree(folder / "media")


def foreign_media(folder):
    (folder / "media" / f"{'0' * 64}.png").write_bytes(b"of nobody")
    (folder / "media" / f"{'a' * 24}.wav").write_bytes(b"of an old version")


def damaged_media(folder):
    next((folder / "media").iterdir()).write_bytes(b"something else")


def no_launch(folder):
    (folder / "launch.json").unlink()


def written_by_hand(folder):
    for path in [folder / "index.json", *(folder / "runs").iterdir()]:
        path.write_text(json.dumps(json.loads(path.read_text()), indent=1, ensure_ascii=True))


def a_case_of_the_plan_twice(folder):
    path = next((folder / "runs").glob("broken*.json"))
    shutil.copy(path, path.with_name("other-" + path.name))


CHANGES = [
    tear,
    kill_first_run,
    never_begun,
    set_aside,
    attempts,
    attempts_with_a_gap,
    killed_between_attempts,
    damaged_result,
    damaged_journal,
    empty_journal,
    journal_without_events,
    no_journals,
    no_media,
    foreign_media,
    damaged_media,
    no_launch,
    written_by_hand,
    a_case_of_the_plan_twice,
]


@pytest.fixture
async def sqlite(tmp_path):
    async with Database.open(tmp_path / "runs.db") as opened:
        await project_in(opened, "p")
        yield opened


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_whatever_state_a_folder_is_in_nothing_of_it_is_lost(sqlite, store, folder, tmp_path, change):
    change(folder)
    before = files_of(folder)
    _, exported = await there_and_back(sqlite, store, folder, tmp_path / "out")
    assert files_of(folder) == before
    assert files_of(tmp_path / "out") == before
    assert exported.problems == ()


async def test_folders_of_an_older_version(sqlite, store, tmp_path):
    await there_and_back(sqlite, store, VERSION_1, tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(VERSION_1)


async def test_an_execution_is_imported_once(sqlite, store, folder):
    await import_results(sqlite, store, folder, "p")
    with pytest.raises(StoreConflictError, match=r"has the execution .* already, as number 1: nothing was imported"):
        await import_results(sqlite, store, folder, "p")
    await project_in(sqlite, "q")
    with pytest.raises(StoreConflictError, match=r"has the run .* already, in another execution"):
        await import_results(sqlite, store, folder, "q")
    assert await count(sqlite, executions) == 1
    assert await count(sqlite, runs) == 3


async def test_an_unknown_project_or_execution_is_an_error(sqlite, store, folder, tmp_path):
    with pytest.raises(StoreConflictError, match="there is no project 'nobody'"):
        await import_results(sqlite, store, folder, "nobody")
    with pytest.raises(StoreConflictError, match="there is no execution 77"):
        await export_results(sqlite, store, 77, tmp_path / "out")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"id": 3}', '{"suite": "x"}'])
async def test_what_is_no_results_folder_is_an_error(sqlite, store, tmp_path, content):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "launch.json").write_text(content)
    with pytest.raises(ConfigurationError, match="holds no results"):
        await import_results(sqlite, store, tmp_path / "in", "p")


async def test_a_folder_that_is_being_written_is_left_alone(sqlite, store, folder):
    with claimed(folder), pytest.raises(ConfigurationError, match="is being written"):
        await import_results(sqlite, store, folder, "p")


async def test_an_import_that_breaks_leaves_nothing(sqlite, folder, tmp_path, monkeypatch):
    class Full(FolderArtifacts):
        def writer(self, *, mime_type="application/octet-stream"):
            if mime_type == "application/octet-stream":  # the very last files
                raise ArtifactError("no space left on device")
            return super().writer(mime_type=mime_type)

    with pytest.raises(ArtifactError, match="no space left"):
        await import_results(sqlite, Full(tmp_path / "full"), folder, "p")
    assert [await count(sqlite, table) for table in (executions, runs, events, results)] == [0, 0, 0, 0]


async def test_an_import_that_was_killed_is_replaced_by_the_next(sqlite, store, folder, tmp_path):
    imported = await import_results(sqlite, store, folder, "p")
    data = {**imported.execution.data, IMPORTING: True}
    await sqlite.write(lambda connection: connection.execute(update(executions).values(data=data)))
    await sqlite.write(lambda connection: connection.execute(delete(runs).where(runs.c.number > 1)))
    with pytest.raises(StoreConflictError, match="was cut off: import it again"):
        await export_results(sqlite, store, imported.execution.id, tmp_path / "no")
    again = await import_results(sqlite, store, folder, "p")
    assert again.execution.id != imported.execution.id
    await export_results(sqlite, store, again.execution.id, tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(folder)


async def test_runs_that_were_deleted_are_not_in_the_index_that_comes_out(sqlite, store, folder, tmp_path):
    imported = await import_results(sqlite, store, folder, "p")
    await sqlite.write(lambda connection: connection.execute(delete(runs).where(runs.c.number == 1)))
    await export_results(sqlite, store, imported.execution.id, tmp_path / "out")
    assert [run.run_id for run in read_execution(tmp_path / "out").runs] == [
        run.run_id for run in read_execution(folder).runs[1:]
    ]


async def test_an_interrupted_execution_can_be_resumed_where_it_comes_out(sqlite, store, folder, tmp_path):
    kill_first_run(folder)
    imported, _ = await there_and_back(sqlite, store, folder, tmp_path / "out")
    assert imported.unfinished == 1
    statuses = await sqlite.read(lambda connection: connection.execute(select(runs.c.status)).scalars().all())
    assert sorted(statuses) == ["cancelled", "completed", "completed"]
    out, before = (replace(unfinished(item), seconds=0.0) for item in (tmp_path / "out", folder))
    assert out == before
    assert find_execution(tmp_path / "out").execution.runs == find_execution(folder).execution.runs


async def test_files_of_an_execution_are_in_use_as_long_as_it_exists(sqlite, store, folder):
    from duologue.runs.store.database.artifacts import ArtifactFolder

    shelf = ArtifactFolder(store.folder)
    imported = await import_results(sqlite, shelf, folder, "p")
    assert (await remove_unused(sqlite, shelf, now=4e9)).files == 0
    await sqlite.write(
        lambda connection: connection.execute(delete(executions).where(executions.c.id == imported.execution.id))
    )
    assert (await remove_unused(sqlite, shelf, now=4e9)).files == 3  # launch, index and the picture


async def test_a_folder_with_something_in_it_is_not_written_to(sqlite, store, folder, tmp_path):
    imported = await import_results(sqlite, store, folder, "p")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(ConfigurationError, match="is not empty"):
        await export_results(sqlite, store, imported.execution.id, tmp_path / "out")


ODD = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["\0", "\\u0000", "\u2028", "\x1b[31m", "a\r\nb", "🎭", "\ufffe", '{"$ref": 1}', "'; DROP TABLE runs; --"]
)


@settings(max_examples=25)
@given(text=ODD)
async def test_any_text_comes_out_as_it_was(tmp_path_factory, samples, text):
    home = tmp_path_factory.mktemp("odd")
    write_execution(samples.hostile(text or "-"), home / "in")
    async with Database.open(home / "runs.db") as database:
        await project_in(database, "p")
        store = FolderArtifacts(home / "artifacts")
        await there_and_back(database, store, home / "in", home / "out")
    assert files_of(home / "out") == files_of(home / "in")


@pytest.mark.parametrize("size", [1, 7])
async def test_many_runs_come_in_parts(sqlite, store, samples, tmp_path, monkeypatch, size):
    monkeypatch.setattr(results_import, "_BATCH", size)
    write_execution(samples.many(20), tmp_path / "in")
    imported, _ = await there_and_back(sqlite, store, tmp_path / "in", tmp_path / "out")
    assert imported.runs == 20
    assert files_of(tmp_path / "out") == files_of(tmp_path / "in")
