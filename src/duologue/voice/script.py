"""The words of a script that only make sense where there is sound: recordings, keys, pauses.

Each returns a step, as those of :mod:`duologue.conversation.script` do. In a conversation in text they do what is
sensible, or say what they need.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.conversation.script import Step
from duologue.errors import ConfigurationError
from duologue.voice.audio import AudioChunk
from duologue.voice.files import decode_audio, load_audio
from duologue.voice.messages import create_audio_message, kept_audio_message
from duologue.voice.session import VoiceSession, voice_sessions
from duologue.voice.tones import require_keys

_LONGEST = 3600.0
"""Seconds that a pause of a script may last."""


def audio(source: str | Path | bytes | AudioChunk) -> Step:
    """The user plays a recording.

    A voice agent hears it at once, also while it speaks: the next ``agent()`` is its answer. For agents in text it is a
    message with sound.

    Args:
        source: a file, or the bytes of one, in any format that is known, or a chunk of sound; never a URL.
    """
    sound = _loaded(source)
    name = f"audio({Path(source).name})" if isinstance(source, str | os.PathLike) else "audio"

    async def play(state: ScenarioState) -> ScenarioResult | None:
        sessions = voice_sessions(state)
        if not sessions:
            return await state.executor.message(create_audio_message(sound, "user"))
        state.add_message(await kept_audio_message(sound, "user", sessions[0].sounds))
        for session in sessions:
            await session.hear_sound(sound, state.view.records[-1].message_id)
        return None

    return _step(name, play)


def dtmf(keys: str, *, as_tones: bool = False) -> Step:
    """The user presses keys.

    Args:
        keys: of ``0-9``, ``A-D``, ``*`` and ``#``; ``w`` is a pause of half a second, ``W`` one of a second.
        as_tones: send them as sound where the transport carries no keys; otherwise that is an error.
    """
    try:
        require_keys(keys)
    except ValueError as error:
        raise ConfigurationError(f"dtmf: {error}") from error

    async def play(state: ScenarioState) -> None:
        for session in _needed(state, "dtmf"):
            await session.on_line(session.driver.press(keys, as_tones=as_tones))

    return _step(f"dtmf({keys})", play)


def silence(seconds: float) -> Step:
    """The user says nothing for that long, and silence is sent. In a conversation in text, time passes.

    The agent may speak meanwhile.
    """
    return _pause("silence", seconds, heard=True)


def sleep(seconds: float) -> Step:
    """Time passes: the script continues after that many seconds of the conversation. The agent may speak meanwhile."""
    return _pause("sleep", seconds, heard=False)


def _pause(name: str, seconds: float, *, heard: bool) -> Step:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= _LONGEST:  # pyright: ignore[reportUnnecessaryIsInstance] - of users
        raise ConfigurationError(f"{name}({seconds!r}): expected 0 to {_LONGEST:g} seconds")

    async def play(state: ScenarioState) -> None:
        sessions = voice_sessions(state)
        if not sessions:
            await state.executor.sleep(seconds)
        await asyncio.gather(*(item.pause(seconds, sent=heard) for item in sessions))

    return _step(f"{name}({seconds:g})", play)


def _needed(state: ScenarioState, step: str) -> list[VoiceSession]:
    sessions = voice_sessions(state)
    if not sessions:
        raise ConfigurationError(
            f"{step}: none of the scenario's agents is a voice agent; pass one, such as duologue.TwilioAgentAdapter(…)"
        )
    return sessions


def _loaded(source: object) -> AudioChunk:
    if isinstance(source, AudioChunk):
        return source
    if isinstance(source, bytes | bytearray):
        return AudioChunk(decode_audio(bytes(source)))
    if not isinstance(source, str | os.PathLike):
        raise ConfigurationError(f"audio(…): expected a file, bytes or an AudioChunk; found {type(source).__name__}")
    return AudioChunk(load_audio(cast("str | Path", source)))


def _step(name: str, play: Callable[[ScenarioState], Awaitable[ScenarioResult | None]]) -> Step:
    def step(state: ScenarioState) -> Awaitable[ScenarioResult | None]:
        return play(state)

    step.__name__ = step.__qualname__ = name
    return step
