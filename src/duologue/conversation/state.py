"""What steps, checks and adapters may ask about the run so far: a reading face on the journal's fold."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Protocol

from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError
from duologue.journal.events import CheckEvaluated, MessageAdded
from duologue.journal.journal import Journal, RunView
from duologue.messages import Message, ToolCall, copy_of, iter_tool_calls, tool_calls_of
from duologue.settings import ScenarioConfig
from duologue.vocabulary import AgentRole


class Participant(Protocol):
    """Somebody who takes part in a run."""

    @property
    def name(self) -> str:
        """What reports and errors call it."""
        ...

    role: ClassVar[AgentRole]
    """Its part in the conversation."""


class RunControl(Protocol):
    """What a step of your own may do to its run: what the steps of the same names in a script do."""

    @property
    def agents(self) -> Sequence[Participant]:
        """The participants; their place is their index in events."""
        ...

    @property
    def journal(self) -> Journal:
        """The journal of the run in progress."""
        ...

    def add_message(self, message: Message, from_agent_idx: int | None = None) -> None:
        """Put a message into the conversation, by the participant of that index or by nobody."""
        ...

    def add_messages(self, messages: Sequence[Message], from_agent_idx: int | None = None) -> None:
        """Put several messages into the conversation."""
        ...

    def rollback_messages_to(self, index: int) -> list[Message]:
        """Take out all messages from ``index`` on, also of mailboxes; returns them."""
        ...

    async def message(self, message: Message) -> ScenarioResult | None:
        """See :func:`duologue.message`."""
        ...

    async def user(self, content: str | Message | None = None) -> ScenarioResult | None:
        """See :func:`duologue.user`."""
        ...

    async def agent(self, content: str | Message | None = None, *, wait: bool = True) -> ScenarioResult | None:
        """See :func:`duologue.agent`."""
        ...

    async def interrupt(
        self, content: str | Message | None = None, *, after_words: int | None = None, timeout: float = 8.0
    ) -> ScenarioResult | None:
        """See :func:`duologue.interrupt`."""
        ...

    async def judge(
        self, criteria: Sequence[str] | None = None, *, context: str | None = None
    ) -> ScenarioResult | None:
        """See :func:`duologue.judge`."""
        ...

    async def check(self, *checks: Any) -> ScenarioResult | None:
        """See :func:`duologue.check`."""
        ...

    async def proceed(
        self,
        turns: int | None = None,
        on_turn: Callable[[ScenarioState], Awaitable[None] | None] | None = None,
        on_step: Callable[[ScenarioState], Awaitable[None] | None] | None = None,
    ) -> ScenarioResult | None:
        """See :func:`duologue.proceed`."""
        ...

    async def evaluate(self, checks: Sequence[Any], records: list[MessageAdded]) -> list[CheckEvaluated]:
        """Evaluate checks on these messages; each outcome is recorded."""
        ...

    async def drain(self) -> ScenarioResult | None:
        """Wait for an agent turn that was started in the background."""
        ...

    async def step(self) -> list[Message] | ScenarioResult:
        """The next participant's part."""
        ...

    async def succeed(self, reasoning: str | None = None) -> ScenarioResult:
        """See :func:`duologue.succeed`."""
        ...

    async def fail(self, reasoning: str | None = None) -> ScenarioResult:
        """See :func:`duologue.fail`."""
        ...


class ScenarioState:
    """The run so far. It changes only through the executor, which records every change.

    Attributes:
        description: the situation, as told to the user simulator.
        thread_id: identifies the conversation to a stateful agent.
        config: what the run obeys.
        view: the fold of the journal, for everything that has no shortcut here.
    """

    def __init__(
        self,
        *,
        description: str = "",
        thread_id: str = "",
        config: ScenarioConfig | None = None,
        view: RunView | None = None,
        messages: list[Message] | None = None,
        control: RunControl | None = None,
    ) -> None:
        self.description = description
        self.thread_id = thread_id
        self.config = config or ScenarioConfig()
        self.view = view or RunView()
        if messages:
            self.view.messages.extend(messages)
        # Weak, so that a run is freed as soon as it is over and never waits for the garbage collector.
        self._control = weakref.ref(control) if control else None

    @property
    def messages(self) -> list[Message]:
        """The conversation so far: a copy; changing it changes nothing."""
        return [copy_of(message) for message in self.view.messages]

    @property
    def current_turn(self) -> int:
        """Number of the open turn, from 0."""
        return self.view.turn

    @property
    def message_ids(self) -> list[str]:
        """The id of each message, such as ``m3``."""
        return [record.message_id for record in self.view.records]

    @property
    def executor(self) -> RunControl:
        """The engine that runs this conversation, for steps of your own that drive it."""
        control = self._control() if self._control else None
        if control is None:
            raise ConfigurationError("This state has no run in progress, so there is no executor to drive.")
        return control

    def add_message(self, message: Message) -> None:
        """Put a message into the conversation; every participant will be given it."""
        self.executor.add_message(message)

    def rollback_messages_to(self, index: int) -> list[Message]:
        """Take out all messages from ``index`` on, also of mailboxes; returns them."""
        return self.executor.rollback_messages_to(index)

    def last_message(self) -> Message:
        """The newest message. Raises ConfigurationError when there is none."""
        if not self.view.messages:
            raise ConfigurationError("No messages found: nothing has been said yet.")
        return copy_of(self.view.messages[-1])

    def last_user_message(self) -> Message:
        """The newest message of the user. Raises ConfigurationError when there is none."""
        return self._last("user")

    def last_agent_message(self) -> Message:
        """The newest message of the agent. Raises ConfigurationError when there is none."""
        return self._last("assistant")

    def tool_calls(self, name: str | None = None) -> list[ToolCall]:
        """All tool calls so far in order; only those of that name, if one is given."""
        calls = [call for _, call in iter_tool_calls(self.messages)]
        return [call for call in calls if name is None or call["function"]["name"] == name]

    def last_tool_call(self, name: str) -> ToolCall | None:
        """The first call of that name in the newest message that has one; None if there is none."""
        for message in reversed(self.messages):
            for call in tool_calls_of(message):
                if call["function"]["name"] == name:
                    return call
        return None

    def has_tool_call(self, name: str) -> bool:
        """Whether a tool of that name was called."""
        return self.last_tool_call(name) is not None

    def _last(self, role: str) -> Message:
        for message in reversed(self.view.messages):
            if message["role"] == role:
                return copy_of(message)
        raise ConfigurationError(f"No message with the role '{role}' found.")
