"""A user who says prepared lines, one by one, and then has nothing more to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, UserDone
from duologue.conversation.result import ScenarioState
from duologue.errors import SimulatorError
from duologue.messages import Message
from duologue.vocabulary import AgentRole

UserLine = str | Message | Callable[[ScenarioState], str]
"""A line: its text, a whole message, or a function of the state that returns the text."""


class ScriptedUser(AgentAdapter):
    """A user who says the given lines in order.

    The next line follows from the conversation, so one object serves any number of runs at once, a resumed run
    continues where it was, and a line that was rolled back is said again. Lines that the script adds with
    ``duologue.user("…")`` do not count.

    Args:
        lines: the user's lines, one for each call.
        done_after: whether the user is done after the last line, which ends the conversation; otherwise a further call
            is a SimulatorError.
        name: the user's name in reports.
    """

    role: ClassVar[AgentRole] = AgentRole.USER
    repeats: ClassVar[bool] = True

    def __init__(self, lines: Sequence[UserLine], *, done_after: bool = True, name: str | None = None) -> None:
        self._lines = tuple(lines)
        self._done_after = done_after
        self._name = name

    @property
    def name(self) -> str:
        """The given name, or the name of the class."""
        return self._name or type(self).__name__

    def describe(self) -> dict[str, Any]:
        """The number of lines, and whether the user is done after them."""
        return {"lines": len(self._lines), "done_after": self._done_after}

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The next line.

        Raises:
            SimulatorError: no line is left and ``done_after`` is False.
        """
        said = self._said(input)
        if said < len(self._lines):
            line = self._lines[said]
            return line(input.scenario_state) if callable(line) else line
        if self._done_after:
            return UserDone(reason="out_of_lines")
        raise SimulatorError(
            f"{self.name} was asked for line {said + 1} and has {len(self._lines)}: give it more lines, end the script "
            "earlier, or let done_after=True end the conversation"
        )

    def _said(self, input: AgentInput) -> int:
        """How many lines are used up."""
        return lines_said(input)


def lines_said(input: AgentInput) -> int:
    """How many messages this participant has added to the conversation.

    Outside a run nobody records who wrote what; all messages of the user count then.
    """
    author = input.scope.participant
    if author is None:
        return sum(message["role"] == "user" for message in input.shared_messages)
    return sum(record.author == author for record in input.scenario_state.view.records)
