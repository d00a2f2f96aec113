"""A user who says what was written down, line by line, and then has nothing more to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, UserDone
from duologue.conversation.state import ScenarioState
from duologue.errors import SimulatorError
from duologue.messages import Message
from duologue.vocabulary import AgentRole

UserLine = str | Message | Callable[[ScenarioState], str]
"""A line: its text, a whole message, or a function of the state that makes the text."""


class ScriptedUser(AgentAdapter):
    """Says the lines in order.

    Which line is next follows from the conversation, so one object serves any number of runs at once, a resumed run
    goes on where it was, and a line that was rolled back is said again. Lines that the script puts in with
    ``duologue.user("…")`` are not counted.

    Args:
        lines: what the user says, call by call.
        done_after: after the last line the user has nothing more to say, which ends the conversation; with False a
            further call is a SimulatorError.
        name: what reports call this user.
    """

    role: ClassVar[AgentRole] = AgentRole.USER

    def __init__(self, lines: Sequence[UserLine], *, done_after: bool = True, name: str | None = None) -> None:
        self._lines = tuple(lines)
        self._done_after = done_after
        self._name = name

    @property
    def name(self) -> str:
        """The given name, or the class's."""
        return self._name or type(self).__name__

    def describe(self) -> dict[str, Any]:
        """How many lines there are."""
        return {"lines": len(self._lines), "done_after": self._done_after}

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The next line.

        Raises:
            SimulatorError: there is none left, and ``done_after`` is False.
        """
        said = lines_said(input)
        if said < len(self._lines):
            line = self._lines[said]
            return line(input.scenario_state) if callable(line) else line
        if self._done_after:
            return UserDone(reason="out_of_lines")
        raise SimulatorError(
            f"{self.name} was asked for line {said + 1} and has {len(self._lines)}: give it more lines, end the script "
            "earlier, or let done_after=True end the conversation"
        )


def lines_said(input: AgentInput) -> int:
    """How many messages this participant has put into the conversation.

    Outside a run nobody records who wrote what; then all messages of the user are its own.
    """
    author = input.scope.participant
    if author is None:
        return sum(message["role"] == "user" for message in input.messages)
    return sum(record.author == author for record in input.scenario_state.view.records)
