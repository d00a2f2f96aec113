"""How the words of the user become sound: its voice, what happens to the sound on its way, and nothing else.

Texts are synthesized once (see :mod:`duologue.voice.synthesis`); silence before and after them is cut off, so that the
time at which the user has finished is the time at which its last word ends. Messages that hold sound are sent as they
are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import cast
from weakref import WeakKeyDictionary

import numpy as np

from duologue.conversation.result import ScenarioState
from duologue.conversation.voice_state import Delivery, SoundEffect
from duologue.errors import ConfigurationError, SimulatorError
from duologue.journal.events import MessageAdded
from duologue.messages import Message, text_of
from duologue.vocabulary import AgentRole
from duologue.voice.audio import SAMPLE_RATE, SAMPLE_WIDTH, AudioChunk
from duologue.voice.messages import extract_audio
from duologue.voice.synthesis import DEFAULT_VOICE, require_voice, synthesize

logger = logging.getLogger("duologue.voice")

_QUIET = 120
"""Of 32,768: what is quieter before and after a text is no part of it."""
_KEPT = round(0.02 * SAMPLE_RATE)
"""Samples that stay before and after it."""
_warned: set[str] = set()
Speaker = Callable[[str], Awaitable[AudioChunk]]
"""Says a line in a voice of its own."""
_speakers: WeakKeyDictionary[ScenarioState, dict[int, Speaker]] = WeakKeyDictionary()


def speaks_itself(state: ScenarioState, participant: int, speaker: Speaker) -> None:
    """The lines of this user are said by the user itself, not by a synthesizer."""
    _speakers.setdefault(state, {})[participant] = speaker


async def speech_of(message: Message, state: ScenarioState | None, record: MessageAdded | None = None) -> AudioChunk:
    """The sound of a message of the user.

    Args:
        message: with its text, or with sound.
        state: of the run: who the user is, how the next line is to be said. The latter is used up.
        record: of the message, which says whose it is; None for a line that is not in the conversation yet.

    Returns:
        The sound, with the text as its transcript; of no length where there are no words.

    Raises:
        ConfigurationError: the voice or an effect is none, or the sound of the message cannot be decoded.
        ModelError: the text cannot be synthesized.
    """
    delivery = _delivery(state)
    sound = extract_audio(message)
    if sound is not None:
        return sound
    text = text_of(message).strip()
    if not text:
        return AudioChunk(b"")
    voice, effects = _user(state, record)
    if delivery.voice_style:
        _warn_of_style(voice)
    speaker = _speaker(state, record)
    try:
        spoken = await (speaker(text) if speaker is not None else synthesize(text, voice))
    except ValueError as error:
        raise ConfigurationError(f"voice of the user: {error}") from error
    data = without_silence(spoken.data)
    chosen = effects if delivery.audio_effects is None else delivery.audio_effects
    return AudioChunk(await with_effects(data, chosen), transcript=text)


def require_voices(state: ScenarioState | None) -> None:
    """Check, before anybody is called, that there are such voices as a run's users have.

    Raises:
        SimulatorError: there is no such voice; says whose.
    """
    for user in state.executor.agents if state is not None else ():
        if user.role is not AgentRole.USER or hasattr(user, "begin_user_turn"):
            continue  # a realtime model that plays the user speaks itself, with a voice of its own API
        voice = getattr(user, "voice", None)
        try:
            if isinstance(voice, str) and voice:
                require_voice(voice)
        except ValueError as error:
            raise SimulatorError(f"voice of the user '{user.name}': {error}", who=user.name) from error


async def with_effects(pcm: bytes, effects: Sequence[SoundEffect]) -> bytes:
    """PCM16 after some effects, one after the other. They work in a thread, since making noise takes a second.

    Raises:
        ConfigurationError: an effect gives something other than PCM16.
    """
    return await asyncio.to_thread(_changed, pcm, tuple(effects)) if effects else pcm


def without_silence(pcm: bytes) -> bytes:
    """A sound from where it is first heard to where it is last heard."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32)) > _QUIET)
    if not len(loud):
        return pcm
    start, end = max(0, int(loud[0]) - _KEPT), int(loud[-1]) + _KEPT
    return pcm[start * SAMPLE_WIDTH : end * SAMPLE_WIDTH]


def _delivery(state: ScenarioState | None) -> Delivery:
    if state is None or state.voice.delivery is None:
        return Delivery()
    delivery, state.voice.delivery = state.voice.delivery, None
    return delivery


def _speaker(state: ScenarioState | None, record: MessageAdded | None) -> Speaker | None:
    """Whoever says a line itself; None where it is synthesized."""
    speakers = _speakers.get(state, {}) if state is not None else {}
    index = None if record is None else record.stands_in_for if record.author is None else record.author
    return next(iter(speakers.values()), None) if index is None else speakers.get(index)


def _user(state: ScenarioState | None, record: MessageAdded | None) -> tuple[str, Sequence[SoundEffect]]:
    """The voice and the effects of whoever has said a line; of the first user that has a voice, if that is unknown."""
    if state is None:
        return DEFAULT_VOICE, ()
    agents = state.executor.agents
    index = None if record is None else record.stands_in_for if record.author is None else record.author
    users = [agent for agent in agents if agent.role is AgentRole.USER]
    if index is not None and agents[index].role is AgentRole.USER:
        users.insert(0, agents[index])
    given = (getattr(user, "voice", None) for user in users)
    voice = next((name for name in given if name), DEFAULT_VOICE)
    effects = state.voice.effects
    if effects is None:
        effects = next((found for user in users if (found := getattr(user, "audio_effects", None))), ())
    return str(voice), cast("Sequence[SoundEffect]", effects)


def _changed(pcm: bytes, effects: Sequence[SoundEffect]) -> bytes:
    for effect in effects:
        changed = cast("object", effect(pcm))  # whatever a function of the user's gives
        if not isinstance(changed, bytes | bytearray) or len(changed) % SAMPLE_WIDTH:
            found = f"{len(changed)} bytes" if isinstance(changed, bytes | bytearray) else type(changed).__name__
            name = getattr(effect, "name", None) or getattr(effect, "__name__", "custom")
            raise ConfigurationError(
                f"the audio effect '{name}' gave {found}; expected PCM16, two bytes for each sample"
            )
        pcm = bytes(changed)
    return pcm


def _warn_of_style(voice: str) -> None:
    if voice not in _warned:
        _warned.add(voice)
        logger.warning("the voice '%s' has no styles, so that voice_style changes nothing", voice)
