"""Recordings of voice runs on the command line: written as files, and what is left of a run that was killed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import wave
from pathlib import Path

import pytest

import duologue.testing
import duologue.voice.notes  # registers its notes, also where the installed metadata is older
from duologue.cli.app import invoke
from duologue.journal.jsonl import read_journal
from duologue.runs.store.reader import read_execution
from duologue.suites.results.voice import RECORDING
from duologue.voice.files import load_audio
from duologue.voice.notes import voice_run

CALLS = '''
import os
import pathlib
import signal
import sys

sys.path.insert(0, {fakes!r})

import duologue
from duologue.voice.incoming import AgentWords
from voice_agents import AnsweringAgent, tone

HERE = pathlib.Path(__file__).parent


class Agent(AnsweringAgent):
    """Is killed with its process 5.3 seconds after the call began, until somebody has mended it."""

    async def exchange(self, frame, at):
        if at > 5.3 and not (HERE / "mended").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().exchange(frame, at)


class Caller(duologue.ScriptedUser):
    voice = "test/low"


async def say(text, voice):
    return tone(1.0).data


async def call():
    duologue.register_tts_provider("test", say)
    answers = [[AgentWords(text=text), tone(2.0)] for text in ("On its way.", "Bye.")]
    await duologue.arun(
        "call",
        "A customer asks for an order.",
        [Caller(["Where is my order?", "Thanks."]), Agent(answers)],
        script=[duologue.proceed(2), duologue.succeed()],
    )
'''
FAKES = str(Path(__file__).parents[1] / "fakes")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.py").write_text(CALLS.format(fakes=FAKES))
    return tmp_path


def play(*options: str) -> int:
    command = [sys.executable, "-m", "duologue", "run", "calls.py::call", "-q", *options]
    return subprocess.run(command, check=False, capture_output=True).returncode


def recording_in(results: Path) -> str:
    [run] = read_execution(results).runs
    [medium] = [item for item in run.media if item.message_id == RECORDING]
    return str(medium.path)


@pytest.fixture
def results(here: Path) -> Path:
    (here / "mended").touch()
    assert play("--out", "out") == 0
    [folder] = (here / "out").iterdir()
    return folder


def test_the_recording_of_a_run_is_written(here: Path, results: Path, capsys: pytest.CaptureFixture[str]):
    [journal] = (results / "journals").glob("*.jsonl")
    [run] = (results / "runs").glob("*.json")
    for source, ending in ((results, "wav"), (run, "mp3"), (journal, "flac"), (journal, "ogg")):
        assert invoke(["show", str(source), "--audio", f"call.{ending}"]) == 0
        assert capsys.readouterr().out == f"call.{ending}: 8.2 s, the user left and the agent right\n"
        assert len(load_audio(here / f"call.{ending}")) / 48_000 == pytest.approx(8.2, abs=0.1)


def test_segments_are_written_with_a_manifest(here: Path, results: Path):
    assert invoke(["show", str(results), "--audio", "call"]) == 0
    manifest = json.loads((here / "call" / "manifest.json").read_text())
    assert [(item["role"], item["transcript"]) for item in manifest["segments"]] == [
        ("user", "Where is my order?"),
        ("agent", "On its way."),
        ("user", "Thanks."),
        ("agent", "Bye."),
    ]
    assert all((here / "call" / item["file"]).is_file() for item in manifest["segments"])


def test_what_cannot_be_written_is_said(here: Path, results: Path, capsys: pytest.CaptureFixture[str]):
    assert invoke(["show", str(results), "--audio", "call.txt"]) == 2
    assert "found the ending '.txt'; expected .wav, .mp3, .ogg, .flac" in capsys.readouterr().err
    (results / recording_in(results)).unlink()
    assert invoke(["show", str(results), "--audio", "call.wav"]) != 0
    assert "is missing" in capsys.readouterr().err
    assert not (here / "call.wav").exists()


def test_a_journal_cannot_name_a_file_that_is_no_recording_of_it(
    here: Path, results: Path, capsys: pytest.CaptureFixture[str]
):
    (here / "private.wav").write_bytes((results / recording_in(results)).read_bytes())
    (here / ".duologue" / "recordings").mkdir(parents=True, exist_ok=True)
    (results / "media" / "link.wav").symlink_to(here / "private.wav")
    [journal] = (results / "journals").glob("*.jsonl")
    lines = journal.read_text().splitlines()
    until_it_was_kept = lines[: next(at for at, line in enumerate(lines) if '"voice.recording"' in line)]
    inner = f"{here}/.duologue/recordings/../../private.wav"
    for named in (f"{here}/private.wav", "../../../private.wav", "link.wav", "private\\u0000.wav", inner):
        told = re.compile(r'("file": ?)"[^"]*\.wav"')
        made = [told.sub(lambda found: f'{found[1]}"{named}"', line) for line in until_it_was_kept]  # noqa: B023
        assert made != until_it_was_kept
        journal.write_text("\n".join(made) + "\n")
        assert invoke(["show", str(journal), "--audio", "call.wav"]) == 2, named
        assert "has no recording" in capsys.readouterr().err
        assert not (here / "call.wav").exists()


def test_times_that_cannot_be_are_named_with_their_line(here: Path, results: Path, capsys: pytest.CaptureFixture[str]):
    [journal] = (results / "journals").glob("*.jsonl")
    text = journal.read_text()
    for field, value in (("start", "1e308"), ("start", "-5"), ("start", "NaN"), ("end", "1e308"), ("time", "1e308")):
        made = re.sub(rf'(voice\.[^{{}}]*"{field}":) ?[\d.]+', rf"\g<1>{value}", text, count=1)
        assert made != text
        journal.write_text(made)
        assert invoke(["show", str(journal), "--audio", "call.wav"]) in {2, 3}
        assert re.search(rf"{journal.name}, line \d+", capsys.readouterr().err), (field, value)


async def test_a_conversation_in_text_has_no_recording(here: Path, capsys: pytest.CaptureFixture[str]):
    agents = [duologue.testing.ScriptedUserAgent(["Hi"]), duologue.testing.ScriptedAgent(["Hello"])]
    await duologue.arun("a", "b", agents, script=[duologue.proceed(1), duologue.succeed()], record="text.jsonl")
    assert invoke(["show", "text.jsonl", "--audio", "call.wav"]) == 2
    assert "text.jsonl has no recording: its conversation is in text" in capsys.readouterr().err


def test_a_killed_run_leaves_its_recording_and_is_started_again(here: Path, capsys: pytest.CaptureFixture[str]):
    assert play("--out", "out") not in {0, 1}
    [folder] = (here / "out").iterdir()
    [left] = [path for path in (folder / "journals" / "media").iterdir() if len(path.stem) != 64]
    with wave.open(str(left)) as file:
        assert 5 * 24_000 <= file.getnframes() <= 5.3 * 24_000  # of 5.3 seconds that were heard
        assert any(file.readframes(24_000))
    (here / "mended").touch()
    assert play("--resume", str(folder)) == 0

    [journal] = (folder / "journals").glob("*.jsonl")
    view = read_journal(journal).view
    assert view.started is not None
    assert view.started.attempt == 2
    run = voice_run(view)
    assert run is not None
    assert run.kept is not None
    assert (round(run.kept.duration, 1), len(run.segments)) == (8.2, 4)
    assert recording_in(folder) == f"media/{run.kept.artifact.name}"

    assert left.is_file()  # of the first attempt, whose journal names it
    [earlier] = (folder / "journals").glob("*.attempt-1")
    first = voice_run(read_journal(earlier).view)
    assert first is not None
    assert (first.file, first.kept) == (left.name, None)
    assert [item.speaker for item in first.segments][:2] == ["user", "agent"]
    assert invoke(["show", str(earlier), "--audio", "first.wav"]) == 0
    assert "s, the user left and the agent right; it ends where the run was cut off" in capsys.readouterr().out
    with wave.open("first.wav") as written, wave.open(str(left)) as kept:
        assert written.readframes(written.getnframes()) == kept.readframes(kept.getnframes())
