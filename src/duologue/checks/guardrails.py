"""Checks as guardrails: asked about one message before it goes on, and what stands in its place if it may not.

Any type of the catalogue can be one. What an engine does with a violation, and when, is its own business; it notes
every result with :meth:`Guardrail.note`, which is what the check ``guardrail_triggered`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from duologue.checks.base import CatalogueCheck
from duologue.checks.create import from_spec
from duologue.checks.parameter_errors import validated
from duologue.conversation.checking import CheckInput
from duologue.conversation.state import ScenarioState
from duologue.errors import CheckError
from duologue.journal.events import MessageAdded
from duologue.journal.notes import GuardrailApplied
from duologue.messages import assistant_message
from duologue.models.resources import Resources
from duologue.models.scope import RunScope
from duologue.specs.checks import CheckSpec, GuardrailSpec
from duologue.vocabulary import CheckStatus

Direction = Literal["input", "output", "both"]

BLOCKED = "This message was withheld: it breaks a rule of this conversation."


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A message that a guardrail does not let through.

    Attributes:
        type: the type of the guardrail, as it was written.
        direction: ``input`` for what the user said, ``output`` for what the agent said.
        explanation: what was found.
        replacement: what stands in the place of the message: the configured text, or the message cut to its length.
        details: for reports.
    """

    type: str
    direction: Literal["input", "output"]
    explanation: str
    replacement: str
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """A check that is asked about single messages. Made by :func:`guardrail`.

    Attributes:
        check: what is asked.
        direction: which messages.
        message: what stands in the place of a message that is withheld.
        enabled: whether it is asked at all.
        fail_on_violation: whether a violation fails the run; for whoever decides on the run.
    """

    check: CatalogueCheck
    direction: Direction = "output"
    message: str = BLOCKED
    enabled: bool = True
    fail_on_violation: bool = True

    async def inspect(
        self,
        text: str,
        direction: Literal["input", "output"] = "output",
        *,
        turn: int = 0,
        scope: RunScope | None = None,
    ) -> Violation | None:
        """What is wrong with a message; None if it may go on.

        Args:
            text: what was said.
            direction: by whom: the user (``input``) or the agent (``output``).
            turn: of the message.
            scope: clock and journal of the run, for guardrails that ask a model.

        Raises:
            CheckError: it could not be found out. Nobody should take that for a yes.
        """
        if not self.enabled or self.direction not in {direction, "both"}:
            return None
        record = MessageAdded(message_id="m1", message=assistant_message(text), turn=turn)
        state = ScenarioState(messages=[record.message])
        given = CheckInput(state=state, records=[record], turn=turn, scope=scope or RunScope())
        outcome = await self.check.evaluate(given)
        if outcome.status is CheckStatus.ERROR:
            raise CheckError(
                f"the guardrail '{self.check.name}' could not decide: {outcome.explanation}", who=self.name
            )
        if outcome.status is not CheckStatus.FAILED:
            return None
        return Violation(
            type=self.check.written_as,
            direction=direction,
            explanation=outcome.explanation,
            replacement=self._replacement(text),
            details=outcome.details,
        )

    @property
    def name(self) -> str:
        """The check's."""
        return self.check.name

    def note(self, violation: Violation | None, direction: Literal["input", "output"] = "output") -> GuardrailApplied:
        """The note that records what it said of a message."""
        return GuardrailApplied(
            type=self.check.written_as,
            check=self.check.kind,
            direction=direction,
            passed=violation is None,
            explanation=violation.explanation if violation else "",
        )

    def _replacement(self, text: str) -> str:
        limit = getattr(self.check.test, "max", None)
        return text[:limit] if self.check.kind == "max_length" and isinstance(limit, int) else self.message


def guardrail(
    type: str,
    params: Mapping[str, Any] | None = None,
    *,
    direction: Direction = "output",
    message: str | None = None,
    enabled: bool = True,
    fail_on_violation: bool = True,
    min_score: float | None = None,
    max_score: float | None = None,
    resources: Resources | None = None,
) -> Guardrail:
    """A guardrail of a type of the catalogue; takes what :func:`duologue.checks.create` takes.

    Args:
        direction: look at what the user says (``input``), what the agent says (``output``), or both.
        message: what stands in the place of a message that is withheld.
        enabled: False: it is never asked.
        fail_on_violation: whether a violation fails the run.

    Raises:
        ConfigurationError: as ``create`` does, or an unknown direction.
    """
    written = {
        "type": type,
        "params": dict(params or {}),
        "direction": direction,
        "message": message,
        "enabled": enabled,
        "fail_on_violation": fail_on_violation,
    }
    spec = validated(GuardrailSpec, written, f"guardrail '{type}'")
    return guardrail_from_spec(spec, min_score=min_score, max_score=max_score, resources=resources)


def guardrail_from_spec(
    spec: GuardrailSpec,
    *,
    min_score: float | None = None,
    max_score: float | None = None,
    resources: Resources | None = None,
) -> Guardrail:
    """The guardrail that a prompt describes. Raises ConfigurationError as :func:`guardrail` does."""
    bounds = {"min_score": min_score, "max_score": max_score}
    written = {"type": spec.type, "params": spec.params, "scope": "turn", "message": spec.message, **bounds}
    check = from_spec(validated(CheckSpec, written, f"guardrail '{spec.type}'"), resources=resources)
    return Guardrail(
        check=check,
        direction=spec.direction,
        message=check.message or BLOCKED,
        enabled=spec.enabled,
        fail_on_violation=spec.fail_on_violation,
    )
