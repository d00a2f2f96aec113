"""Speech to text: ``await transcribe(chunk)``.

The provider is the one that was set, else the one that ``DUOLOGUE_STT`` names, else the model on this machine. Speech
is sent to OpenAI only where that model is not installed and there is a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol, cast

from duologue.config.access import variables
from duologue.config.entry_points import load_registered, registered_names
from duologue.config.problems import listed, nearest
from duologue.errors import (
    ConfigurationError,
    DuologueError,
    ModelAnswerError,
    ModelError,
    ModelTimeoutError,
    TargetError,
)
from duologue.voice.audio import AudioChunk
from duologue.voice.user_code import called

_TIMEOUT = 120.0
_BUILT_IN = ("deepgram", "elevenlabs", "local", "openai")
GROUP = "duologue.stt_providers"
"""The group of entry points with which other packages add providers: classes, or functions, whose ``model`` is what
stands after the slash."""


class STTProvider(Protocol):
    """Recognises speech."""

    async def transcribe(self, chunk: AudioChunk) -> str:
        """What is said; '' if nothing is.

        Raises:
            ModelError: it could not be recognised.
        """
        ...


_chosen: list[STTProvider] = []


def set_stt_provider(provider: STTProvider | None) -> None:
    """Use a provider wherever none is named; None for the usual one.

    Raises:
        ConfigurationError: it is something else, such as the class of one.
    """
    if provider is not None and (isinstance(provider, type) or not callable(getattr(provider, "transcribe", None))):
        raise ConfigurationError(
            f"set_stt_provider: found {provider!r}; expected an object with a method 'transcribe', such as "
            "duologue.voice.WhisperSTTProvider()"
        )
    _chosen[:] = [] if provider is None else [provider]


def get_stt_provider() -> STTProvider:
    """The provider that is used where none is named: see the module.

    Raises:
        ConfigurationError: there is none; says what to do.
    """
    if _chosen:
        return _chosen[0]
    if name := variables().get("DUOLOGUE_STT"):
        return stt_provider(name)
    # A key is there for the models of agents and judges as well: it does not say that sound may leave this machine.
    if find_spec("faster_whisper") is not None:
        from duologue.voice.embedded_speech import WhisperSTTProvider

        return WhisperSTTProvider()
    if variables().get("OPENAI_API_KEY"):
        from duologue.voice.hosted_speech import OpenAISTTProvider

        return OpenAISTTProvider()
    raise ConfigurationError(
        "no provider of speech to text: install one for this machine with pip install 'duologue[voice-local]', set "
        "OPENAI_API_KEY, or choose one with DUOLOGUE_STT or set_stt_provider"
    )


def stt_provider(name: str) -> STTProvider:
    """A provider by its name: ``local``, ``openai``, ``elevenlabs`` or ``deepgram``, with its model after a slash.

    Raises:
        ConfigurationError: there is none of that name.
    """
    prefix, _, model = name.strip().partition("/")
    require_stt(name)
    if prefix == "local":
        from duologue.voice.embedded_speech import WhisperSTTProvider

        return WhisperSTTProvider(model or None)
    if prefix not in _BUILT_IN:
        make = _of_package(prefix)
        assert make is not None, "it was there just now"
        return make(model=model) if model else make()
    from duologue.voice.hosted_speech import RECOGNISERS

    made = RECOGNISERS[prefix]
    return made(model=model) if model else made()


def require_stt(name: str) -> None:
    """Whether there is a provider of that name. It is not asked.

    Raises:
        ConfigurationError: there is none.
    """
    prefix = name.strip().partition("/")[0]
    if prefix in _BUILT_IN or _of_package(prefix) is not None:
        return
    known = sorted({*_BUILT_IN, *registered_names(GROUP)})
    raise ConfigurationError(
        f"there is no speech to text named '{name}'{nearest(prefix, known) or ';'} expected one of {listed(known)}, "
        f"with a model after a slash if you like, such as 'openai/gpt-4o-transcribe'. Packages add others (entry "
        f"points of the group {GROUP})"
    )


def _of_package(prefix: str) -> Callable[..., STTProvider] | None:
    try:
        found: object = load_registered(GROUP, prefix) if prefix else None
    except TargetError as error:
        raise ConfigurationError(f"speech to text '{prefix}': {error}") from error
    if found is not None and not callable(found):
        raise ConfigurationError(
            f"speech to text '{prefix}': expected a class or a function that makes a provider; found {found!r}"
        )
    return cast("Callable[..., STTProvider] | None", found)


async def transcribe(chunk: AudioChunk, provider: STTProvider | None = None, *, timeout: float = _TIMEOUT) -> str:
    """What is said in a sound: its transcript if it has one, else what a provider recognises.

    Args:
        chunk: the sound.
        provider: that is asked; None for the usual one.
        timeout: seconds that it may take.

    Raises:
        ModelError: it could not be recognised.
        ConfigurationError: there is no provider, or it lacks a key or a package.
    """
    if chunk.transcript is not None:
        return chunk.transcript
    if not chunk.data:
        return ""
    chosen = provider or get_stt_provider()
    name = type(chosen).__name__
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            return _text(await called(chosen.transcribe, chunk), name)
    except TimeoutError as error:
        why = f"no answer within {timeout:g} s" if limit.expired() else str(error) or "no answer in time"
        raise ModelTimeoutError(f"speech to text with {name}: {why}", model=name) from error
    except DuologueError:
        raise
    except Exception as error:
        raise ModelError(f"speech to text with {name}: {error or type(error).__name__}", model=name) from error


def _text(said: object, name: str) -> str:
    if not isinstance(said, str):
        told = f"speech to text with {name}: expected a text; found {type(said).__name__}"
        raise ModelAnswerError(told, model=name)
    return said.strip()
