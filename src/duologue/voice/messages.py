"""Messages with sound."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Literal, cast

from duologue.errors import ConfigurationError
from duologue.messages import ContentPart, Message
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
    parts: list[ContentPart] = [{"type": "text", "text": said}] if said else []
    encoded = base64.b64encode(chunk.wav()).decode("ascii")
    parts.append({"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}})
    return cast("Message", {"role": role, "content": parts})


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
        data = base64.b64decode(written, validate=True)
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
