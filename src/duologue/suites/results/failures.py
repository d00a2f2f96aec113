"""Why a run did not pass: the same list for results on disk and for every report. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from duologue.frozen import frozen
from duologue.journal.events import CheckEvaluated, CriterionDecision
from duologue.suites.results.run import MessageResult, RunResult
from duologue.vocabulary import CheckStatus, Decision, Verdict

FailureKind = Literal["error", "check", "criterion", "guardrail", "undecided", "reason"]


@frozen(slots=True)
class Failure:
    """One thing that kept a run from passing.

    Attributes:
        kind: what said so.
        name: of the check, the criterion, the guardrail or the exception.
        text: the explanation, as it was given.
        message_ids: what it rests on.
    """

    kind: FailureKind
    name: str
    text: str = ""
    message_ids: tuple[str, ...] = ()


def failures_of(run: RunResult) -> tuple[Failure, ...]:
    """What kept a run from passing, the weightiest first; nothing for one that passed."""
    if run.verdict is Verdict.PASS:
        return ()
    found = [*_errors(run), *_failures(run)]
    if not found:
        kind = "undecided" if run.verdict is Verdict.UNDECIDED else "reason"
        found = [Failure(kind=kind, name=run.outcome, text=run.reasoning or "")]
    return tuple(found)


def _errors(run: RunResult) -> Iterable[Failure]:
    if run.error is not None:
        yield Failure(kind="error", name=run.error.type, text=run.error.message)


def _failures(run: RunResult) -> Iterable[Failure]:
    for check in failed_checks(run):
        yield Failure(kind="check", name=check.name, text=check.explanation, message_ids=tuple(check.message_ids))
    for criterion in open_criteria(run):
        yield Failure(
            kind="criterion",
            name=criterion.criterion,
            text=criterion.reason,
            message_ids=tuple(criterion.message_ids),
        )
    for item in run.violations:
        yield Failure(kind="guardrail", name=item.type, text=f"turn {item.turn + 1}: {item.explanation}")


def failed_checks(run: RunResult) -> list[CheckEvaluated]:
    """Checks that failed, or that broke."""
    return [check for check in run.checks if check.status in {CheckStatus.FAILED, CheckStatus.ERROR}]


def open_criteria(run: RunResult) -> list[CriterionDecision]:
    """Criteria that are not met, or that nobody could decide."""
    return [item for item in run.decisions if item.decision is not Decision.MET]


def reason_of(run: RunResult) -> str:
    """One sentence: why a run is not a pass; '' if it is one, or if nothing is known."""
    if run.verdict is Verdict.PASS:
        return ""
    if run.error is not None:
        return f"{run.error.type}: {run.error.message}"
    if run.reasoning:
        return run.reasoning
    first = failures_of(run)[0]
    return f"{first.name}: {first.text}" if first.text else first.name


def summary_of(run: RunResult, found: Iterable[Failure]) -> str:
    """The reasoning of a run; '' where it only says again what stands in the failures, or in the error."""
    said = run.reasoning or ""
    if run.error is not None or any((item.text and item.text in said) or item.text == said for item in found):
        return ""
    return said


def cited(run: RunResult, message_ids: Iterable[str]) -> list[MessageResult]:
    """The messages of those ids that are in the conversation."""
    wanted = set(message_ids)
    return [message for message in run.messages if message.id in wanted]
