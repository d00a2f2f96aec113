"""The recording while it is made, and what of it is left when the process is killed or the disk is full."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import wave
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from duologue.errors import ArtifactError
from duologue.journal.artifacts import MOST_IN_MEMORY, FolderArtifacts, MemoryArtifacts, open_beside
from duologue.journal.jsonl import read_journal
from duologue.journal.notes import UnknownNote, make_note, note_to_data
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.notes import RecordingBegun, RecordingKept, SpeechRecognised, VoiceRun, voice_run
from duologue.voice.timeline import AudioSegment, SpeechPurpose, SpokenWord, VoiceEvent
from duologue.voice.track import RunTrack

SILENCE = bytes(960)
STORES = ["memory", "folder"]


def tone(level: int = 8000) -> bytes:
    """20 ms of a sine of 1 kHz."""
    return (np.sin(2 * np.pi * 1000 * np.arange(480) / SAMPLE_RATE) * level).astype("<i2").tobytes()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryArtifacts | FolderArtifacts:
    return MemoryArtifacts() if request.param == "memory" else FolderArtifacts(tmp_path / "media")


def record(track: RunTrack, user: range, agent: range, frames: int) -> None:
    for number in range(frames):
        track.frame(tone() if number in user else SILENCE, tone(4000) if number in agent else SILENCE)


async def finished(track: RunTrack, store: MemoryArtifacts | FolderArtifacts) -> VoiceRun:
    await track.finish()
    return VoiceRun(notes=track.take(), opened=store.open)


async def test_silence_and_overlap_are_kept(store: MemoryArtifacts | FolderArtifacts):
    track = RunTrack(store, "run-1")
    record(track, range(50), range(40, 110), 130)
    track.segment(AudioSegment("user", 0, 1, transcript="Hello."))
    track.segment(AudioSegment("agent", 0.8, 2.2, transcript="Good day."))
    run = await finished(track, store)
    recording = run.recording
    both = np.frombuffer(recording.stereo(), dtype="<i2").reshape(-1, 2)
    assert len(both) == 130 * 480
    assert np.any(both[19_200:24_000, 0])
    assert np.any(both[19_200:24_000, 1])
    assert not np.any(both[24_000:, 0])
    assert not np.any(both[:19_200, 1])
    assert not np.any(both[52_800:])
    assert recording.segments[0].audio == tone() * 50
    assert recording.segments[1].audio == tone(4000) * 70
    assert recording.duration == 2.2


async def test_the_recording_becomes_an_artifact_and_its_file_is_gone(tmp_path: Path):
    store = FolderArtifacts(tmp_path / "media")
    track = RunTrack(store, "run/1 ?")
    record(track, range(50), range(50), 60)
    begun = [note for note in track.take() if isinstance(note, RecordingBegun)]
    assert (tmp_path / "media" / begun[0].file).is_file()
    kept = await track.finish()
    assert kept is not None
    assert kept.duration == pytest.approx(1.2)
    assert [item.name for item in (tmp_path / "media").iterdir()] == [kept.artifact.name]
    assert await track.finish() is kept
    track.close()
    with wave.open(str(tmp_path / "media" / kept.artifact.name)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, SAMPLE_RATE, 60 * 480)


async def test_a_call_in_which_no_frame_passed_leaves_nothing(store: MemoryArtifacts | FolderArtifacts):
    track = RunTrack(store, "run-1")
    assert await track.finish() is None
    if isinstance(store, FolderArtifacts):
        assert list(store.folder.iterdir()) == []


async def test_a_long_call_is_not_in_memory(tmp_path: Path):
    store = MemoryArtifacts()
    track = RunTrack(store, "run-1")
    frame = tone()
    for _ in range(50 * 100):
        track.frame(frame, SILENCE)
    kept = await track.finish()
    assert kept is not None
    assert kept.size > MOST_IN_MEMORY
    track.segment(AudioSegment("user", 99, 100))
    run = VoiceRun(notes=track.take(), opened=store.open)
    assert run.recording.segments[0].audio == frame * 50
    with store.open(kept.artifact) as file:
        path = str(file.name)
    assert len(b"".join([piece async for piece in store.stream(kept.artifact)])) == kept.size
    del store, run, track, file
    gc.collect()
    assert not any(Path(path).parent.glob(Path(path).name))


def test_notes_are_read_back_from_a_journal():
    track = RunTrack(MemoryArtifacts(), "run-1")
    words = (SpokenWord("um", 1.0, 1.2),)
    track.segment(AudioSegment("user", 1, 1.2, transcript="um", purpose=SpeechPurpose.VOCAL_TIC, words=words))
    track.event(VoiceEvent(0.5, "tool_call", name="find", args={"id": 1}, metadata={"native": True}))
    track.event(VoiceEvent(0.7, "tool_result", name="find", result=["kettle"]))
    notes = track.take()
    written = json.loads(json.dumps([note_to_data(note) for note in notes], default=vars_of))
    read = [make_note(item.pop("kind"), item) for item in written]
    assert read == notes
    assert not any(isinstance(note, UnknownNote) for note in read)
    run = VoiceRun(notes=notes)
    assert [event.type for event in run.events] == ["tool_call", "tool_result"]
    assert run.segments[0].words == words
    assert run.recording.segments[0].audio == b""
    track.close()


def vars_of(value: object) -> object:
    return {name: getattr(value, name) for name in ("text", "start", "end")}


class Ears:
    """Understands the same thing each time, and keeps what it was given."""

    def __init__(self, text: str = "what was heard") -> None:
        self.text, self.heard = text, list[AudioChunk]()

    async def transcribe(self, chunk: AudioChunk) -> str:
        self.heard.append(chunk)
        return self.text


async def test_what_was_cut_off_is_recognised_from_what_was_heard(store: MemoryArtifacts | FolderArtifacts):
    track, ears = RunTrack(store, "run-1"), Ears("Your order")
    record(track, range(0), range(10, 40), 60)
    track.segment(AudioSegment("user", 0, 0.1, transcript="Hi", transcript_truncated=True))
    track.segment(AudioSegment("agent", 0.2, 0.8, transcript="Your order is on its way", transcript_truncated=True))
    track.segment(AudioSegment("agent", 0.9, 1.0, transcript="Yes"))
    await track.recognise_cut_off(ears)
    await track.recognise_cut_off(ears)
    assert [chunk.data for chunk in ears.heard] == [tone(4000) * 30]
    run = await finished(track, store)
    assert [(item.transcript, item.transcript_truncated) for item in run.segments] == [
        ("Hi", True),
        ("Your order", True),
        ("Yes", False),
    ]
    assert next(note for note in run.notes if isinstance(note, SpeechRecognised)).provider == "Ears"


async def test_a_recogniser_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture):
    class Deaf:
        async def transcribe(self, chunk: AudioChunk) -> str:
            raise RuntimeError("no ears")

    track = RunTrack(MemoryArtifacts(), "run-1")
    record(track, range(0), range(10), 20)
    segment = AudioSegment("agent", 0, 0.2, transcript="Your", transcript_truncated=True)
    track.segment(segment)
    assert await track.recognise(segment, Deaf()) is None
    assert "no ears" in caplog.text
    run = await finished(track, MemoryArtifacts())
    assert run.segments[0].transcript == "Your"


KILLED = """
import asyncio, os, sys
from pathlib import Path
from duologue.journal.artifacts import FolderArtifacts
from duologue.voice.track import RunTrack

