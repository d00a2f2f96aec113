"""The check that goes with guardrails: a message that one of them stops fails the run, unless a check expects it."""

from __future__ import annotations

from collections.abc import Iterable

from duologue.conversation.checking import CheckInput, CheckOutcome
from duologue.journal.events import CheckEvaluated, Noted
from duologue.suites.results.run import GuardrailResult
from duologue.vocabulary import CheckStatus, Scope

GUARDRAIL = "guardrail"
TRIGGERED = "guardrail_triggered"


class NoViolation:
    """No guardrail that fails runs has stopped a message unexpectedly.

    Args:
        tolerated: types of guardrails whose violations do not fail a run.
    """

    name = "no guardrail is violated"
    kind = GUARDRAIL
    scope = Scope.CONVERSATION

    def __init__(self, tolerated: frozenset[str]) -> None:
        self.tolerated = tolerated

    async def evaluate(self, input: CheckInput) -> CheckOutcome:
        """Look at what the guardrails noted."""
        view = input.state.view
        results = guardrail_results(view.notes, view.checks, self.tolerated)
        broken = [item for item in results if not item.passed and not item.expected]
        if not broken:
            return CheckOutcome(status=CheckStatus.PASSED if results else CheckStatus.SKIPPED)
        told = "; ".join(f"{item.type} ({item.direction}, turn {item.turn}): {item.explanation}" for item in broken)
        return CheckOutcome(status=CheckStatus.FAILED, explanation=told)


def guardrail_results(
    notes: Iterable[Noted], checks: Iterable[CheckEvaluated], tolerated: frozenset[str] = frozenset()
) -> tuple[GuardrailResult, ...]:
    """What guardrails said. A violation is expected where a check ``guardrail_triggered`` passed because of it."""
    wanted: set[tuple[str, int]] = set()
    for check in checks:
        if check.kind == TRIGGERED and check.status is CheckStatus.PASSED:
            seen = check.details.get("results", ())
            wanted.update((str(item.get("type")), check.turn) for item in seen if not item.get("passed"))
            if check.scope is Scope.CONVERSATION:
                wanted.update((str(item.get("type")), -1) for item in seen if not item.get("passed"))
    return tuple(_result(note, wanted, tolerated) for note in notes if note.kind == GUARDRAIL)


def _result(note: Noted, wanted: set[tuple[str, int]], tolerated: frozenset[str]) -> GuardrailResult:
    data = note.data
    type_ = str(data.get("type", ""))
    passed = bool(data.get("passed"))
    expected = not passed and (type_ in tolerated or (type_, note.turn) in wanted or (type_, -1) in wanted)
    return GuardrailResult(
        type=type_,
        direction=str(data.get("direction", "output")),
        turn=note.turn,
        passed=passed,
        explanation=str(data.get("explanation") or ""),
        expected=expected,
    )
