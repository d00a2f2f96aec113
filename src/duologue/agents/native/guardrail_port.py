"""Guardrails of a native agent: the port that checks are passed in through, and what becomes of a message.

A user's message that breaks a rule never reaches the model. An answer that breaks one is replaced if its guardrail has
a text for that (``message``); otherwise it is sent as it is. Either way the conversation continues and the violation is
in the results, where it fails the run unless a check expects it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

from duologue.frozen import frozen
from duologue.journal.notes import Note
from duologue.models.scope import RunScope
from duologue.specs.checks import GuardrailSpec

Direction = Literal["input", "output"]


class GuardrailViolation(Protocol):
    """A message that a guardrail does not let through."""

    @property
    def replacement(self) -> str:
        """What takes the place of the message."""
        ...


class GuardrailPort(Protocol):
    """A check of single messages. ``duologue.checks`` has the implementation."""

    @property
    def direction(self) -> Literal["input", "output", "both"]:
        """Whose messages are checked: the user's (``input``), the agent's (``output``) or both."""
        ...

    async def inspect(
        self, text: str, direction: Direction, *, turn: int, scope: RunScope
    ) -> GuardrailViolation | None:
        """What is wrong with a message; None if nothing is. Raises CheckError where that cannot be decided."""
        ...

    def note(self, violation: Any, direction: Direction) -> Note:
        """The note that records the result."""
        ...


MakeGuardrail = Callable[[GuardrailSpec], GuardrailPort]
"""Makes a guardrail from what a prompt says. Raises ConfigurationError."""


@frozen
class Guard:
    """A guardrail, and whether it replaces an answer that breaks its rule."""

    rail: GuardrailPort
    replaces: bool


async def replacement(guards: Iterable[Guard], text: str, direction: Direction, scope: RunScope) -> str | None:
    """What replaces a message; None if the message is kept.

    Every guardrail is asked and noted, also after one that does not let the message through.

    Args:
        guards: of the prompt.
        text: what was said.
        direction: ``input`` for the user's message, ``output`` for the agent's.
        scope: of the run.

    Raises:
        CheckError: a guardrail could not find out.
    """
    instead: str | None = None
    for guard in guards:
        rail = guard.rail
        if rail.direction not in {direction, "both"}:
            continue
        violation = await rail.inspect(text, direction, turn=scope.turn, scope=scope)
        scope.note(rail.note(violation, direction))
        if violation and instead is None and (guard.replaces or direction == "input"):
            instead = violation.replacement
    return instead
