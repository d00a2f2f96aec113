"""A saved agent that a person talks to, outside of any run: one turn of it in writing, or a call.

The agent is made as it would be for a run. Nothing is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from duologue.agents.users.scripted import ScriptedUser
from duologue.config.redaction import redacted
from duologue.context import Context, SystemClock, random_uuid
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.script import agent as agent_step
from duologue.conversation.script import message as message_step
from duologue.conversation.setup import ScriptStep
from duologue.errors import ConfigurationError, DuologueError, ModelAnswerError
from duologue.http import HttpError
from duologue.messages import Message, text_of
from duologue.models.scope import RunScope
from duologue.runs.connectors import ConnectorReply, token_usage
from duologue.runs.foreign_code import held_apart
from duologue.runs.store.database.runtime_rules import suite_of
from duologue.runs.store.definitions import AgentDraft, ProjectSettings
from duologue.runtimes.base import RunMode, RuntimeSession
from duologue.runtimes.registry import find_runtime
from duologue.settings import DEFAULT_AGENT_TIMEOUT, effective_config
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite
from duologue.specs.voice import VoiceCall
from duologue.suites.execution.engine import Engine
from duologue.suites.plan.build import TestCase
from duologue.suites.runner.case_run import CaseIds

if TYPE_CHECKING:
    from duologue.voice.adapter import VoiceAgentAdapter

_SCENARIO = "playground"
_SITUATION = "Somebody tries the agent."
Turn = Callable[[Sequence[Message]], Coroutine[Any, Any, ConnectorReply]]
"""Gives the turn of an agent that is written to, for the conversation so far."""


def speaks(draft: AgentDraft) -> bool:
    """Whether an agent can be spoken with only, because its runtime is one for voice."""
    agent = draft.agent
    if agent.runtime is None:
        return False
    return find_runtime(agent.runtime, None, agent.runtime_mode)[0].MODE is RunMode.VOICE


def talking_suite(draft: AgentDraft, settings: ProjectSettings, *, spoken: bool) -> Suite:
    """The agent as a suite, with the models of its project and a scenario in which nothing is asked for.

    Args:
        draft: the agent.
        settings: of the project.
        spoken: whether it is spoken with.
    """
    known = {model.name: model for model in (*settings.models, *draft.models)}
    scenario = Scenario(
        name=_SCENARIO, description=_SITUATION, agents=(draft.agent.name,), voice=VoiceCall() if spoken else None
    )
    made = suite_of(draft).changed(
        models=tuple(known.values()), workflow=draft.workflow, scenarios=(scenario,), defaults=settings.defaults
    )
    return held_apart(made)


@asynccontextmanager
async def _talking(
    draft: AgentDraft, settings: ProjectSettings, session: RuntimeSession | None, *, spoken: bool
) -> AsyncGenerator[AgentAdapter]:
    suite = talking_suite(draft, settings, spoken=spoken)
    async with Engine(suite=suite, session=session) as engine:
        yield await engine.agent_of(TestCase(index=0, scenario=_SCENARIO, agent=draft.agent.name))


async def invoke_agent(
    draft: AgentDraft,
    settings: ProjectSettings,
    messages: Sequence[Message],
    *,
    thread_id: str | None = None,
    session: RuntimeSession | None = None,
) -> ConnectorReply:
    """Send messages to an agent and get its turn. System messages are not sent.

    Args:
        draft: the agent.
        settings: of its project.
        messages: the conversation so far, which ends with what the user says.
        thread_id: under which the agent knows it; None for a new one.
        session: what its runtime may ask of the service.
    """
    thread, clock = thread_id or random_uuid(), SystemClock()
    began = clock.monotonic()
    sent = [message for message in messages if message["role"] != "system"]

    def reply(error: str | None = None, executor: ScenarioExecutor | None = None) -> ConnectorReply:
        answer = executor.state.messages[len(sent) :] if executor is not None else ()
        usage = token_usage(executor.journal) if executor is not None else None
        took = round((clock.monotonic() - began) * 1000)
        told = redacted(error) if error is not None else None
        return ConnectorReply(
            success=error is None, latency_ms=took, messages=answer, error=told, token_usage=usage, thread_id=thread
        )

    if not sent or sent[-1]["role"] != "user":
        return reply("the last message has to be the user's")
    if speaks(draft):
        return reply(f"the agent '{draft.agent.name}' can only be spoken with")
    try:
        async with _talking(draft, settings, session, spoken=False) as agent:
            executor = _conversation(agent, sent, Context(clock=clock, ids=CaseIds(random_uuid(), clock, thread)))
            result = await executor.perform()
            if executor.failure is not None:
                return reply(str(executor.failure.args[0] if executor.failure.args else executor.failure))
            if len(executor.state.messages) <= len(sent):
                return reply(result.reasoning or "the agent has said nothing")
            return reply(executor=executor)
    except (DuologueError, HttpError) as error:
        return reply(str(error))


def _conversation(agent: AgentAdapter, sent: Sequence[Message], context: Context) -> ScenarioExecutor:
    """The conversation so far, and one turn of the agent."""
    steps: list[ScriptStep] = [*map(message_step, sent), agent_step()]
    limit = agent.timeout or DEFAULT_AGENT_TIMEOUT
    config = effective_config(max_turns=len(sent) + 1, agent_timeout=limit, verbose=False, headless=True)
    quiet = config.model_copy(update={"record": None, "debug": False, "cache_key": None})
    return ScenarioExecutor(
        _SCENARIO, _SITUATION, [agent, ScriptedUser([], name="person")], steps, config=quiet, context=context
    )


@asynccontextmanager
async def voice_of_agent(
    draft: AgentDraft, settings: ProjectSettings, session: RuntimeSession | None = None
) -> AsyncGenerator[VoiceAgentAdapter]:
    """The adapter for a call with an agent, whose tools work in this block.

    An agent that is written to is spoken with through speech to text and text to speech.

    Raises:
        DuologueError: it cannot be prepared, or its model answers from a file.
    """
    from duologue.suites.runner.voice_agents import SpokenAgent
    from duologue.suites.runner.voice_mock import MockedVoiceAgent

    if not speaks(draft) and not draft.agent.is_native:
        thread = random_uuid()
        yield spoken_through(
            lambda said: invoke_agent(draft, settings, said, thread_id=thread, session=session), draft.agent.name
        )
        return
    async with _talking(draft, settings, session, spoken=True) as agent:
        assert isinstance(agent, SpokenAgent), "the scenario is spoken"
        adapter = await agent.adapter(RunScope())
        if isinstance(adapter, MockedVoiceAgent):
            name = draft.agent.name
            raise ConfigurationError(f"the agent '{name}' has a mock model, which hears nobody; give it a real one")
        yield adapter


def spoken_through(turn: Turn, name: str) -> VoiceAgentAdapter:
    """An agent that is written to, spoken with through speech to text and text to speech.

    Args:
        turn: asks it.
        name: of the agent, for errors.
    """
    from duologue.voice.adapters.composable import ComposableVoiceAgent
    from duologue.voice.synthesis import DEFAULT_VOICE

    home = asyncio.get_running_loop()

    async def answer(messages: Sequence[Message]) -> str:
        # Not on the event loop of voice, whose frames would have to wait for whatever the agent does.
        reply = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(turn(messages), home))
        said = [text_of(message) for message in reply.messages if message["role"] == "assistant"]
        if not reply.success or not any(said):
            raise ModelAnswerError(f"{name}: {reply.error or 'it has said nothing'}", model=name)
        return "\n".join(filter(None, said))

    return ComposableVoiceAgent(None, answer, DEFAULT_VOICE)
