"""Whose turn it is: the order of roles within a turn, as pure bookkeeping.

A turn asks USER, then AGENT, then JUDGE. Several participants of one role are all asked, in the order in which they
were given, before the next role. Each participant is asked at most once a turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from duologue.vocabulary import AgentRole

ROLE_ORDER = (AgentRole.USER, AgentRole.AGENT, AgentRole.JUDGE)


class TurnOrder:
    """The part of the open turn that is still to come."""

    def __init__(self, roles: Sequence[AgentRole]) -> None:
        self._roles = tuple(roles)
        self._everyone = tuple(range(len(self._roles)))
        self.open()

    def open(self) -> None:
        """Begin a new turn: every role, every participant."""
        self._position = 0
        self._waiting = list(self._everyone)

    def next(self) -> int | None:
        """The participant to ask next; None when the turn is over."""
        while self._position < len(ROLE_ORDER):
            found = self._first(ROLE_ORDER[self._position])
            if found is not None:
                return found
            self._position += 1
        return None

    def seek(self, role: AgentRole) -> int | None:
        """Pass over the roles before this one; its next participant, or None if this turn has none left."""
        wanted = ROLE_ORDER.index(role)
        if wanted < self._position:
            self._position = len(ROLE_ORDER)
            return None
        self._position = wanted
        return self._first(role)

    def use(self, participant: int) -> None:
        """This participant has had its part in the turn."""
        self._waiting.remove(participant)

    def waiting(self, role: AgentRole) -> list[int]:
        """The participants of that role that have not been asked in this turn."""
        return [index for index in self._waiting if self._roles[index] is role]

    def _first(self, role: AgentRole) -> int | None:
        for index in self._waiting:
            if self._roles[index] is role:
                return index
        return None
