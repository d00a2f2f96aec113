"""Sound in files, in whatever shape it is given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from voice_agents import tone

from duologue.voice.audio import AudioChunk
from duologue.voice.files import FORMATS, load_audio, save_audio

SOUND = tone(0.5).data


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "given",
    [AudioChunk(SOUND), [AudioChunk(SOUND)], [AudioChunk(SOUND[:960]), SOUND[960:]], bytearray(SOUND)],
    ids=["chunk", "chunks", "chunk-and-bytes", "bytearray"],
)
def test_chunks_are_written_like_their_bytes(
    given: AudioChunk | Iterable[AudioChunk | bytes], format: str, tmp_path: Path
) -> None:
    written = save_audio(tmp_path / f"given.{format}", given)
    assert load_audio(written) == load_audio(save_audio(tmp_path / f"bytes.{format}", SOUND))
