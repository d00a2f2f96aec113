"""The one place of the verdict: what a conversation that ran to its end comes to.

Rules, in order: a failed check or criterion fails the run; otherwise the judge's verdict stands; otherwise checkpoints
and checks that all passed pass it; with nothing to decide on, the run is undecided. A check can veto a judge's pass and
never rescue a fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from duologue.conversation.result import ScenarioResult
from duologue.frozen import frozen
from duologue.journal.events import CheckEvaluated
from duologue.journal.journal import RunView
from duologue.vocabulary import CheckStatus, Scope, Termination, Verdict

NOTHING_TO_GO_BY = (
    "Reached end of script without conclusion. Add one of the following: duologue.judge() or a checkpoint "
    "duologue.judge(criteria=[…]) to the script, a JudgeAgent to the agents, checks=[…] to the run, "
    "duologue.succeed() or duologue.fail() at the end of the script."
)
ALL_CHECKPOINTS_PASSED = "All inline criteria checkpoints passed"
ALL_CHECKS_PASSED = "All checks passed"


@frozen
class Conclusion:
    """What a run comes to."""

    verdict: Verdict
    termination: Termination
    reasoning: str | None
    passed_criteria: list[str]
    failed_criteria: list[str]


def conclude(view: RunView, ended_by: ScenarioResult | None, termination: Termination | None) -> Conclusion:
    """The verdict of a conversation that ran to its end.

    Args:
        view: the run so far, all checks evaluated.
        ended_by: the result that a judge, a step or an agent ended the run with, if one did.
        termination: why the conversation ended, where ``ended_by`` does not say.
    """
    failed_checks = _by_name(view.checks_with(CheckStatus.FAILED))
    passed_checks = [name for name in _by_name(view.checks_with(CheckStatus.PASSED)) if name not in failed_checks]
    verdict, reasoning = _before_checks(view, ended_by, bool(passed_checks))
    if failed_checks:
        verdict = Verdict.FAIL
        found = "; ".join(_told(name, failures) for name, failures in failed_checks.items())
        reasoning = f"Failed checks: {found}" + (f" ({reasoning})" if reasoning and ended_by else "")
    own_passed = ended_by.passed_criteria if ended_by else []
    own_failed = ended_by.failed_criteria if ended_by else view.failed_criteria
    compiled = view.passed_criteria
    return Conclusion(
        verdict=verdict,
        termination=(ended_by.termination if ended_by else None) or termination or Termination.SCRIPT_END,
        reasoning=reasoning,
        passed_criteria=[*compiled, *(text for text in own_passed if text not in compiled), *passed_checks],
        failed_criteria=[*own_failed, *failed_checks],
    )


def _by_name(checks: Iterable[CheckEvaluated]) -> dict[str, list[CheckEvaluated]]:
    """Outcomes by check: one that is evaluated in each turn is still one check."""
    found: dict[str, list[CheckEvaluated]] = {}
    for check in checks:
        found.setdefault(check.name, []).append(check)
    return found


def _told(name: str, outcomes: Sequence[CheckEvaluated]) -> str:
    """A check and what it found, each finding once, with the turns if it looked at turns."""
    turns: dict[str, list[int]] = {}
    for outcome in outcomes:
        turns.setdefault(outcome.explanation, [])
        if outcome.scope is Scope.TURN:
            turns[outcome.explanation].append(outcome.turn + 1)
    findings = [
        explanation + (f" (turn{'s' if len(found) > 1 else ''} {', '.join(map(str, found))})" if found else "")
        for explanation, found in turns.items()
    ]
    told = "; ".join(text.strip() for text in findings if text)
    return f"{name}: {told}" if told else name


def _before_checks(view: RunView, ended_by: ScenarioResult | None, checks_passed: bool) -> tuple[Verdict, str | None]:
    """The verdict without a veto of checks, and its reason."""
    if ended_by is not None:
        limit_only = ended_by.termination is Termination.MAX_TURNS and not ended_by.decisions
        if not (limit_only and checks_passed and ended_by.undecided):
            reasoning = ended_by.reasoning
            if limit_only and ended_by.undecided and (skipped := _all_skipped(view)):
                reasoning = f"{reasoning}. {skipped}" if reasoning else skipped
            return ended_by.verdict or Verdict.UNDECIDED, reasoning
    if view.checkpoints:
        if view.failed_criteria:
            return Verdict.FAIL, "A checkpoint found criteria that are not met"
        return Verdict.PASS, ALL_CHECKPOINTS_PASSED
    if checks_passed:
        return Verdict.PASS, ALL_CHECKS_PASSED + _some_skipped(view)
    return Verdict.UNDECIDED, _all_skipped(view) or NOTHING_TO_GO_BY


def _some_skipped(view: RunView) -> str:
    """Which checks decided nothing in any turn, beside those that passed."""
    skipped = _by_name(view.checks_with(CheckStatus.SKIPPED))
    names = skipped.keys() - {check.name for check in view.checks_with(CheckStatus.PASSED)} if skipped else set[str]()
    return f", except for skipped ones: {', '.join(name for name in skipped if name in names)}" if names else ""


def _all_skipped(view: RunView) -> str:
    """What was skipped and why, where no check decided anything; '' without checks."""
    skipped = _by_name(view.checks_with(CheckStatus.SKIPPED))
    if not skipped:
        return ""
    return f"Every check was skipped: {'; '.join(_told(name, outcomes) for name, outcomes in skipped.items())}"
