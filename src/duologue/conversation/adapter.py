"""The port that every participant implements: called with what is new, answers with a message.

``AgentAdapter`` has the reference library's shape: subclass it, set ``role``, write ``async def call(self, input)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError
from duologue.messages import Message
from duologue.models.scope import RunScope
from duologue.vocabulary import AgentRole

if TYPE_CHECKING:
    from duologue.conversation.state import ScenarioState

DoneReason = Literal["goal_reached", "gave_up", "transferred", "out_of_lines"]


@dataclass(frozen=True, kw_only=True)
class JudgmentRequest:
    """Asks a judge to decide now, in place of letting the conversation go on.

    Attributes:
        criteria: decide exactly these; None for the judge's own.
        context: more for the judge to know, such as the final state of a database.
    """

    criteria: list[str] | None = None
    context: str | None = None


@dataclass(frozen=True, kw_only=True)
class UserDone:
    """Returned by a simulated user that has nothing more to say after ``message``."""

    reason: DoneReason
    message: Message | str | None = None
    explanation: str = ""


AgentReturnTypes = str | Message | list[Message] | ScenarioResult | UserDone


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
    """

    thread_id: str
    messages: list[Message]
    new_messages: list[Message]
    scenario_state: ScenarioState
    judgment_request: JudgmentRequest | None = None
    scope: RunScope = field(default_factory=RunScope)

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


class AgentAdapter(ABC):
    """Takes part in a conversation: as the agent under test unless ``role`` says otherwise."""

    role: ClassVar[AgentRole] = AgentRole.AGENT

    timeout: float | None = None
    """Seconds that one call may take; None for the run's: ``agent_timeout``, or ten ``model_timeout`` for others."""

    @abstractmethod
    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """Answer what is new.

        Returns:
            Text, a chat message, a list of chat messages (tool calls and their results included; empty for silence),
            or a :class:`ScenarioResult` to end the run. A simulated user may return :class:`UserDone`.
        """

    def stream(self, input: AgentInput) -> AsyncIterator[str | Message] | None:
        """Override to answer piece by piece, for :func:`duologue.stream`.

        Yield text as it comes, and whole messages (tool calls, results) as they are. None, the default, means that the
        agent answers at once.
        """
        return None

    @property
    def name(self) -> str:
        """What this participant is called in reports and errors."""
        return type(self).__name__

    def describe(self) -> dict[str, Any]:
        """What the journal's snapshot keeps about this participant: plain data without secrets."""
        return {}
