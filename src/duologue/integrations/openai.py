"""Agents without a framework: a client of the OpenAI SDK with tools, or a loop that you write yourself."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import TypeAdapter

from duologue.config.tracebacks import describe
from duologue.conversation.adapter import AgentInput
from duologue.errors import AgentError, ConfigurationError
from duologue.integrations.base import Driver, Integration, Said
from duologue.message_shapes import framework_of, uses_of
from duologue.messages import Message, system_message, tool_call

MAX_ROUNDS = 20
"""How often the model is asked in one turn, unless another number is given."""


@dataclass(frozen=True, kw_only=True)
class CallableTool:
    """A tool that the loop offers to the model and calls.

    Attributes:
        spec: as the model is told of it.
        call: with the arguments by name; what it gives is the result.
    """

    spec: dict[str, Any]
    call: Callable[..., Awaitable[str]] = field(repr=False)

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.spec["function"]["name"]


class ChatDriver(Driver):
    """One conversation."""

    options: OpenAIChat
    tools: Sequence[CallableTool]

    async def open(self, stack: AsyncExitStack) -> None:
        """Look at the tools."""
        self.tools = [tool_of(function) for function in self.options.tools]

    def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """What the function gives, or the loop."""
        if framework_of(self.agent) == "openai":
            return self._loop(input)
        return answer_of(self.agent, [input.messages])

    async def _loop(self, input: AgentInput) -> AsyncGenerator[Said]:
        options = self.options
        if options.model is None:
            raise ConfigurationError(f"{type(options).__name__}: say which model the client asks (model=…)")
        messages: list[Any] = [*input.messages]
        if options.instructions:
            messages.insert(0, system_message(options.instructions))
        request: dict[str, Any] = {"model": options.model, **options.request}
        if self.tools:
            request["tools"] = [tool.spec for tool in self.tools]
        streams = input.streamed if options.streams is None else options.streams
        for _ in range(options.max_rounds):
            if streams:
                streamed = _Streamed()
                async for text in streamed.read(await self._ask(stream=True, messages=messages, **request)):
                    yield text
                message, uses = streamed.message(), uses_of(streamed)
            else:
                response = await self._ask(messages=messages, **request)
                message, uses = _message_of(response), uses_of(response)
            for use in uses:
                yield use
            yield message
            messages.append(message)
            if not message.get("tool_calls"):
                return
            for call in message.get("tool_calls", ()):
                result = await self._call(cast("dict[str, Any]", call))
                messages.append(result)
                yield result
        raise AgentError(
            f"the model was asked {options.max_rounds} times in one turn and still calls tools; raise max_rounds "
            "if it is meant to"
        )

    async def _ask(self, **request: Any) -> Any:
        create = self.agent.chat.completions.create
        if request.get("stream"):
            request["stream_options"] = {"include_usage": True, **request.get("stream_options", {})}
        if _is_async(self.agent):
            return await create(**request)
        return await asyncio.to_thread(create, **request)

    async def _call(self, call: dict[str, Any]) -> Message:
        name = call["function"]["name"]
        tool = next((tool for tool in self.tools if tool.name == name), None)
        if tool is None:
            text = f"Error: there is no tool '{name}'"
        else:
            try:
                text = await tool.call(**json.loads(call["function"]["arguments"] or "{}"))
            except Exception as error:  # noqa: BLE001 - the model is told, as it would be in production
                text = f"Error: {describe(error)}"
        return {"role": "tool", "tool_call_id": call["id"], "content": text}


class OpenAIChat(Integration):
    """A client of the OpenAI SDK, asked until its model calls no more tools; or a function that is a loop of its own.

    A function is given the conversation, a list of chat messages, and gives what an adapter may return: text, a
    message, a ``ChatCompletion``, a list of those; or, as an asynchronous generator, pieces of text and messages. One
    that is not asynchronous is called in a thread.
    """

    framework = "the OpenAI SDK"
    package = "openai"
    driver = ChatDriver

    def __init__(
        self,
        agent: Any,
        *,
        model: str | None = None,
        instructions: str | None = None,
        tools: Sequence[Callable[..., Any]] = (),
        request: Mapping[str, Any] | None = None,
        max_rounds: int = MAX_ROUNDS,
        **options: Any,
    ) -> None:
        """Wrap the agent.

        Args:
            agent: the client (``OpenAI``, ``AsyncOpenAI`` or one of their kin), a function of the messages, or a
                factory of one: see :class:`Integration`.
            model: that a client asks.
            instructions: the system message that a client sends first.
            tools: functions that the model may call; their signatures and docstrings say how.
            request: more fields of each request, such as ``{"temperature": 0}``.
            max_rounds: how often the model may be asked in a turn.
            options: those of :class:`Integration`.
        """
        super().__init__(agent, **options)
        self.model = model
        self.instructions = instructions
        self.tools = tools
        self.request = dict(request or {})
        self.max_rounds = max_rounds
        if model is None and framework_of(agent) == "openai":
            raise ConfigurationError(
                f"{type(self).__name__}({type(agent).__name__}): say which model it asks (model=…)"
            )

    @classmethod
    def is_agent(cls, value: object) -> bool:
        """Whether this is a client, or a function that takes something."""
        return (framework_of(value) == "openai" and hasattr(value, "chat")) or _takes(value)

    @classmethod
    def expected(cls) -> str:
        """What may be given, in words."""
        return "a client of the OpenAI SDK or a function of the messages"

    @property
    def requires(self) -> str | None:
        """The package that has to be installed; a function brings what it needs."""
        return None if inspect.isfunction(self._agent) else self.package


def _is_async(client: object) -> bool:
    return any(kind.__name__.startswith("Async") for kind in type(client).__mro__)


def _takes(value: object) -> bool:
    """Whether this is a function with a parameter that has to be given."""
    if not callable(value) or inspect.isclass(value):
        return False
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return any(item.kind in positional and item.default is item.empty for item in parameters)


async def answer_of(function: Callable[..., Any], arguments: Iterable[Any]) -> AsyncGenerator[Said]:
    """What your own function answers, and the usage that its answers report."""
    if inspect.isasyncgenfunction(function):
        async for said in function(*arguments):
            yield said
            for use in uses_of(said):
                yield use
        return
    if inspect.iscoroutinefunction(function) or not inspect.isfunction(function):
        value = function(*arguments)
        value = await value if inspect.isawaitable(value) else value
    else:
        value = await asyncio.to_thread(function, *arguments)
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield item
    else:
        yield value
    for use in uses_of(value):
        yield use


def tool_of(function: Callable[..., Any]) -> CallableTool:
    """A function as a tool."""
    name = getattr(function, "__name__", type(function).__name__)
    try:
        schema = TypeAdapter[Any](cast("Any", function)).json_schema()
    except Exception as error:
        raise ConfigurationError(f"the tool {name}: its parameters cannot be described: {error}") from error
    if schema.get("type") != "object":
        raise ConfigurationError(f"the tool {name}: its parameters need names; write no *args and no '/'")
    spec = {"name": name, "description": inspect.getdoc(function) or "", "parameters": schema}

    async def call(**arguments: Any) -> str:
        if inspect.iscoroutinefunction(function):
            value = await function(**arguments)
        else:
            value = await asyncio.to_thread(function, **arguments)
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)

    return CallableTool(spec={"type": "function", "function": spec}, call=call)


def _message_of(response: Any) -> Message:
    if not response.choices:
        raise AgentError("the model answered without a choice")
    return cast("Message", response.choices[0].message.model_dump(mode="json", exclude_none=True))


class _Streamed:
    """A streamed answer, put together.

    Attributes:
        model, usage: as the answer says.
    """

    def __init__(self) -> None:
        self.model: str | None = None
        self.usage: Any = None
        self._text: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}

    async def read(self, chunks: Any) -> AsyncGenerator[str]:
        """The pieces of its text."""
        async for chunk in chunks if hasattr(chunks, "__aiter__") else _in_thread(chunks):
            self.model, self.usage = chunk.model or self.model, chunk.usage or self.usage
            if not chunk.choices:
                continue
            delta = chunk.choices[0].delta
            if delta.content:
                self._text.append(delta.content)
                yield delta.content
            for part in delta.tool_calls or ():
                call = self._calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
                call["id"] = part.id or call["id"]
                call["name"] += (part.function and part.function.name) or ""
                call["arguments"] += (part.function and part.function.arguments) or ""

    def message(self) -> Message:
        """The whole message."""
        message: Message = {"role": "assistant", "content": "".join(self._text) or None}
        if self._calls:
            message["tool_calls"] = [
                tool_call(call["name"], call["arguments"], call["id"]) for _, call in sorted(self._calls.items())
            ]
        return message


async def _in_thread(chunks: Iterable[Any]) -> AsyncGenerator[Any]:
    iterator, end = iter(chunks), object()
    while (chunk := await asyncio.to_thread(next, iterator, end)) is not end:
        yield chunk
