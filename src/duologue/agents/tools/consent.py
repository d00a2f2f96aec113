"""Tools that run where the user is: the user may be asked, and answers what the turn of the scenario says."""

from __future__ import annotations

from duologue.agents.tools.answers import Occasion, Result, Run, ToolFault
from duologue.journal.notes import ConsentGiven
from duologue.messages import JsonValue
from duologue.specs.prompts import Tool

_AN_ERROR = {None, "", "error"}
_A_RESULT = {"fallback", "skip", "ignore", "continue", "message", "inform"}
"""Words of a decline strategy that tell the model in our own words, but not as an error."""


def asking(tool: Tool, answer: Run) -> Run:
    """What runs a tool of the user's: asks where consent is required, then gives the answer that the suite says."""
    rule = tool.client.consent if tool.client else None
    if rule is None or not rule.required:
        return answer

    async def ask(arguments: dict[str, JsonValue], occasion: Occasion) -> Result:
        said = occasion.turn.consent.get(tool.name) if occasion.turn else None
        _note(tool, said, rule.message, occasion)
        if said == "deny":
            raise _declined(tool.name, rule.decline_strategy)
        if said == "timeout":
            raise ToolFault(f"tool {tool.name}: timed out: the user did not answer the question for consent")
        return await answer(arguments, occasion)

    return ask


def _note(tool: Tool, said: str | None, question: str | None, occasion: Occasion) -> None:
    """Keep what was answered; ``assumed`` if the scenario does not say and consent was taken for granted."""
    occasion.scope.note(
        ConsentGiven(
            tool=tool.name,
            call_id=occasion.call_id,
            answer=said or "grant",
            assumed=said is None,
            question=question or None,
        )
    )


def _declined(name: str, strategy: str | None) -> ToolFault:
    """A tool that was not allowed to run did not work, whatever words the model is told it in."""
    error = f"the user declined to let the tool {name} run"
    if strategy in _AN_ERROR:
        return ToolFault(error)
    return ToolFault(
        error, told=f"The user declined to let the tool {name} run." if strategy in _A_RESULT else strategy
    )
