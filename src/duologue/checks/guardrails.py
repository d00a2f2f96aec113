"""Guardrails: checks that inspect each message before it is delivered, and what replaces a message that violates one.

Any type of the catalogue can be a guardrail. The caller decides what to do with a violation. It records every result
with :meth:`Guardrail.note`, which the check ``guardrail_triggered`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from duologue.checks.base import CatalogueCheck, validated
from duologue.checks.registry import from_spec
from duologue.conversation.result import ScenarioState
from duologue.conversation.setup import CheckInput
from duologue.errors import CheckError
from duologue.frozen import frozen
from duologue.journal.events import MessageAdded
from duologue.journal.notes import GuardrailApplied
from duologue.messages import assistant_message
from duologue.models.resources import Resources
from duologue.models.scope import RunScope
from duologue.specs.checks import CheckSpec, GuardrailSpec
from duologue.vocabulary import CheckStatus, Scope

Direction = Literal["input", "output", "both"]

BLOCKED = "This message was withheld: it breaks a rule of this conversation."


@frozen
class Violation:
    """A message that violates a guardrail.

    Attributes:
        type: the type of the guardrail, as it was written.
        direction: ``input`` for a message of the user, ``output`` for one of the agent.
        explanation: what was found.
        replacement: text to deliver instead: the configured message, or the original cut to the maximum length.
        details: for reports.
    """

    type: str
    direction: Literal["input", "output"]
    explanation: str
    replacement: str
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@frozen
class Guardrail:
    """A check that inspects single messages. Created by :func:`guardrail`.

    Attributes:
        check: the check.
        direction: the messages to inspect: the user's (``input``), the agent's (``output``), or both.
        message: text that replaces a message that is withheld.
        enabled: whether it is used at all.
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
        """The violation in a message; None if there is none.

        Args:
            text: text of the message.
            direction: whose message it is: the user's (``input``) or the agent's (``output``).
            turn: turn of the message.
            scope: clock and journal of the run, for guardrails that ask a model.

        Raises:
            CheckError: the guardrail could not decide. Do not take that for a pass.
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
        """The name of the check."""
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
    """A guardrail of a type of the catalogue.

    Args:
        type, params, min_score, max_score, resources: as for :func:`duologue.checks.registry`.
        direction: inspect the user's messages (``input``), the agent's (``output``), or both.
        message: text that replaces a message that is withheld.
        enabled: whether it is used at all.
        fail_on_violation: whether a violation fails the run.

    Raises:
        ConfigurationError: as ``create`` does, or for an unknown direction.
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
    check = from_spec(validated(CheckSpec, written, f"guardrail '{spec.type}'"), scope=Scope.TURN, resources=resources)
    return Guardrail(
        check=check,
        direction=spec.direction,
        message=check.message or BLOCKED,
        enabled=spec.enabled,
        fail_on_violation=spec.fail_on_violation,
    )
