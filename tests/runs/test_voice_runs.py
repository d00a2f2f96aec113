"""Conversations in voice that workers hold: their recordings are artifacts of the database, like other media."""

from __future__ import annotations

import wave
from functools import partial
from pathlib import Path

import pytest
from queued_suites import enqueue
from spoken_agent import SpokenAgent
from sqlalchemy import select
from stored_runs import project_in

from duologue.journal.artifacts import open_beside
from duologue.journal.jsonl import read_journal
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.artifacts import artifacts_of, remove_unused
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.results_export import export_results
from duologue.runs.store.database.results_import import import_results
from duologue.runs.store.database.schema import executions
from duologue.runs.store.reader import read_execution
from duologue.voice.notes import voice_run


@pytest.fixture(autouse=True)
def artifacts_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUOLOGUE_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


async def test_a_recording_goes_through_the_database_and_back(
    database: Database, tmp_path: Path, artifacts_folder: Path
) -> None:
    await enqueue(database, tmp_path / "suite", 1)
    agent = partial(SpokenAgent, ["On its way."] * 4)
    async with RunProcessor(database, agents={"bot": agent}) as worker:
        await worker.process_once()
    [file] = artifacts_folder.iterdir()  # noqa: ASYNC240
    store = artifacts_of(database.address)
    await remove_unused(database, store, grace=-10)
    assert file.is_file()

    [number] = await database.read(lambda connection: connection.execute(select(executions.c.id)).scalars().all())
    assert (await export_results(database, store, number, tmp_path / "out")).problems == ()
    heard_in(tmp_path / "out")
    async with Database.open(tmp_path / "elsewhere.db") as other:
        imported = await import_results(other, store, tmp_path / "out", await project_in(other))
        await export_results(other, store, imported.execution.id, tmp_path / "again")
    assert heard_in(tmp_path / "again") == heard_in(tmp_path / "out")


def heard_in(folder: Path) -> bytes:
    """The recording of the only run of a results folder, whose results and journal agree on it."""
    [run] = read_execution(folder).runs
    assert run.voice is not None
    assert run.voice.figures["response_latency_p50"] == pytest.approx(0.4)
    journal = folder / str(run.journal)
    found = voice_run(read_journal(journal).view, partial(open_beside, journal))
    assert found is not None
    assert found.recording is not None
    [medium] = run.media
    with wave.open(str(folder / str(medium.path))) as file:
        sound = file.readframes(file.getnframes())
    assert found.recording.stereo() == sound
    return sound
