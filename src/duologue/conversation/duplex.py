"""Participants that hear the user while they speak. The engine itself moves no sound."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from duologue.conversation.adapter import AgentSession
from duologue.conversation.calls import failure
from duologue.conversation.conversation import Conversation
from duologue.errors import DuologueError
from duologue.journal.events import MessageAdded
from duologue.messages import Message


class DuplexSession(AgentSession):
    """The session of a participant that hears the user at once, also while it speaks.

    What the user says is passed on with :meth:`hear` as soon as it is in the conversation, before anybody asks for an
    answer. A line that comes while the participant answers in the background cuts in on it.
    """

    @abstractmethod
    async def hear(self, records: Sequence[MessageAdded]) -> None:
        """The user has said this; until it is said. Records that were heard before are passed over."""

    @abstractmethod
    def attend(self, waited_for: bool = True) -> None:
        """Somebody waits for the answer that is on its way, or is asked for next; or nobody does for the time being."""

    @abstractmethod
    async def until_heard(self, words: int, timeout: float, *, more: float = 0.0) -> bool:
        """Wait until so many words of the answer were heard, 1 for its first sign of life.

        Args:
            words: how many.
            timeout: seconds to wait for them.
            more: seconds to listen on after them, unless the answer ends.

        Returns:
            False if the answer was over before; True if it can be cut in on now, heard or not.
        """

    @abstractmethod
    async def prepare(self, line: Message) -> None:
        """The user is going to say this when it cuts in: what can be done before is to be done now."""


def duplex_session(conversation: Conversation, index: int) -> DuplexSession | None:
    """The session of a participant that hears the user at once; None for one that does not."""
    session = conversation.session_of(index)
    return session if isinstance(session, DuplexSession) else None


async def pass_on(conversation: Conversation) -> None:
    """Say what the user has added to the conversation to those who hear it at once.

    Raises:
        RunError: one of them cannot hear it.
    """
    for index, agent in enumerate(conversation.agents):
        session = duplex_session(conversation, index)
        if session is None:
            continue
        records = [record for record in conversation.view.mailboxes[index] if record.message["role"] == "user"]
        try:
            await session.hear(records)
        except DuologueError:
            raise
        except Exception as error:
            raise failure(agent, error) from error
        conversation.run.check_going_on()