track = RunTrack(FolderArtifacts(Path(sys.argv[1])), "run-1")
frame = bytes([1, 2]) * 480
for number in range(int(sys.argv[2])):
    track.frame(frame, frame)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("frames", "seconds"), [(0, 0), (49, 0), (50, 1), (137, 2), (3000, 60)])
def test_a_killed_process_leaves_a_file_that_plays(tmp_path: Path, frames: int, seconds: int):
    media = tmp_path / "media"
    command = [sys.executable, "-c", KILLED, str(media), str(frames)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)
    [path] = media.iterdir()
    with wave.open(str(path)) as file:
        assert file.getnframes() == seconds * SAMPLE_RATE
        assert file.readframes(file.getnframes()) == bytes([1, 2, 1, 2]) * (seconds * SAMPLE_RATE)


FULL = """
import asyncio, resource, sys
from pathlib import Path
from duologue.errors import ArtifactError
from duologue.journal.artifacts import FolderArtifacts
from duologue.voice.track import RunTrack

resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))
track = RunTrack(FolderArtifacts(Path(sys.argv[1])), "run-1")
try:
    for number in range(400):
        track.frame(bytes(960), bytes(960))
except ArtifactError as error:
    print(error)
track.close()
"""


def test_a_full_disk_is_an_error_and_the_file_plays_up_to_there(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "the recording cannot be kept in" in done.stdout
    assert "File too large" in done.stdout
    [path] = tmp_path.iterdir()
    with wave.open(str(path)) as file:
        assert file.getnframes() >= 2 * SAMPLE_RATE
        assert len(file.readframes(file.getnframes())) == 4 * file.getnframes()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path):
    (tmp_path / "media").write_text("a file")
    with pytest.raises(ArtifactError, match="the recording cannot be kept in"):
        RunTrack(FolderArtifacts(tmp_path / "media"), "run-1")


