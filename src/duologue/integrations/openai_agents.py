"""Agents of the OpenAI Agents SDK."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any, cast

from duologue.conversation.adapter import AgentInput
from duologue.conversation.bridge import leased
from duologue.integrations.base import Driver, Integration, Said, spoken, value_for_run
from duologue.message_shapes import parts_of, uses_of
from duologue.messages import Message, text_of


class AgentsDriver(Driver):
    """One conversation with an agent."""

    options: OpenAIAgents
    _history: list[Any]
    _context: Any

    async def open(self, stack: AsyncExitStack) -> None:
        """Connect the servers that it uses."""
        self._history = []
        self._context = value_for_run(self.options.context)
        for server in _servers(self.agent):
            if getattr(server, "session", None) is None or _is_leased(server):
                await leased(stack, server, _connecting(server))

    async def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """Run it."""
        options = self.options
        runner = import_module("agents").Runner
        given = [*self._history, *(_item(message) for message in spoken(input.new_messages))]
        more = {"max_turns": options.max_rounds} if options.max_rounds is not None else {}
        arguments = {"context": self._context, "run_config": options.run_config, **more}
        if input.streamed if options.streams is None else options.streams:
            result = runner.run_streamed(self.agent, given, **arguments)
            try:
                async for event in result.stream_events():
                    for said in _said(event):
                        yield said
            finally:
                result.cancel()
            spoke = any(item.type == "message_output_item" for item in result.new_items)
            for part in [] if spoke else (parts_of(result) or [])[-1:]:
                yield part
        else:
            result = await runner.run(self.agent, given, **arguments)
            yield result
        for use in uses_of(result):
            yield use
        self._history = result.to_input_list()
        self.agent = result.last_agent


class OpenAIAgents(Integration):
    """An ``Agent`` of the OpenAI Agents SDK. It is sent the whole conversation each time; handoffs are kept.

    MCP servers of the agent that are not connected yet are connected for the run and closed after it.
    """

    framework = "the OpenAI Agents SDK"
    package = "agents"
    driver = AgentsDriver

    def __init__(
        self, agent: Any, *, context: Any = None, run_config: Any = None, max_rounds: int | None = None, **options: Any
    ) -> None:
        """Wrap the agent.

        Args:
            agent: the agent, or a factory: see :class:`Integration`.
            context: the context object of its runs; a function without parameters makes one for each run.
            run_config: the ``RunConfig`` of its runs.
            max_rounds: how often the model may be asked in a turn; None for the SDK's own limit.
            options: those of :class:`Integration`.
        """
        super().__init__(agent, **options)
        self.context = context
        self.run_config = run_config
        self.max_rounds = max_rounds

    @classmethod
    def is_agent(cls, value: object) -> bool:
        """Whether this is an agent."""
        return any(kind.__module__.startswith("agents.") and "Agent" in kind.__name__ for kind in type(value).__mro__)

    @property
    def name(self) -> str:
        """The agent's own name, unless another was given."""
        return self._name or str(getattr(self._agent, "name", None) or type(self).__name__)


_connected: set[int] = set()
"""The servers that are connected for runs: for an agent of a module, several runs share them."""


def _is_leased(server: object) -> bool:
    return id(server) in _connected


def _connecting(server: Any) -> Any:
    async def connect(stack: AsyncExitStack) -> None:
        stack.callback(_connected.discard, id(server))
        stack.push_async_callback(server.cleanup)
        await server.connect()
        _connected.add(id(server))

    return connect


def _servers(agent: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """The MCP servers of an agent, and of those that it may hand the conversation to."""
    seen = set() if seen is None else seen
    if id(agent) in seen:
        return
    seen.add(id(agent))
    yield from getattr(agent, "mcp_servers", None) or ()
    for other in getattr(agent, "handoffs", None) or ():
        if hasattr(other, "mcp_servers"):
            yield from _servers(other, seen)


def _item(message: Message) -> Any:
    """A message of the user, or a line of the script, as an item of the Responses API."""
    content = message.get("content")
    if isinstance(content, list) and message["role"] == "user":
        return {"role": "user", "content": [_part(cast("dict[str, Any]", part)) for part in content]}
    return {"role": message["role"], "content": text_of(message)}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "image_url":
        return {"type": "input_image", "image_url": part["image_url"]["url"], "detail": "auto"}
    if part["type"] == "text":
        return {"type": "input_text", "text": part["text"]}
    return part


def _said(event: Any) -> Iterator[Said]:
    if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
        yield event.data.delta
    elif event.type == "run_item_stream_event":
        yield from parts_of(_OneItem(event.item)) or ()


class _OneItem:
    """An item in the form of a result that holds nothing else."""

    __module__ = "agents.result"
    final_output = None

    def __init__(self, item: Any) -> None:
        self.new_items = [item]
