"""Sound: pieces of it, speech to text and back, effects, recordings and their figures. Needs the extra ``voice``.

    from duologue.voice import AudioChunk, effects

    noisy = AudioChunk(effects.background_noise("cafe", snr=15)(chunk.data))

Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duologue.lazy_names import lazy_names

if TYPE_CHECKING:
    from duologue.voice.activity import SpeechDetector as SpeechDetector
    from duologue.voice.adapter import AdapterCapabilities as AdapterCapabilities
    from duologue.voice.adapter import FirstChunkTimeoutError as FirstChunkTimeoutError
    from duologue.voice.adapter import InProcessVoiceAgent as InProcessVoiceAgent
    from duologue.voice.adapter import UnsupportedCapabilityError as UnsupportedCapabilityError
    from duologue.voice.adapter import VoiceAgentAdapter as VoiceAgentAdapter
    from duologue.voice.adapter import VoiceConnectionError as VoiceConnectionError
    from duologue.voice.audio import SAMPLE_RATE as SAMPLE_RATE
    from duologue.voice.audio import AudioChunk as AudioChunk
    from duologue.voice.audio import silent_chunk as silent_chunk
    from duologue.voice.effects import AudioEffect as AudioEffect
    from duologue.voice.embedded_speech import WhisperSTTProvider as WhisperSTTProvider
    from duologue.voice.files import load_audio as load_audio
    from duologue.voice.files import save_audio as save_audio
    from duologue.voice.hosted_speech import DeepgramSTTProvider as DeepgramSTTProvider
    from duologue.voice.hosted_speech import ElevenLabsSTTProvider as ElevenLabsSTTProvider
    from duologue.voice.hosted_speech import OpenAISTTProvider as OpenAISTTProvider
    from duologue.voice.incoming import AgentKeys as AgentKeys
    from duologue.voice.incoming import AgentToolCall as AgentToolCall
    from duologue.voice.incoming import AgentToolResult as AgentToolResult
    from duologue.voice.incoming import AgentTurnEnded as AgentTurnEnded
    from duologue.voice.incoming import AgentWords as AgentWords
    from duologue.voice.incoming import CallEnded as CallEnded
    from duologue.voice.incoming import Incoming as Incoming
    from duologue.voice.incoming import UserHeard as UserHeard
    from duologue.voice.incoming import UserWords as UserWords
    from duologue.voice.interaction import InteractionMetrics as InteractionMetrics
    from duologue.voice.interaction import interaction_metrics as interaction_metrics
    from duologue.voice.messages import create_audio_message as create_audio_message
    from duologue.voice.messages import extract_audio as extract_audio
    from duologue.voice.messages import message_has_audio as message_has_audio
    from duologue.voice.metrics import LatencyMetrics as LatencyMetrics
    from duologue.voice.metrics import VoiceMetrics as VoiceMetrics
    from duologue.voice.metrics import voice_metrics as voice_metrics
    from duologue.voice.metrics import word_error_rate as word_error_rate
    from duologue.voice.recognition import STTProvider as STTProvider
    from duologue.voice.recognition import get_stt_provider as get_stt_provider
    from duologue.voice.recognition import set_stt_provider as set_stt_provider
    from duologue.voice.recognition import transcribe as transcribe
    from duologue.voice.recording import VoiceRecording as VoiceRecording
    from duologue.voice.recording import transcribe_segments as transcribe_segments
    from duologue.voice.registered import voice_adapter as voice_adapter
    from duologue.voice.resample import Resampler as Resampler
    from duologue.voice.resample import resample as resample
    from duologue.voice.synthesis import register_tts_provider as register_tts_provider
    from duologue.voice.synthesis import synthesize as synthesize
    from duologue.voice.timeline import AudioSegment as AudioSegment
    from duologue.voice.timeline import SpeechPurpose as SpeechPurpose
    from duologue.voice.timeline import VoiceEvent as VoiceEvent
    from duologue.voice.tones import dtmf_tones as dtmf_tones

_HOMES = {
    "AdapterCapabilities": ".adapter",
    "AgentKeys": ".incoming",
    "AgentToolCall": ".incoming",
    "AgentToolResult": ".incoming",
    "AgentTurnEnded": ".incoming",
    "AgentWords": ".incoming",
    "AudioChunk": ".audio",
    "AudioEffect": ".effects",
    "AudioSegment": ".timeline",
    "CallEnded": ".incoming",
    "DeepgramSTTProvider": ".hosted_speech",
    "ElevenLabsSTTProvider": ".hosted_speech",
    "FirstChunkTimeoutError": ".adapter",
    "InProcessVoiceAgent": ".adapter",
    "Incoming": ".incoming",
    "InteractionMetrics": ".interaction",
    "LatencyMetrics": ".metrics",
    "OpenAISTTProvider": ".hosted_speech",
    "Resampler": ".resample",
    "SAMPLE_RATE": ".audio",
    "STTProvider": ".recognition",
    "SpeechDetector": ".activity",
    "SpeechPurpose": ".timeline",
    "UnsupportedCapabilityError": ".adapter",
    "UserHeard": ".incoming",
    "UserWords": ".incoming",
    "VoiceAgentAdapter": ".adapter",
    "VoiceConnectionError": ".adapter",
    "VoiceEvent": ".timeline",
    "VoiceMetrics": ".metrics",
    "VoiceRecording": ".recording",
    "WhisperSTTProvider": ".embedded_speech",
    "create_audio_message": ".messages",
    "dtmf_tones": ".tones",
    "extract_audio": ".messages",
    "get_stt_provider": ".recognition",
    "interaction_metrics": ".interaction",
    "load_audio": ".files",
    "message_has_audio": ".messages",
    "register_tts_provider": ".synthesis",
    "resample": ".resample",
    "save_audio": ".files",
    "set_stt_provider": ".recognition",
    "silent_chunk": ".audio",
    "synthesize": ".synthesis",
    "transcribe": ".recognition",
    "transcribe_segments": ".recording",
    "voice_adapter": ".registered",
    "voice_metrics": ".metrics",
    "word_error_rate": ".metrics",
}

__all__ = [*sorted(_HOMES)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
