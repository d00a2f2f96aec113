"""Agents and crews of CrewAI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from duologue.conversation.adapter import AgentInput
from duologue.integrations.base import Driver, Integration, Said, spoken, text_for
from duologue.message_shapes import ModelUse, framework_of, uses_of
from duologue.messages import Message, text_of

_USES: ContextVar[list[ModelUse] | None] = ContextVar("duologue_crewai_uses", default=None)
"""Where the model calls of the moment are counted: the totals of a model that several runs share are of no use."""


class CrewAIDriver(Driver):
    """One conversation with an agent or a crew."""

    options: CrewAI

    async def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """Start it, and wait for its output."""
        uses: list[ModelUse] = []
        _USES.set(uses)
        counted = _count_model_calls()
        if not getattr(self.agent, "verbose", False):
            _be_quiet()
        messages = spoken(input.messages)
        if hasattr(self.agent, "tasks"):
            given = {**self.options.inputs, "conversation": _written(messages), "message": text_for(messages[-1:])}
            output = await self.agent.copy().kickoff_async(inputs=given)
        else:
            output = await self.agent.kickoff_async(messages)
        yield output
        await asyncio.to_thread(_wait_for_events)
        for use in uses if counted else uses_of(output):
            yield use


class CrewAI(Integration):
    """An ``Agent`` or a ``Crew`` of CrewAI. It answers all at once.

    An agent is sent the whole conversation. A crew has no conversation: its tasks find it in the inputs
    ``{conversation}``, all that was said as text, and ``{message}``, what the user says now.
    """

    framework = "CrewAI"
    package = "crewai"
    driver = CrewAIDriver

    def __init__(self, agent: Any, *, inputs: Mapping[str, Any] | None = None, **options: Any) -> None:
        """Wrap the agent.

        Args:
            agent: the agent or crew, or a factory: see :class:`Integration`.
            inputs: more inputs of a crew.
            options: those of :class:`Integration`.
        """
        super().__init__(agent, **options)
        self.inputs = dict(inputs or {})

    @classmethod
    def is_agent(cls, value: object) -> bool:
        """Whether this is an agent or a crew."""
        return framework_of(value) == "crewai" and hasattr(value, "kickoff_async")

    @classmethod
    def expected(cls) -> str:
        """What may be given, in words."""
        return "an Agent, a Crew or a LiteAgent of CrewAI"

    @property
    def name(self) -> str:
        """The role of the agent, or the name of the crew, unless another was given."""
        own = getattr(self._agent, "role", None) or getattr(self._agent, "name", None)
        return self._name or (own if isinstance(own, str) and own else type(self).__name__)


def _written(messages: Iterable[Message]) -> str:
    return "\n".join(f"{message['role']}: {text}" for message in messages if (text := text_of(message)))


_listening: set[int] = set()


def _count_model_calls() -> bool:
    """Listen to the end of model calls; False for a version that has no such events."""
    try:
        bus = import_module("crewai.events").crewai_event_bus
        completed = import_module("crewai.events.types.llm_events").LLMCallCompletedEvent
    except (ImportError, AttributeError):
        return False
    if "usage" not in completed.model_fields:
        return False
    if id(bus) not in _listening:
        _listening.add(id(bus))
        bus.on(completed)(_take)
    return True


def _take(_: Any, event: Any) -> None:
    uses = _USES.get()
    if uses is not None:
        uses += uses_of(event)


def _wait_for_events() -> None:
    """Events reach their listeners in other threads."""
    flush = getattr(import_module("crewai.events").crewai_event_bus, "flush", None)
    if flush is not None:
        flush()


def _be_quiet() -> None:
    """An agent that is not verbose prints boxes nevertheless."""
    try:
        import_module("crewai.events.utils.console_formatter").set_suppress_console_output(True)
    except (ImportError, AttributeError):
        return
