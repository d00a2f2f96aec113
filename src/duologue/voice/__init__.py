"""Sound: pieces of it, messages with it, effects, tones, codecs and files. Needs the extra ``voice``.

    from duologue.voice import AudioChunk, effects

    noisy = AudioChunk(effects.background_noise("cafe", snr=15)(chunk.data))

Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duologue.lazy_names import lazy_names

if TYPE_CHECKING:
    from duologue.voice.audio import SAMPLE_RATE as SAMPLE_RATE
    from duologue.voice.audio import AudioChunk as AudioChunk
    from duologue.voice.audio import silent_chunk as silent_chunk
    from duologue.voice.effects import AudioEffect as AudioEffect
    from duologue.voice.files import load_audio as load_audio
    from duologue.voice.files import save_audio as save_audio
    from duologue.voice.messages import create_audio_message as create_audio_message
    from duologue.voice.messages import extract_audio as extract_audio
    from duologue.voice.messages import message_has_audio as message_has_audio
    from duologue.voice.resample import Resampler as Resampler
    from duologue.voice.resample import resample as resample
    from duologue.voice.tones import dtmf_tones as dtmf_tones

_HOMES = {
    "SAMPLE_RATE": ".audio",
    "AudioChunk": ".audio",
    "AudioEffect": ".effects",
    "Resampler": ".resample",
    "create_audio_message": ".messages",
    "dtmf_tones": ".tones",
    "extract_audio": ".messages",
    "load_audio": ".files",
    "message_has_audio": ".messages",
    "resample": ".resample",
    "save_audio": ".files",
    "silent_chunk": ".audio",
}

__all__ = [*sorted(_HOMES)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
