"""An agent made of a model and a prompt that is spoken with: by a realtime API, by a mock, or as STT, model and TTS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

from duologue.agents.native.blueprint import Blueprint
from duologue.agents.native.prompt_agent import PromptAgent
from duologue.agents.tools.session import ToolSession
from duologue.errors import ConfigurationError
from duologue.messages import tool_call
from duologue.models.base import Model, ToolSpec
from duologue.models.scope import RunScope
from duologue.specs.agents import Model as ModelSpec
from duologue.suites.manifests.validate.voice import realtime_provider
from duologue.suites.runner.runtime_agents import MakeVoiceAgent
from duologue.suites.runner.voice_mock import MockedCall, MockedVoiceAgent
from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.synthesis import DEFAULT_VOICE

Handler = Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]


def native_voice(
    spec: ModelSpec | None,
    model: Model,
    blueprint: Blueprint,
    tools: Callable[[], ToolSession],
    access: tuple[str | None, str | None],
    *,
    mocked: bool,
) -> MakeVoiceAgent:
    """Makes the adapter for a call.

    Args:
        spec: of the model in the suite; None for one such as ``openai/gpt-realtime``.
        model: ready to be asked.
        blueprint: of the agent.
        tools: makes the tools of a run.
        access: address and key of the model's API, where the suite says them.
        mocked: whether the model answers from a file.
    """
    options = dict(spec.options) if spec else {}
    instructions = blueprint.first.text
    url, key = access

    async def make(run: RunScope) -> VoiceAgentAdapter:
        if mocked:
            brain = PromptAgent(blueprint, model=model, tools=tools())
            return MockedVoiceAgent(MockedCall.of(options, model.name), brain)
        provider, name = _provider(spec, model)
        voice, realtime = options.get("voice"), realtime_provider(provider, name)
        offered, handlers = await _tools_of(blueprint, tools(), run)
        if realtime is None:
            from duologue.voice.adapters.composable import ComposableVoiceAgent

            tts = voice if isinstance(voice, str) and "/" in voice else DEFAULT_VOICE
            return ComposableVoiceAgent(
                None, model, tts, system_prompt=instructions, tools=offered, tool_handlers=handlers
            )
        if realtime == "openai":
            from duologue.voice.adapters.openai_realtime import OpenAIRealtimeAgentAdapter

            return OpenAIRealtimeAgentAdapter(
                name,
                str(voice or "alloy"),
                instructions,
                offered,
                api_key=key,
                tool_handlers=handlers,
                base_url=url,
            )
        from duologue.voice.adapters.gemini_live import GeminiLiveAgentAdapter

        return GeminiLiveAgentAdapter(
            name,
            str(voice or "Algieba"),
            instructions,
            key,
            tools=offered,
            tool_handlers=handlers,
            base_url=url,
        )

    return make


class _ToolScope(RunScope):
    """The scope of tools that are called on the line. Nothing is noted: what is heard says which calls there were."""

    run: RunScope

    @property
    def turn(self) -> int:
        """Number of the open turn."""
        return self.run.turn


async def _tools_of(
    blueprint: Blueprint, session: ToolSession, run: RunScope
) -> tuple[tuple[ToolSpec, ...], dict[str, Handler]]:
    """What the model is offered, and what answers each call: on the event loop of the run, where the tools belong."""
    _refuse_workflow(blueprint)
    offered = await blueprint.offered("")
    loop, policy, numbers = asyncio.get_running_loop(), blueprint.first.policy, count(1)
    scope = _ToolScope(context=run.context, who=run.who, participant=run.participant, ledger=run.ledger)
    scope.__dict__["run"] = run

    def handler(name: str) -> Handler:
        async def answer(arguments: dict[str, Any]) -> Any:
            call = tool_call(name, arguments, f"voice_{next(numbers)}")
            asked = asyncio.run_coroutine_threadsafe(session.call(call, scope=scope, policy=policy), loop)
            found = await asyncio.wrap_future(asked)
            if found.error is not None:
                return {"error": found.error}
            return found.content if found.value is None else found.value

        return answer

    return offered, {tool.name: handler(tool.name) for tool in offered}


def _refuse_workflow(blueprint: Blueprint) -> None:
    if blueprint.workflow is not None:
        raise ConfigurationError(
            f"the agent '{blueprint.definition.name}' has a workflow, which only mock models follow when they are "
            "spoken with; give it one prompt"
        )


def _provider(spec: ModelSpec | None, model: Model) -> tuple[str, str]:
    if spec is not None:
        return spec.provider, spec.model or spec.name
    provider, _, name = model.name.partition("/")
    return provider, name
