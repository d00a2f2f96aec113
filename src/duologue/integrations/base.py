"""What all integrations share: an agent or a factory, a session for each run, the loop, messages, usage, and the end.

An integration says in a :class:`Driver` how one run of its framework's agent is begun and asked. Everything else is
done here. Clients of frameworks belong to an event loop and are often kept in modules, or by the framework itself; so
a driver is called on the event loop that :func:`duologue.run` uses, also where the run is played on another one.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, aclosing
from importlib.util import find_spec
from typing import Any, ClassVar, cast

from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, AgentSession, Piece
from duologue.conversation.bridge import KeptOpen, on_shared_loop
from duologue.conversation.calls import normalise
from duologue.errors import ConfigurationError
from duologue.message_shapes import ModelUse, ShapeReader, framework_of
from duologue.messages import Message, assistant_message, text_of, tool_calls_of
from duologue.models.prices import load_prices
from duologue.models.scope import RunScope
from duologue.vocabulary import AgentRole

Said = str | object | ModelUse
"""What a driver gives: text as it comes, whole messages in any known shape, and what models took."""


class Driver(ABC):
    """One run of a framework's agent.

    Args:
        agent: of the framework.
        options: the integration, with its options.
    """

    def __init__(self, agent: Any, options: Any) -> None:
        self.agent = agent
        self.options = options

    async def open(self, stack: AsyncExitStack) -> None:
        """Open what the agent needs for the run, and have it closed by the stack; both in one task."""
        return

    @abstractmethod
    def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """The agent's part of a turn. Whole messages come after the pieces of their text."""


def value_for_run(option: Any) -> Any:
    """What an option gives a run: the option itself, or what it makes if it is a function."""
    return option() if callable(option) else option


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # a package that it is in
        return False


