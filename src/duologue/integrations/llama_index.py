"""Agents of LlamaIndex, which are workflows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

from duologue.conversation.adapter import AgentInput
from duologue.integrations.base import Driver, Integration, Said, spoken
from duologue.message_shapes import framework_of, uses_of
from duologue.messages import Message, text_of


class LlamaIndexDriver(Driver):
    """One conversation with an agent."""

    options: LlamaIndex
    _memory: Any = None

    async def open(self, stack: AsyncExitStack) -> None:
        """Its memory is made when the thread id is known."""
        stack.push_async_callback(self._forget)

    async def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """Its events."""
        messages = [_message(message) for message in spoken(input.new_messages)]
        if self._memory is None:
            self._memory = self._make_memory(input.thread_id)
        streams = input.streamed if self.options.streams is None else self.options.streams
        if messages[:-1]:
            await self._memory.aput_messages(messages[:-1])
        handler = _agent(self.agent, streams).run(user_msg=messages[-1] if messages else None, memory=self._memory)
        try:
            async for event in handler.stream_events():
                match type(event).__name__:
                    case "AgentStream":
                        if streams and event.delta:
                            yield event.delta
                    case "AgentOutput":
                        if not event.tool_calls:
                            yield {"role": "assistant", "content": str(event.response.content or "")}
                        for use in uses_of(event.raw):
                            yield use
                    case "ToolCallResult":
                        yield event
                    case _:
                        pass
            await handler
        finally:
            if not handler.done():
                await handler.cancel_run()

    async def _forget(self) -> None:
        """Close the database in memory that a plain memory has."""
        engine = getattr(getattr(self._memory, "sql_store", None), "_async_engine", None)
        if self.options.memory is None and engine is not None:
            await engine.dispose()

    def _make_memory(self, thread: str) -> Any:
        if self.options.memory is not None:
            return self.options.memory(thread)
        return import_module("llama_index.core.memory").Memory.from_defaults(session_id=thread)


class LlamaIndex(Integration):
    """A ``FunctionAgent``, ``ReActAgent`` or ``AgentWorkflow`` of LlamaIndex, with a ``Memory`` for each run.

    Models say what a streamed answer took only if they are told to
    (``additional_kwargs={"stream_options": {"include_usage": True}}``). So agents that can answer at once do that
    while nobody listens.
    """

    framework = "LlamaIndex"
    package = "llama_index.core"
    driver = LlamaIndexDriver

    def __init__(self, agent: Any, *, memory: Any = None, **options: Any) -> None:
        """Wrap the agent.

        Args:
            agent: the agent, or a factory: see :class:`Integration`.
            memory: a function of the thread id that makes the memory of a run; None for a plain ``Memory``.
            options: those of :class:`Integration`.
        """
        super().__init__(agent, **options)
        self.memory = memory

    @classmethod
    def is_agent(cls, value: object) -> bool:
        """Whether this is an agent."""
        return framework_of(value) in {"llama_index", "workflows.events"} and hasattr(value, "run")

    @property
    def name(self) -> str:
        """The agent's own name, unless it is the usual one or another was given."""
        own = getattr(self._agent, "name", None)
        return self._name or (own if isinstance(own, str) and own not in {"", "Agent"} else type(self).__name__)


def _agent(agent: Any, streams: bool) -> Any:
    """The agent, or one that answers at once: what a streamed answer took is mostly not told."""
    if streams or getattr(agent, "streaming", None) is not True:
        return agent
    quiet = agent.model_copy()
    quiet.streaming = False
    return quiet


def _message(message: Message) -> Any:
    library = import_module("llama_index.core.llms")
    content = message.get("content")
    if not isinstance(content, list):
        return library.ChatMessage(role=message["role"], content=text_of(message))
    blocks: list[Any] = []
    for part in content:
        if part["type"] == "text":
            blocks.append(library.TextBlock(text=part.get("text", "")))
        elif part["type"] == "image_url":
            blocks.append(library.ImageBlock(url=part.get("image_url", {}).get("url", "")))
    return library.ChatMessage(role=message["role"], blocks=blocks)
