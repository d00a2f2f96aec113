"""Agents of PydanticAI."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any, cast

from duologue.conversation.adapter import AgentInput
from duologue.conversation.bridge import leased
from duologue.errors import AgentError
from duologue.integrations.base import Driver, Integration, Said, spoken, url_in, value_for_run
from duologue.message_shapes import framework_of, uses_of
from duologue.messages import Message, text_of
from duologue.tracing.setup import current_tracing


class PydanticAIDriver(Driver):
    """One conversation with an agent."""

    options: PydanticAI
    _history: list[Any]
    _deps: Any

    async def open(self, stack: AsyncExitStack) -> None:
        """Open its toolsets."""
        self._history = []
        self._deps = value_for_run(self.options.deps)
        instrument: Any = getattr(self.agent, "instrument_all", None)  # a static method
        if current_tracing() is not None and instrument is not None:
            instrument()
        if hasattr(self.agent, "__aenter__"):
            await leased(stack, self.agent, lambda inner: inner.enter_async_context(self.agent))

    async def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """Run it."""
        prompt, before = _prompt(spoken(input.new_messages))
        arguments: dict[str, Any] = {"message_history": [*self._history, *before] or None, **self.options.arguments}
        if self._deps is not None:
            arguments["deps"] = self._deps
        if not (input.streamed if self.options.streams is None else self.options.streams):
            result = await self.agent.run(prompt, **arguments)
            yield result
        else:
            result: Any = None
            async with _events(self.agent, prompt, arguments) as events:
                async for event in events:
                    result = getattr(event, "result", None) if _kind(event) == "agent_run_result" else result
                    for said in _said(event):
                        yield said
            if result is None:
                raise AgentError("the agent's stream ended without a result")
            if getattr(result, "_output_tool_name", None) is not None:
                yield result
        for use in uses_of(result):
            yield use
        self._history = result.all_messages()


class PydanticAI(Integration):
    """An ``Agent`` of PydanticAI. Its history is kept for the run; its toolsets are opened and closed with it.

    Where Duologue's tracing is on, the agents of the process are instrumented, so that the judge can see their spans.
    """

    framework = "PydanticAI"
    package = "pydantic_ai"
    driver = PydanticAIDriver

    def __init__(
        self, agent: Any, *, deps: Any = None, arguments: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """Wrap the agent.

        Args:
            agent: the agent, or a factory: see :class:`Integration`.
            deps: the dependencies of its runs; a function without parameters makes them for each run.
            arguments: more arguments of ``agent.run``, such as ``usage_limits``.
            options: those of :class:`Integration`.
        """
        super().__init__(agent, **options)
        self.deps = deps
        self.arguments = dict(arguments or {})

    @classmethod
    def is_agent(cls, value: object) -> bool:
        """Whether this is an agent."""
        return framework_of(value) == "pydantic_ai" and hasattr(value, "run_stream")

    @property
    def name(self) -> str:
        """The agent's own name, unless another was given."""
        return self._name or str(getattr(self._agent, "name", None) or type(self).__name__)


@asynccontextmanager
async def _events(agent: Any, prompt: Any, arguments: dict[str, Any]) -> AsyncGenerator[AsyncIterator[Any]]:
    """The events of a run: a context manager in version 2, an iterator before."""
    made = agent.run_stream_events(prompt, **arguments)
    if hasattr(made, "__aenter__"):
        async with made as events:
            yield events
    else:
        yield made


def _kind(event: Any) -> str:
    return str(getattr(event, "event_kind", ""))


def _said(event: Any) -> Iterator[Said]:
    match _kind(event):
        case "part_start" if getattr(event.part, "part_kind", "") == "text":
            yield event.part.content
        case "part_delta" if getattr(event.delta, "part_delta_kind", "") == "text":
            yield event.delta.content_delta
        case "function_tool_call":
            yield {"kind": "response", "parts": [vars(event.part)]}
        case "function_tool_result":
            part = getattr(event, "part", None) or event.result
            yield {"kind": "request", "parts": [vars(part)]}
        case _:
            pass


def _prompt(messages: Sequence[Message]) -> tuple[Any, list[Any]]:
    """What the user says now, and the messages before that: lines of the script, and what the user said in between."""
    last = len(messages)
    while last and messages[last - 1]["role"] == "user":
        last -= 1
    said = [_content(message) for message in messages[last:]]
    prompt = None if not said else said[0] if len(said) == 1 else [part for item in said for part in _listed(item)]
    return prompt, [_scripted(message) for message in messages[:last]]


def _listed(content: Any) -> list[Any]:
    return cast("list[Any]", content) if isinstance(content, list) else [content]


def _content(message: Message) -> Any:
    content = message.get("content")
    if not isinstance(content, list):
        return content or ""
    library = import_module("pydantic_ai.messages")
    return [_part(cast("dict[str, Any]", part), library) for part in content]


def _part(part: dict[str, Any], library: Any) -> Any:
    if part["type"] == "text":
        return part["text"]
    url = url_in(part)
    if url.startswith("data:"):
        return library.BinaryContent.from_data_uri(url)
    return library.ImageUrl(url) if part["type"] == "image_url" else library.DocumentUrl(url)


def _scripted(message: Message) -> Any:
    library = import_module("pydantic_ai.messages")
    if message["role"] == "user":
        return library.ModelRequest(parts=[library.UserPromptPart(content=_content(message))])
    return library.ModelResponse(parts=[library.TextPart(content=text_of(message))])
