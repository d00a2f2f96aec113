"""Messages with sound."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import Literal, cast

from duologue.errors import ConfigurationError
from duologue.journal.artifacts import Artifact, ArtifactStore, FolderArtifacts, MemoryArtifacts
from duologue.journal.spoken import OpensArtifacts
from duologue.messages import ContentPart, Message, StoredData
from duologue.voice.audio import AudioChunk, is_wav
from duologue.voice.files import decode_audio


def create_audio_message(
    chunk: AudioChunk, role: Literal["user", "assistant"] = "user", *, transcript: str | None = None
) -> Message:
    """A message with a sound, and what is said in it.

    Args:
        chunk: the sound.
        role: whose message it is.
        transcript: in place of that of the chunk.
    """
    said = chunk.transcript if transcript is None else transcript
    return _message(base64.b64encode(chunk.wav()).decode("ascii"), role, said)


def sounds_of(store: ArtifactStore) -> ArtifactStore:
    """Where the sounds of a run's messages are kept while it takes place.

    That is its own store, or, where that is not on this machine, a temporary file, from which the journal passes them
    on.
    """
    return store if isinstance(store, FolderArtifacts | MemoryArtifacts) else MemoryArtifacts()


async def kept_audio_message(
    chunk: AudioChunk, role: Literal["user", "assistant"], store: ArtifactStore, *, transcript: str | None = None
) -> Message:
    """A message whose sound is kept in a store, and read from there when it is needed.

    A long call does not fill the memory then. Copies that agents, judges and results get hold the data.

    Args:
        chunk: the sound.
        role: whose message it is.
        store: of the run.
        transcript: in place of that of the chunk.

    Raises:
        ArtifactError: it cannot be kept.
    """
    if not isinstance(store, OpensArtifacts):
        return create_audio_message(chunk, role, transcript=transcript)
    found = await store.put(chunk.wav(), mime_type="audio/wav")
    data = StoredData(found.sha256, found.size, found.mime_type, partial(_loaded, store, found))
    return _message(data, role, chunk.transcript if transcript is None else transcript)


def _message(data: str, role: Literal["user", "assistant"], said: str | None) -> Message:
    parts: list[ContentPart] = [{"type": "text", "text": said}] if said else []
    parts.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
    return cast("Message", {"role": role, "content": parts})


def _loaded(store: OpensArtifacts, artifact: Artifact) -> bytes:
    with store.open(artifact) as file:
        return file.read()


def message_has_audio(message: Message) -> bool:
    """Whether a message has a sound."""
    return _first_sound(message) is not None


def extract_audio(message: Message) -> AudioChunk | None:
    """The first sound of a message, with the text of the message as its transcript; None if it has none.

    Raises:
        ConfigurationError: the sound cannot be decoded. Says what is wrong with it.
    """
    sound = _first_sound(message)
    if sound is None:
        return None
    written = sound.get("data")
    if not isinstance(written, str):
        raise ConfigurationError(f"input_audio.data must be a text in base64; found {type(written).__name__}")
    try:
        data = written.load() if isinstance(written, StoredData) else base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(f"input_audio.data is not base64: {error}") from error
    texts = [
        str(part.get("text", ""))
        for part in cast("list[ContentPart]", message.get("content"))
        if part.get("type") == "text" and part.get("text")
    ]
    said = " ".join(texts) or None
    if sound.get("format") in {"pcm16", "pcm", "raw"} or (sound.get("format") is None and not is_wav(data)):
        return AudioChunk(data=data[: len(data) // 2 * 2], transcript=said)
    return AudioChunk(data=decode_audio(data), transcript=said)


def _first_sound(message: Message) -> Mapping[str, object] | None:
    content = message.get("content")
    if not isinstance(content, list):
        return None
    for part in content:
        sound = part.get("input_audio")
        if part.get("type") == "input_audio" and isinstance(sound, Mapping):
            return sound
    return None
