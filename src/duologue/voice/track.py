"""The recording while it is made: a WAV file that grows with the conversation, and its timeline for the journal.

The file has the user on the left and the agent on the right, with silence and overlap as they were heard. It is
complete after every second of sound, header included, so a run that is killed leaves a file that plays, up to there;
the journal names it from the beginning. Only the last second is in memory. When the conversation is over the file
becomes an artifact of the run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import struct
import tempfile
import threading
from collections import deque
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from duologue.config.files import make_private_folder, open_private, project_folder
from duologue.errors import ArtifactError, ConfigurationError, DuologueError
from duologue.journal.artifacts import CHUNK, ArtifactStore, FolderArtifacts, MemoryArtifacts
from duologue.journal.spoken import SpokenNote
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.notes import (
    RECORDINGS_PLACE,
    RecordingBegun,
    RecordingKept,
    SpeechRecognised,
    event_note,
    segment_note,
)
from duologue.voice.recognition import STTProvider, get_stt_provider, transcribe
from duologue.voice.recording import StoredSound
from duologue.voice.timeline import AudioSegment, VoiceEvent

logger = logging.getLogger("duologue.voice")

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_BYTES_A_SECOND = SAMPLE_RATE * 4
_MOST = 0xFFFFFFFF - _HEADER.size


class WavFile:
    """A WAV file of two channels that plays whenever its writer is killed. What was written stays when it is closed.

    Args:
        file: new and empty, without a buffer.
        name: of it, for errors.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._size = 0
        self._put(b"")

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self._size / _BYTES_A_SECOND

    def write(self, pcm: bytes) -> None:
        """Add PCM16, 24 kHz, left and right side by side: first the sound, then the header that counts it.

        Raises:
            ArtifactError: the disk does not take it.
        """
        self._put(pcm)

    def open(self) -> BinaryIO:
        """The same file, to be read from its beginning by whoever closes it.

        Raises:
            ArtifactError: it cannot be opened.
        """
        try:
            if self._name:
                return Path(self._name).open("rb")
            file = os.fdopen(os.dup(self._file.fileno()), "rb")
            file.seek(0)  # the writer looks for its own place with every write
            return file
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Nothing more follows; harmless any number of times."""
        with suppress(OSError):
            self._file.close()

    def _put(self, pcm: bytes) -> None:
        size = min(self._size + len(pcm), _MOST)
        header = _HEADER.pack(
            *(b"RIFF", size + _HEADER.size - 8, b"WAVE", b"fmt ", 16, 1, 2, SAMPLE_RATE, _BYTES_A_SECOND, 4, 16),
            *(b"data", size),
        )
        try:
            if pcm:
                self._file.seek(_HEADER.size + self._size)
                _write_all(self._file, pcm)
            self._file.seek(0)
            _write_all(self._file, header)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise self._failed(error) from error
        self._size = size

    def _failed(self, error: Exception) -> ArtifactError:
        why = getattr(error, "strerror", None) or error
        return ArtifactError(f"the recording cannot be kept in {self._name or 'a temporary file'}: {why}")


def _write_all(file: BinaryIO, data: bytes) -> None:
    """A file without a buffer may take a part only, such as up to the end of the disk."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


