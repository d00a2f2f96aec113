"""The port that every participant implements: called with what is new, answers with a message.

Most adapters subclass :class:`AgentAdapter`, set ``role`` and write ``async def call(self, input)``. One that holds a
connection for the length of a run (a WebSocket, a child process, a call) returns an :class:`AgentSession` from
``open``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from duologue.conversation.observers import Instrument
from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.message_shapes import ModelUse, uses_of
from duologue.messages import Message, copy_of
from duologue.models.reported import report_usage
from duologue.models.scope import RunScope
from duologue.vocabulary import AgentRole, DoneReason

if TYPE_CHECKING:
    from duologue.conversation.result import ScenarioState


@frozen
class JudgmentRequest:
    """Asks a judge to decide now, in place of letting the conversation go on.

    Attributes:
        criteria: decide exactly these; None for the judge's own.
        context: more for the judge to know, such as the final state of a database.
        additional_context: another name for it; of two, it counts.
    """

    criteria: list[str] | None = None
    context: str | None = None
    additional_context: str | None = None

    def __post_init__(self) -> None:
        given = self.context if self.additional_context is None else self.additional_context
        object.__setattr__(self, "context", given)
        object.__setattr__(self, "additional_context", given)


@frozen
class UserDone:
    """Returned by a simulated user that has nothing more to say after ``message``."""

    reason: DoneReason
    message: Message | str | None = None
    explanation: str = ""


@frozen
class AttributedMessage:
    """A message together with the model call that wrote it: ``call`` is :attr:`ModelAnswer.call`."""

    message: Message
    call: str


@frozen
class AgentDone:
    """Returned by an agent that ends the conversation after these messages, such as one that hangs up."""

    messages: Sequence[Message | AttributedMessage] = ()
    explanation: str = ""


@frozen
class HeldMessage:
    """One message of a conversation that somebody else has held.

    Attributes:
        turn: number of the turn that it was said in, from 0.
        seconds: that the agent took for it, if it is the agent's and that is known.
    """

    message: Message
    turn: int = 0
    seconds: float | None = None


@frozen
class HeldConversation:
    """Returned by an agent that has held the whole conversation, with a user of its own: everything that was said."""

    messages: Sequence[HeldMessage]
    explanation: str = ""


@frozen
class CompleteAnswer:
    """The whole of what was given bit by bit, in place of those pieces: for answers that are more than their text.

    Attributes:
        messages: tool calls and their results, and last what was said.
    """

    messages: Sequence[Message | AttributedMessage]


AgentReturnTypes = (
    str
    | Message
    | list[Message]
    | list[Message | AttributedMessage]
    | ScenarioResult
    | UserDone
    | AgentDone
    | HeldConversation
)
"""What :meth:`AgentAdapter.call` may return."""

Piece = AgentReturnTypes | AttributedMessage | CompleteAnswer
"""A part of an answer that arrives bit by bit: new text, whole messages, or what ends the run or the user's part."""