async def test_frames_and_questions_come_from_different_threads(store: MemoryArtifacts | FolderArtifacts):
    track = RunTrack(store, "run-1")
    frame = tone()

    def talk() -> None:
        for number in range(2000):
            track.frame(frame, frame)
            track.event(VoiceEvent(number / 50, "x"))

    talking = asyncio.get_running_loop().run_in_executor(None, talk)
    notes = 0
    while not talking.done():
        track.flush()
        notes += len(track.take())
        await asyncio.sleep(0)
    await talking
    notes += len(track.take())
    kept = await track.finish()
    assert notes == 2000 + isinstance(store, FolderArtifacts)
    assert kept is not None
    assert isinstance(kept, RecordingKept)
    assert kept.duration == 40.0


CALL = """
import asyncio, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import duologue
from duologue.journal.jsonl import read_journal
from duologue.voice.incoming import AgentWords
from voice_agents import AnsweringAgent, tone

async def say(text, voice):
    return tone(1.0).data

class Caller(duologue.ScriptedUser):
    voice = "test/x"

async def main():
    duologue.register_tts_provider("test", say)
    path = Path(sys.argv[1]) / "run.jsonl"
    agents = [Caller(["a", "b", "c"]), AnsweringAgent([[AgentWords(text="x y"), tone(2.0)]])]
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    try:
        await duologue.arun("c", "d", agents, script=[duologue.proceed(3), duologue.succeed()], record=path)
    except duologue.errors.ArtifactError as error:
        print(error)
    finished = read_journal(path).view.finished
    print(finished.status.value, finished.verdict, finished.error.type)

asyncio.run(main())
"""


def test_a_disk_that_fills_up_during_a_call_is_an_error_of_the_run_and_no_verdict(tmp_path: Path):
    command = [sys.executable, "-c", CALL, str(tmp_path), str(Path(__file__).parents[1] / "fakes")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the recording cannot be kept in" in done.stdout
    assert "error None ArtifactError" in done.stdout
    run = voice_run(read_journal(tmp_path / "run.jsonl").view, partial(open_beside, tmp_path / "run.jsonl"))
    assert run is not None
    assert run.sound is not None
    assert run.sound.duration == pytest.approx(4.0, abs=0.2)  # what was written until then


class Elsewhere:
    """A store whose artifacts are in no folder of this machine."""

    def __init__(self) -> None:
        self.memory = MemoryArtifacts()

    def __getattr__(self, name: str) -> object:
        return getattr(self.memory, name)


async def test_for_an_object_store_the_file_is_made_below_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    store = Elsewhere()
    track = RunTrack(store, "run-1")  # type: ignore[arg-type]
    record(track, range(50), range(50), 60)
    [begun] = [note for note in track.take() if isinstance(note, RecordingBegun)]
    [file] = (tmp_path / ".duologue" / "recordings").iterdir()
    assert begun.file == str(file)
    kept = await track.finish()
    assert kept is not None
    assert await store.memory.has(kept.artifact)
    assert list(file.parent.iterdir()) == []