class RunTrack:
    """What is recorded of one run: each frame, each segment and each event. Safe to use from several threads.

    Args:
        artifacts: of the run. In a folder, the file is made there; for what is kept in memory, without a name; for an
            object store, below the folder of the project.
        run_id: makes part of the name.

    Raises:
        ArtifactError: the file cannot be made.
    """

    def __init__(self, artifacts: ArtifactStore, run_id: str) -> None:
        self._artifacts = artifacts
        self._lock = threading.Lock()  # frames come on the event loop of voice, questions on that of the run
        self._user, self._agent = bytearray(), bytearray()
        self._notes: deque[SpokenNote] = deque()
        self._segments: list[AudioSegment] = []
        self._recognised: set[int] = set()
        self._path = _place(artifacts, run_id)
        self._kept: RecordingKept | None = None
        if self._path is None:
            self._file = WavFile(_without_name(), "")
        else:
            self._file = WavFile(_created(self._path), str(self._path))
            told = self._path.name if isinstance(artifacts, FolderArtifacts) else str(self._path)
            self._notes.append(RecordingBegun(file=told))

    # --- what the driver says ----------------------------------------------------------------------------------------

    def frame(self, user: bytes, agent: bytes) -> None:
        """What was heard of both in the same time, after what came before: PCM16, mono, 24 kHz, of the same length.

        Raises:
            ArtifactError: the disk does not take it: the run is in error, and nothing is said of the agent.
        """
        with self._lock:
            self._user += user
            self._agent += agent
            if len(self._user) >= SAMPLE_RATE * 2:
                self._flush()

    def segment(self, segment: AudioSegment) -> None:
        """Somebody has spoken. Its sound is in the frames, and is not kept twice."""
        self._segments.append(replace(segment, audio=b""))
        self._notes.append(segment_note(segment))

    def event(self, event: VoiceEvent) -> None:
        """Something has happened."""
        self._notes.append(event_note(event))

    # --- for the journal ---------------------------------------------------------------------------------------------

    def take(self) -> list[SpokenNote]:
        """What is to be noted in the journal, each note once."""
        taken: list[SpokenNote] = []
        with suppress(IndexError):  # others may be added meanwhile
            while True:
                taken.append(self._notes.popleft())
        return taken

    @property
    def seconds(self) -> float:
        """How much has been recorded."""
        return self._file.seconds + len(self._user) / (SAMPLE_RATE * 2)

    def flush(self) -> None:
        """Write what is in memory; the file plays up to here from now on.

        Raises:
            ArtifactError: the disk does not take it.
        """
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if not self._user and not self._agent:
            return
        longest = max(len(self._user), len(self._agent))
        both = np.zeros((longest // 2, 2), dtype="<i2")
        for column, held in enumerate((self._user, self._agent)):
            both[: len(held) // 2, column] = np.frombuffer(bytes(held), dtype="<i2")
        self._user.clear()
        self._agent.clear()
        self._file.write(both.tobytes())

    def heard(self, segment: AudioSegment) -> AudioChunk:
        """The sound of a segment, as it was heard.

        Raises:
            ArtifactError: the file cannot be written or read.
        """
        self.flush()
        sound = StoredSound(self._file.open)
        return AudioChunk(sound.channel(segment.speaker, segment.start_time, segment.end_time))

    async def recognise(self, segment: AudioSegment, provider: STTProvider | None = None) -> str | None:
        """What speech to text understands of a segment that was recorded; it is noted.

        Args:
            segment: that :meth:`segment` was told.
            provider: of speech to text; None for the usual one.

        Returns:
            The text; None where it cannot be recognised: there is no provider, or it failed, which is logged.

        Raises:
            ArtifactError: the file cannot be written or read.
        """
        number = self._segments.index(replace(segment, audio=b""))
        try:
            chosen = provider or get_stt_provider()
            text = await transcribe(self.heard(segment), chosen)
        except ArtifactError:
            raise
        except ConfigurationError as error:
            logger.info("what was heard of a segment is not recognised: %s", error)
            return None
        except DuologueError as error:
            logger.warning("what was heard of a segment is not recognised: %s", error)
            return None
        self._recognised.add(number)
        self._notes.append(SpeechRecognised(segment=number, text=text, provider=type(chosen).__name__))
        return text

    async def recognise_cut_off(self, provider: STTProvider | None = None) -> None:
        """Recognise what was really heard of the agent's segments that were cut off, as far as nobody has done so.

        Raises:
            ArtifactError: the file cannot be written or read.
        """
        for number, segment in enumerate(list(self._segments)):
            cut = segment.speaker == "agent" and segment.transcript_truncated
            if cut and number not in self._recognised:
                await self.recognise(segment, provider)

    # --- the end -----------------------------------------------------------------------------------------------------

    async def finish(self) -> RecordingKept | None:
        """The conversation is over: keep the recording as an artifact, and note it. Harmless a second time.

        Returns:
            Where it is; None where nothing was heard.

        Raises:
            ArtifactError: it cannot be kept; the file stays where it is.
        """
        if self._kept is not None:
            return self._kept
        self.flush()
        if not self._file.seconds:
            self.close()
            self._remove()
            return None
        with self._file.open() as file:
            async with self._artifacts.writer(mime_type="audio/wav") as writer:
                while piece := await asyncio.to_thread(file.read, CHUNK):  # others have frames to send meanwhile
                    await writer.write(piece)
        found = writer.artifact
        self._kept = RecordingKept(sha256=found.sha256, size=found.size, duration=round(self._file.seconds, 4))
        self._notes.append(self._kept)
        self.close()
        self._remove()
        return self._kept

    def close(self) -> None:
        """Nothing more is recorded. What was not finished stays as a file; harmless any number of times."""
        with suppress(ArtifactError):
            self.flush()
        self._file.close()

    def _remove(self) -> None:
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


def _place(artifacts: ArtifactStore, run_id: str) -> Path | None:
    """The file of a recording; None for one without a name. No two attempts of a run have the same."""
    safe = re.sub(r"[^\w-]+", "-", run_id)[:80]
    name = f"{safe}-{os.urandom(4).hex()}.wav"
    if isinstance(artifacts, FolderArtifacts):
        return artifacts.folder / name
    if isinstance(artifacts, MemoryArtifacts):
        return None
    return project_folder(Path.cwd()).joinpath(*RECORDINGS_PLACE, name)


def _without_name() -> BinaryIO:
    try:
        return cast("BinaryIO", tempfile.TemporaryFile(buffering=0))
    except OSError as error:
        raise ArtifactError(f"the recording cannot be kept in a temporary file: {error.strerror or error}") from error


def _created(path: Path) -> BinaryIO:
    try:
        make_private_folder(path.parent)
        return cast("BinaryIO", open(path, "x+b", buffering=0, opener=open_private))
    except OSError as error:
        raise ArtifactError(f"the recording cannot be kept in {path}: {error.strerror or error}") from error