@dataclass(kw_only=True)
class AgentInput:
    """What an adapter is given.

    Attributes:
        thread_id: the same throughout one run; use it as the session id of a stateful agent.
        messages: the whole conversation. It is a copy of the list: changing it changes nothing.
        new_messages: those that this adapter has not been given before, and did not write itself.
        judgment_request: set when a judge has to decide now.
        scenario_state: the run so far.
        scope: clock, chance, ids and journal of the run.
        streamed: somebody listens to the answer while it comes, or may interrupt it.
    """

    thread_id: str
    messages: list[Message]
    new_messages: list[Message]
    scenario_state: ScenarioState
    judgment_request: JudgmentRequest | None = None
    scope: RunScope = field(default_factory=RunScope)
    streamed: bool = False
    usage_reported: bool = field(default=False, init=False, repr=False, compare=False)

    @property
    def shared_messages(self) -> Sequence[Message]:
        """The whole conversation, to be read only. Sounds may be :class:`~duologue.messages.StoredData`."""
        return self.messages

    def last_new_user_message(self) -> Message:
        """The newest message of the user that is new to this adapter.

        Raises:
            ConfigurationError: there is none, for example because the agent was called twice in a row.
        """
        for message in reversed(self.new_messages):
            if message["role"] == "user":
                return message
        raise ConfigurationError(
            "No new user messages found: since this agent's last call the user has said nothing. If the agent is meant "
            "to be called twice in a row, read input.messages instead."
        )

    def last_new_user_message_str(self) -> str:
        """The text of :meth:`last_new_user_message`.

        Raises:
            ConfigurationError: there is none, or its content is not plain text.
        """
        content = self.last_new_user_message().get("content")
        if not isinstance(content, str):
            raise ConfigurationError(
                f"The new user message holds {type(content).__name__} content, not text: "
                "use last_new_user_message() and read its parts."
            )
        return content

    def report_usage(
        self,
        response: object = None,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        model: str | None = None,
        cost: float | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Say what a model call of the adapter's own took, so that usage, cost by role, budgets and reports count it.

        Call it once per model call, or once with the sum. Objects that ``call`` returns and that hold their usage, such
        as a ``ChatCompletion`` or an ``AIMessage``, are counted by themselves, unless this is called.

        Args:
            response: what the model or framework answered, which says itself what it took: a response of an SDK, a
                message of LangChain, the result of a run, or a list of those. In place of the two numbers.
            input_tokens, output_tokens: that the model read and wrote.
            model: its name, such as ``gpt-5-mini`` or ``openai/gpt-5-mini``.
            cost: US dollars; None for the price that the packaged list knows for that model. Where it knows none,
                reports say that the price is unknown.
            seconds: that the model call took.

        Raises:
            ConfigurationError: a number is below 0, or is none; or the response does not say what it took.
        """
        self.usage_reported = True
        if response is None:
            uses = [ModelUse(model=model, input_tokens=input_tokens, output_tokens=output_tokens, cost=cost)]
        elif not (uses := uses_of(response)):
            raise ConfigurationError(
                f"report_usage: a {type(response).__name__} that does not say what it took (usage, usage_metadata); "
                "pass input_tokens and output_tokens"
            )
        for use in uses:
            self._report(
                input_tokens=use.input_tokens,
                output_tokens=use.output_tokens,
                model=model or use.model,
                cost=cost if len(uses) == 1 and cost is not None else use.cost,
                seconds=seconds / len(uses),
            )

    def _report(self, **use: Any) -> None:
        report_usage(self.scope, **use)


class LazyInput(AgentInput):
    """An input whose messages are copied when they are asked for: most adapters look at one list, many at none.

    Its scope is made when it is asked for, too.
    """

    def __init__(self, **given: Any) -> None:
        self.__dict__ = given

    @property
    def messages(self) -> list[Message]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole conversation, as it was when the call began."""
        return self._copied("messages")

    @messages.setter
    def messages(self, value: list[Message]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.__dict__["messages"], self.__dict__["messages_copied"] = value, True

    @property
    def shared_messages(self) -> Sequence[Message]:
        """The same, without a copy: for readers that look at words, or at one sound after the other."""
        return self.__dict__["messages"]

    @property
    def new_messages(self) -> list[Message]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those that this adapter has not been given before."""
        return self._copied("new_messages")

    @new_messages.setter
    def new_messages(self, value: list[Message]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.__dict__["new_messages"], self.__dict__["new_messages_copied"] = value, True

    @property
    def scope(self) -> RunScope:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Clock, chance, ids and journal of the run, for this call."""
        held = self.__dict__
        if "scope" not in held:
            run, agent, index, call = held["made_for"]
            held["scope"] = run.of(agent.name, index, call)
        return held["scope"]

    @scope.setter
    def scope(self, value: RunScope) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.__dict__["scope"] = value

    def _copied(self, name: str) -> list[Message]:
        held = self.__dict__
        if f"{name}_copied" not in held:
            held[name], held[f"{name}_copied"] = [copy_of(message) for message in held[name]], True
        return held[name]


class AgentSession(ABC):
    """A participant's connection for the length of one run.

    The engine opens it before the first turn and closes it in every case, also when the run is cancelled. Calls come
    one after the other: ``send`` and then ``receive`` to its end, or to ``interrupt``.
    """

    interrupt_timeout: ClassVar[float] = 5.0
    """Seconds that ``interrupt`` may take."""

    @abstractmethod
    async def send(self, input: AgentInput) -> None:
        """Pass on what is new."""

    @abstractmethod
    def receive(self) -> AsyncIterator[Piece]:
        """The answer to what was sent last, bit by bit; it ends with the participant's turn."""

    async def interrupt(self) -> None:
        """The user has cut in: stop answering. ``receive`` is cancelled right after; what it gave already stays."""
        return

    async def conclude(self) -> None:
        """The run is about to end: the last moment to note something, such as a recording that is complete now.

        Raising ends the run as an error; of a run that ends with an error already, it is logged.
        """
        return

    async def close(self) -> None:
        """The run is over."""
        return


class CallSession(AgentSession):
    """The session of an adapter that has no connection: each call stands alone."""

    def __init__(self, adapter: AgentAdapter) -> None:
        self.adapter = adapter
        self._input: AgentInput | None = None

    async def send(self, input: AgentInput) -> None:
        """Keep it for the answer."""
        self._input = input

    async def receive(self) -> AsyncIterator[Piece]:
        """What the adapter streams, or its whole answer."""
        assert self._input is not None
        pieces = self.adapter.stream(self._input)
        if pieces is not None:
            async for piece in pieces:
                yield piece
            return
        yield await self.adapter.call(self._input)


class AgentAdapter(ABC):
    """Takes part in a conversation: as the agent under test unless ``role`` says otherwise."""

    role: ClassVar[AgentRole] = AgentRole.AGENT

    resumable: ClassVar[bool | None] = None
    """Whether an interrupted run can continue with this participant, whose recorded answers are not asked for again.

    None, the default: simulated users and judges can, an agent cannot, because an object of this process has lost
    what it knew of the conversation; the run is then started again. Set it to True for an agent that is given
    everything with each call, or finds it under ``input.thread_id``, or brings itself up to date in :meth:`restore`.
    """

    repeats: ClassVar[bool] = False
    """Whether the adapter is called again with what it was given before, in a run that is resumed.

    For adapters that keep a state of their own and reach the outside through ``input.scope`` only: models and tools
    answer from the journal then, so that the state is rebuilt and nothing is asked twice.
    """

    reports_tool_calls: bool | None = None
    """Whether the messages that this agent returns hold every tool call that it made.

    Set it to True where that is so. With None, the default, checks of tool calls are skipped in a conversation in which
    the agent has shown none: an agent that returns text only may have called any tool.
    """

    timeout: float | None = None
    """Seconds that one call may take; None for the run's: ``agent_timeout``, or ten ``model_timeout`` for others."""

    @abstractmethod
    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """Answer what is new.

        Returns:
            Text, a chat message, a list of chat messages (tool calls and their results included; empty for silence),
            or a :class:`ScenarioResult` to end the run. A simulated user may return :class:`UserDone`; an agent
            :class:`AgentDone` to end the conversation, and the judge decides.
        """

    def stream(self, input: AgentInput) -> AsyncIterator[str | Message] | None:
        """Override to answer piece by piece. It is then used in place of :meth:`call`.

        Yield text as it comes, and whole messages (tool calls, results) as they are. What was given before the agent is
        cut off, by a timeout or by the user, stays in the conversation. None, the default, means that the agent answers
        at once.
        """
        return None

    async def open(self, run: RunScope) -> AgentSession | None:
        """Override to hold a connection for the length of a run; None, the default, for none.

        Raising ends the run as an error of this participant.
        """
        return None

    def run_watch(self) -> Instrument | None:
        """What has to watch a run for this adapter where tracing is off, such as for a judge that reads traces."""
        return None

    def restore(self, state: ScenarioState) -> None:
        """Called once in a resumed run, before the first call that was not recorded.

        Override it in an adapter that is ``resumable`` and has to know what was said until now.
        """
        return

    @property
    def name(self) -> str:
        """What this participant is called in reports and errors."""
        return type(self).__name__

    def describe(self) -> dict[str, Any]:
        """What the journal's snapshot keeps about this participant: plain data without secrets."""
        return {}
