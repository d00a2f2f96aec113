"""Executions that workers carried out, as results folders; and runs of a function, which have no plan."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from queued_suites import enqueue
from sqlalchemy import select

from duologue import AgentAdapter, AgentInput
from duologue.cli.app import invoke
from duologue.journal import read_journal
from duologue.messages import media_part
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.artifacts import artifacts_of
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.results_export import export_results
from duologue.runs.store.database.results_import import import_results
from duologue.runs.store.database.schema import executions
from duologue.runs.store.reader import find_execution, read_execution
from duologue.vocabulary import RunStatus

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(200)
FUNCTION = """
import duologue

class Echo(duologue.AgentAdapter):
    async def call(self, input):
        return "you said " + input.last_new_user_message_str()

async def rehearse():
    for line in ("one", "two"):
        await duologue.run("echo", line, [Echo(), duologue.testing.ScriptedUserAgent([line])], script=[
            duologue.proceed(1), duologue.succeed()])
"""


class Bot(AgentAdapter):
    """Answers with a picture; fails with what it is told to."""

    resumable = True

    def __init__(self, broken: str = "") -> None:
        self._broken = broken

    async def call(self, input: AgentInput) -> object:
        line = input.last_new_user_message_str()
        if line == self._broken:
            raise RuntimeError("no pizza today")
        parts = [{"type": "text", "text": f"ok {line}"}, media_part("image/png", data=PICTURE)]
        return {"role": "assistant", "content": parts}


@pytest.fixture(autouse=True)
def artifacts_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept in the folder of this project."""
    monkeypatch.setenv("DUOLOGUE_ARTIFACTS", str(tmp_path / "artifacts"))


@pytest.mark.parametrize("broken", ["", "2"])
async def test_what_workers_carried_out_comes_out_as_a_results_folder(
    database: Database, tmp_path: Path, broken: str
) -> None:
    ids = await enqueue(database, tmp_path / "suite", 2, turns=2)
    async with RunProcessor(database, agents={"bot": lambda: Bot(broken)}) as worker:
        await worker.process_once()
    store = artifacts_of(database.address)
    [number] = await database.read(lambda connection: connection.execute(select(executions.c.id)).scalars().all())
    folder = tmp_path / "out"
    exported = await export_results(database, store, number, folder)
    assert exported.problems == ()
    found = read_execution(folder)
    assert [run.run_id for run in found.runs] == list(ids)
    assert {run.status for run in found.runs} == {RunStatus.ERROR if broken else RunStatus.COMPLETED}
    assert found.interrupted is False
    journals = Journals(database, store)
    for run in found.runs:
        assert run.journal == f"journals/{run.run_id}.jsonl"
        file = read_journal(folder / run.journal)
        assert (file.entries, file.missing) == ((await journals.read(run.run_id)).entries, [])
        assert all((folder / str(item.path)).read_bytes() == PICTURE for item in run.media)
        assert run.media
    assert await asyncio.to_thread(invoke, ["report", str(folder), "--format", "json,html"]) == 0
    again = await import_results_elsewhere(tmp_path, folder)
    assert again == found


async def import_results_elsewhere(tmp_path: Path, folder: Path) -> object:
    """What another database makes of a folder."""
    from stored_runs import project_in

    async with Database.open(tmp_path / "elsewhere.db") as other:
        store = artifacts_of(other.address)
        imported = await import_results(other, store, folder, await project_in(other))
        await export_results(other, store, imported.execution.id, tmp_path / "again")
    return read_execution(tmp_path / "again")


async def test_an_execution_that_is_not_over_comes_out_as_interrupted(database: Database, tmp_path: Path) -> None:
    ids = await enqueue(database, tmp_path / "suite", 3, turns=1)
    async with RunProcessor(database, agents={"bot": Bot}, max_concurrent=2) as worker:
        await worker.process_once()
    [number] = await database.read(lambda connection: connection.execute(select(executions.c.id)).scalars().all())
    await export_results(database, artifacts_of(database.address), number, tmp_path / "out")
    found = find_execution(tmp_path / "out").execution
    assert found.interrupted
    assert [run.run_id for run in found.runs] == list(ids[:2])
    assert len(found.plan.cases) == 3


async def test_runs_of_a_function_go_in_and_come_out(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(FUNCTION)
    folder = tmp_path / "results"
    code = await asyncio.to_thread(
        invoke, ["run", f"{tmp_path / 'script.py'}::rehearse", "--out", str(folder), "--quiet"]
    )
    assert code == 0
    [folder] = {path.parent for path in folder.rglob("launch.json")}
    again = await import_results_elsewhere(tmp_path, folder)
    assert again == read_execution(folder)
    journals = sorted(path.name for path in (folder / "journals").iterdir())
    assert sorted(path.name for path in (tmp_path / "again" / "journals").iterdir()) == journals
    assert len(journals) == 2
