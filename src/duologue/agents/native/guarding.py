"""Guardrails at work: what they say of a message is noted, and what becomes of the message is decided here.

A user's message that breaks a rule never reaches the model. An answer that breaks one is replaced if its guardrail has
a text for that (``message``); otherwise it goes on as it is. Either way the conversation goes on and the violation is
in the results, where it fails the run unless a check expects it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from duologue.agents.native.instruction import Guard
from duologue.models.scope import RunScope

Direction = Literal["input", "output"]


async def replacement(guards: Iterable[Guard], text: str, direction: Direction, scope: RunScope) -> str | None:
    """What stands in the place of a message; None if the message goes on.

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