class Integration(AgentAdapter):
    """An agent of a framework as the agent under test. Several runs may have the same object."""

    framework: ClassVar[str]
    """The name in reports and errors."""
    package: ClassVar[str]
    """The module that has to be installed."""
    driver: ClassVar[type[Driver]]

    def __init__(
        self,
        agent: Any,
        *,
        name: str | None = None,
        timeout: float | None = None,
        stream: bool | None = None,
        reports_tool_calls: bool | None = True,
    ) -> None:
        """Wrap the agent.

        Args:
            agent: the framework's agent, or a factory: a function without parameters that makes one for each run. It
                may be asynchronous, or a context manager (``@asynccontextmanager``) that closes what the agent uses
                at the end of the run.
            name: what reports call the agent; None for the agent's own name, or else the framework's.
            timeout: seconds that one call may take; None for the run's ``agent_timeout``.
            stream: ask for the answer piece by piece; None does where somebody listens: :func:`duologue.stream`, or a
                script that may interrupt the agent.
            reports_tool_calls: whether all tools that the agent calls are seen. Say None for an agent that calls some
                behind the framework's back: checks of tools that were not called are then skipped.
        """
        self._agent = agent
        self._is_factory = not self.is_agent(agent) and callable(agent)
        if not self._is_factory and not self.is_agent(agent):
            raise ConfigurationError(
                f"{type(self).__name__}({type(agent).__name__}): expected {self.expected()}, or a function without "
                "parameters that makes one for each run"
            )
        self._name = name
        self.timeout = timeout
        self.streams = stream
        self.reports_tool_calls = reports_tool_calls

    @classmethod
    def is_agent(cls, value: object) -> bool:
        """Whether this is an agent of the framework, and no factory."""
        return framework_of(value) is not None

    @classmethod
    def expected(cls) -> str:
        """What may be given, in words."""
        return f"an agent of {cls.framework}"

    @property
    def requires(self) -> str | None:
        """The package that has to be installed."""
        return self.package

    @property
    def name(self) -> str:
        """What reports and errors call the agent."""
        return self._name or type(self).__name__

    def describe(self) -> dict[str, Any]:
        """What the journal keeps about it."""
        return {"framework": self.framework, "factory": self._is_factory}

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The whole answer, for callers outside a run; in a run, the session answers."""
        session = await self.open(input.scope)
        try:
            await session.send(input)
            return [_as_message(piece) async for piece in session.receive()]
        finally:
            await session.close()

    async def open(self, run: RunScope) -> AgentSession:
        """A new agent, or the same, for this run."""
        if self.requires is not None and not _is_installed(self.requires):
            raise ConfigurationError(
                f"{type(self).__name__} needs the package '{self.requires}', which is not installed in this environment"
            )
        session = IntegrationSession(self)
        await session.begin()
        return session

    async def make(self, stack: AsyncExitStack) -> Driver:
        """The driver of a run."""
        driver = self.driver(await self._made(stack), self)
        await driver.open(stack)
        return driver

    async def _made(self, stack: AsyncExitStack) -> Any:
        if not self._is_factory:
            return self._agent
        made = self._agent()
        if inspect.isawaitable(made):
            made = await made
        if framework_of(made) is None:
            if isinstance(made, AbstractAsyncContextManager):
                made = await stack.enter_async_context(cast("AbstractAsyncContextManager[Any]", made))
            elif isinstance(made, AbstractContextManager):
                made = stack.enter_context(cast("AbstractContextManager[Any]", made))
        if not self.is_agent(made):
            name = getattr(self._agent, "__name__", repr(self._agent))
            raise ConfigurationError(
                f"{type(self).__name__}: the factory {name}() made a {type(made).__name__}; expected {self.expected()}"
            )
        return made


class IntegrationSession(AgentSession):
    """One run of an integration. What it opens is opened and closed by one task, as task groups demand."""

    def __init__(self, integration: Integration) -> None:
        self._name = integration.name
        self._input: AgentInput | None = None
        self._driver: Driver | None = None
        self._kept = KeptOpen(integration.make)

    async def begin(self) -> None:
        """Make the agent."""
        self._driver = await self._kept.open()

    async def send(self, input: AgentInput) -> None:
        """Keep it for the answer."""
        self._input = input

    async def receive(self) -> AsyncIterator[Piece]:
        """What the agent says, bit by bit."""
        driver, input = self._driver, self._input
        assert driver is not None
        assert input is not None
        speech = _Speech(self._name)
        async with aclosing(on_shared_loop(lambda: driver.answer(input))) as answer:
            async for said in answer:
                if isinstance(said, ModelUse):
                    if said.cost is None and said.model:
                        await load_prices(input.scope.context.clock)
                    input.report_usage(
                        model=said.model,
                        input_tokens=said.input_tokens,
                        output_tokens=said.output_tokens,
                        cost=said.cost,
                    )
                    continue
                for piece in speech.take(said):
                    yield piece
        input.usage_reported = True

    async def close(self) -> None:
        """Close what the agent has opened."""
        await self._kept.close()


class _Speech:
    """What is said in a turn, in chat messages, with no text said twice: whole messages repeat what came in pieces."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._text = ""
        self._reader = ShapeReader()

    def take(self, said: object) -> Iterable[str | Message]:
        """Text and messages that are new."""
        if isinstance(said, str):
            self._text += said
            return [said] if said else []
        answer = normalise(said, AgentRole.AGENT, self._who, self._reader)
        assert isinstance(answer, list)
        return [message for item in answer for message in self._unsaid(item.message)]

    def _unsaid(self, message: Message) -> list[Message]:
        if message["role"] == "assistant":
            if self._text and self._text.strip() == text_of(message).strip():
                message = assistant_message(None, tool_calls_of(message))
            self._text = ""
            if not message.get("content") and not tool_calls_of(message):
                return []
        return [message]


def _as_message(piece: object) -> Message:
    return assistant_message(piece) if isinstance(piece, str) else cast("Message", piece)


def spoken(messages: Iterable[Message]) -> list[Message]:
    """The messages that an agent is given: instructions of others are left out."""
    return [message for message in messages if message["role"] != "system"]


def text_for(messages: Iterable[Message]) -> str:
    """What the user says in these messages, as text."""
    return "\n\n".join(text for message in messages if message["role"] == "user" and (text := text_of(message)))


def url_in(part: dict[str, Any]) -> str:
    """The link of a picture, sound or file in a message; '' if it has none."""
    return next(
        (str(cast("dict[str, Any]", value).get("url", "")) for value in part.values() if isinstance(value, dict)), ""
    )
