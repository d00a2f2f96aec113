"""An agent made of a model and a prompt that is spoken with: by a realtime API, by a mock, or as STT, model and TTS."""

from __future__ import annotations

from collections.abc import Callable

from duologue.conversation.adapter import AgentAdapter
from duologue.models.base import Model
from duologue.models.scope import RunScope
from duologue.specs.agents import Model as ModelSpec
from duologue.suites.runner.runtime_agents import MakeVoiceAgent
from duologue.suites.runner.voice_mock import MockedCall, MockedVoiceAgent
from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.synthesis import DEFAULT_VOICE

_REALTIME = {"openai": ("realtime",), "google": ("live", "native-audio", "-exp")}
"""What is in the names of models of realtime APIs, by provider."""


def native_voice(
    spec: ModelSpec | None, model: Model, instructions: str, text_agent: Callable[[], AgentAdapter], *, mocked: bool
) -> MakeVoiceAgent:
    """Makes the adapter for a call.

    Args:
        spec: of the model in the suite; None for one such as ``openai/gpt-realtime``.
        model: ready to be asked.
        instructions: of the agent.
        text_agent: makes the agent that answers in text.
        mocked: whether the model answers from a file.
    """
    options = dict(spec.options) if spec else {}

    async def make(run: RunScope) -> VoiceAgentAdapter:
        if mocked:
            return MockedVoiceAgent(MockedCall.of(options, model.name), text_agent())
        provider, name = _provider(spec, model)
        voice = options.get("voice")
        if provider == "openai" and any(word in name for word in _REALTIME["openai"]):
            from duologue.voice.adapters.openai_realtime import OpenAIRealtimeAgentAdapter

            return OpenAIRealtimeAgentAdapter(name, str(voice or "alloy"), instructions)
        if provider == "google" and any(word in name for word in _REALTIME["google"]):
            from duologue.voice.adapters.gemini_live import GeminiLiveAgentAdapter

            return GeminiLiveAgentAdapter(name, str(voice or "Algieba"), instructions)
        from duologue.voice.adapters.composable import ComposableVoiceAgent

        tts = voice if isinstance(voice, str) and "/" in voice else DEFAULT_VOICE
        return ComposableVoiceAgent(None, model, tts, system_prompt=instructions)

    return make


def _provider(spec: ModelSpec | None, model: Model) -> tuple[str, str]:
    if spec is not None:
        return spec.provider, spec.model or spec.name
    provider, _, name = model.name.partition("/")
    return provider, name
