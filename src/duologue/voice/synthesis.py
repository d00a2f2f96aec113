"""Text to speech: ``synthesize("Hello", "openai/alloy")``.

A voice is ``provider/name``. Providers are registered by their name; those that come with Duologue are loaded when one
of their voices is first asked for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256

from duologue.config.entry_points import load_registered, registered_names
from duologue.config.problems import listed, nearest
from duologue.errors import DuologueError, ModelAnswerError, ModelError, ModelTimeoutError, TargetError
from duologue.voice.audio import SAMPLE_WIDTH, AudioChunk
from duologue.voice.user_code import called

TtsProvider = Callable[[str, str], Awaitable[bytes | AudioChunk] | bytes | AudioChunk]
"""From a text and the name of a voice to PCM16, mono, 24 kHz, or a chunk of it. One that is not async runs in a
thread."""

DEFAULT_VOICE = "local/heart"
"""The voice on this machine (extra ``voice-local``)."""
_TIMEOUT = 60.0
_MOST_BYTES = 64 * 1024 * 1024
"""Of the sounds that are kept."""
LOCAL_VOICES = ("heart",)
"""Voices on this machine, whose weights are in the package."""
GROUP = "duologue.tts_providers"
"""The group of entry points with which other packages add providers: the name is the prefix."""

_registered: dict[str, TtsProvider] = {}
_cache: OrderedDict[tuple[str, str, str], AudioChunk] = OrderedDict()


def register_tts_provider(prefix: str, provider: TtsProvider) -> None:
    """Make voices of a provider available as ``prefix/name``, in place of another one with that prefix.

    Args:
        prefix: without a slash.
        provider: a function, async or not, of the text and the name of the voice; returns PCM16, mono, 24 kHz, or an
            :class:`~duologue.voice.audio.AudioChunk`.

    Raises:
        ValueError: the prefix is empty or has a slash.
    """
    if not prefix or "/" in prefix:
        raise ValueError(f"the prefix of a provider is a name without a slash; found {prefix!r}")
    _registered[prefix] = provider
    forget_speech(prefix)


def forget_speech(prefix: str | None = None) -> None:
    """Forget what was synthesized with the voices of a provider; None for all."""
    for key in [key for key in _cache if prefix is None or key[0] == prefix]:
        del _cache[key]


async def synthesize(text: str, voice: str = DEFAULT_VOICE, *, timeout: float = _TIMEOUT) -> AudioChunk:
    """Say a text. The same text in the same voice is synthesized once.

    Args:
        text: to be said. One without a word is silence of no length.
        voice: ``provider/name``.
        timeout: seconds that it may take.

    Returns:
        The sound, with the text as its transcript.

    Raises:
        ValueError: the voice has another form, or there is no such provider.
        ModelError: the provider did not answer, or not with sound; of the kind that models raise.
        MissingKeyError, MissingExtraError: the provider needs a key or a package.
    """
    prefix, provider, name = _provider_of(voice)
    if not text.strip():
        return AudioChunk(b"")
    key = (prefix, name, sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    held = _cache.get(key)
    if held is not None:
        _cache.move_to_end(key)
        return held
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            chunk = AudioChunk(_sound(await called(provider, text, name), voice), transcript=text)
    except TimeoutError as error:
        why = f"no answer within {timeout:g} s" if limit.expired() else str(error) or "no answer in time"
        raise ModelTimeoutError(f"text to speech with '{voice}': {why}", model=voice) from error
    except (DuologueError, ValueError):
        raise
    except Exception as error:
        raise ModelError(f"text to speech with '{voice}': {error or type(error).__name__}", model=voice) from error
    _keep(key, chunk)
    return chunk


def _sound(made: object, voice: str) -> bytes:
    pcm = made.data if isinstance(made, AudioChunk) else made
    if not isinstance(pcm, bytes | bytearray) or len(pcm) % SAMPLE_WIDTH or not pcm:
        found = f"{len(pcm)} bytes" if isinstance(pcm, bytes | bytearray) else type(pcm).__name__
        told = f"text to speech with '{voice}': expected PCM16, two bytes for each sample; found {found}"
        raise ModelAnswerError(told, model=voice)
    return bytes(pcm)


def _keep(key: tuple[str, str, str], chunk: AudioChunk) -> None:
    if len(chunk.data) > _MOST_BYTES // 4:
        return
    _cache[key] = chunk
    size = sum(len(held.data) for held in _cache.values())
    while size > _MOST_BYTES:
        size -= len(_cache.popitem(last=False)[1].data)


def _provider_of(voice: str) -> tuple[str, TtsProvider, str]:
    prefix, slash, name = voice.partition("/")
    if not slash or not prefix or not name:
        raise ValueError(f"a voice is written as provider/name, such as '{DEFAULT_VOICE}'; found {voice!r}")
    if prefix == "local" and prefix not in _registered and name not in LOCAL_VOICES:
        known = [f"local/{item}" for item in LOCAL_VOICES]
        raise ValueError(f"there is no voice 'local/{name}' on this machine; expected {listed(known)}")
    provider = _registered.get(prefix) or _built_in(prefix) or _of_package(prefix)
    if provider is None:
        known = sorted({*_registered, *_BUILT_IN, *registered_names(GROUP)})
        raise UnknownVoiceProviderError(
            f"there is no provider '{prefix}' of voices{nearest(prefix, known) or ';'} expected one of "
            f"{listed(known)}. Others are added with register_tts_provider, or by packages (entry points of the group "
            f"{GROUP})"
        )
    return prefix, provider, name


class UnknownVoiceProviderError(ValueError):
    """There is no such provider of voices."""


def require_voice(voice: str) -> None:
    """Whether a voice can be had, as far as that is known without asking its provider.

    Raises:
        ValueError: it has another form, there is no such provider, or this machine has no such voice. A provider that
            a program has not registered yet is an :class:`UnknownVoiceProviderError`.
    """
    _provider_of(voice)


def _of_package(prefix: str) -> TtsProvider | None:
    try:
        return load_registered(GROUP, prefix)
    except TargetError as error:
        raise ValueError(f"the provider '{prefix}' of voices: {error}") from error


_BUILT_IN = ("cartesia", "deepgram", "elevenlabs", "google", "local", "openai")


def _built_in(prefix: str) -> TtsProvider | None:
    if prefix == "local":
        from duologue.voice.embedded_speech import say

        return say
    if prefix not in _BUILT_IN:
        return None
    from duologue.voice.hosted_speech import VOICES

    return VOICES[prefix]
