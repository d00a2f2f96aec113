"""Why a run did not pass, read out of its result: the same list for every report. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from duologue.journal.events import CheckEvaluated, CriterionDecision
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.groups import Group
from duologue.suites.results.run import MessageResult, RunResult
from duologue.vocabulary import CheckStatus, Decision, Verdict

FindingKind = Literal["error", "check", "criterion", "guardrail", "undecided", "reason"]

OUTCOMES = ("pass", "fail", "undecided", "error", "cancelled")
"""The words of :attr:`RunResult.outcome`, in the order in which reports show them."""

NOT_RUN = "not run"
"""In place of an outcome, for a test case of the plan that was not started."""

MARKS = {"pass": "✓", "fail": "✗", "undecided": "?", "error": "!", "cancelled": "–", NOT_RUN: "·"}
"""One character for each of them, so that nobody has to tell colours apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that kept a run from passing.

    Attributes:
        kind: what said so.
        name: of the check, the criterion, the guardrail or the exception.
        text: the explanation, as it was given.
        message_ids: what it rests on.
    """

    kind: FindingKind
    name: str
    text: str = ""
    message_ids: tuple[str, ...] = ()


def findings_of(run: RunResult) -> tuple[Finding, ...]:
    """What kept a run from passing, the weightiest first; nothing for one that passed."""
    if run.verdict is Verdict.PASS:
        return ()
    found = [*_errors(run), *_failures(run)]
    if not found:
        kind = "undecided" if run.verdict is Verdict.UNDECIDED else "reason"
        found = [Finding(kind=kind, name=run.outcome, text=run.reasoning or "")]
    return tuple(found)


def _errors(run: RunResult) -> Iterable[Finding]:
    if run.error is not None:
        yield Finding(kind="error", name=run.error.type, text=run.error.message)


def _failures(run: RunResult) -> Iterable[Finding]:
    for check in failed_checks(run):
        yield Finding(kind="check", name=check.name, text=check.explanation, message_ids=tuple(check.message_ids))
    for criterion in open_criteria(run):
        yield Finding(
            kind="criterion",
            name=criterion.criterion,
            text=criterion.reason,
            message_ids=tuple(criterion.message_ids),
        )
    for item in run.violations:
        yield Finding(kind="guardrail", name=item.type, text=f"turn {item.turn + 1}: {item.explanation}")


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
    first = findings_of(run)[0]
    return f"{first.name}: {first.text}" if first.text else first.name


def summary_of(run: RunResult, found: Iterable[Finding]) -> str:
    """The reasoning of a run; '' where it only says again what stands in the findings, or in the error."""
    said = run.reasoning or ""
    if run.error is not None or any((item.text and item.text in said) or item.text == said for item in found):
        return ""
    return said


def cited(run: RunResult, message_ids: Iterable[str]) -> list[MessageResult]:
    """The messages of those ids that are in the conversation."""
    wanted = set(message_ids)
    return [message for message in run.messages if message.id in wanted]


def excused(run: RunResult, group: Group) -> bool:
    """Whether a run failed and its test case did not, because the share of passing trials is enough."""
    return run.outcome == "fail" and group.outcome != "fail"


def undecided_allowed(execution: ExecutionResult) -> bool:
    """Whether as many undecided test cases as there are were put up with beforehand."""
    limit = execution.allowance.undecided
    return limit is None or execution.totals.undecided <= limit


def errors_allowed(execution: ExecutionResult) -> bool:
    """The same for test cases that broke."""
    limit = execution.allowance.errors
    return limit is None or execution.totals.errors <= limit
