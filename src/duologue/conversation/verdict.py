"""From what was found to one verdict: the only place where a verdict is made.

Rules, in order: a failed check or criterion fails the run; otherwise the judge's verdict stands; otherwise checkpoints
and checks that all passed pass it; with nothing to go by the run is undecided. A check can veto a judge's pass and
never rescue a fail.
"""

from __future__ import annotations

from dataclasses import dataclass

from duologue.conversation.result import ScenarioResult
from duologue.journal.view import RunView
from duologue.vocabulary import CheckStatus, Termination, Verdict

NOTHING_TO_GO_BY = (
    "Reached end of script without conclusion. Add one of the following: duologue.judge() or a checkpoint "
    "duologue.judge(criteria=[…]) to the script, a JudgeAgent to the agents, checks=[…] to the run, "
    "duologue.succeed() or duologue.fail() at the end of the script."
)
ALL_CHECKPOINTS_PASSED = "All inline criteria checkpoints passed"
ALL_CHECKS_PASSED = "All checks passed"


@dataclass(frozen=True, kw_only=True)
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
    passed_checks = [check.name for check in view.checks_with(CheckStatus.PASSED)]
    failed_checks = view.checks_with(CheckStatus.FAILED)
    verdict, reasoning = _before_checks(view, ended_by, bool(passed_checks))
    if failed_checks:
        verdict = Verdict.FAIL
        found = "; ".join(
            f"{check.name}: {check.explanation}" if check.explanation else check.name for check in failed_checks
        )
        reasoning = f"Failed checks: {found}" + (f" ({reasoning})" if reasoning and ended_by else "")
    own_passed = ended_by.passed_criteria if ended_by else []
    own_failed = ended_by.failed_criteria if ended_by else view.failed_criteria
    compiled = view.passed_criteria
    return Conclusion(
        verdict=verdict,
        termination=(ended_by.termination if ended_by else None) or termination or Termination.SCRIPT_END,
        reasoning=reasoning,
        passed_criteria=[*compiled, *(text for text in own_passed if text not in compiled), *passed_checks],
        failed_criteria=[*own_failed, *(check.name for check in failed_checks)],
    )


def _before_checks(view: RunView, ended_by: ScenarioResult | None, checks_passed: bool) -> tuple[Verdict, str | None]:
    """The verdict without a veto of checks, and its reason."""
    if ended_by is not None:
        limit_only = ended_by.termination is Termination.MAX_TURNS and not ended_by.decisions
        if not (limit_only and checks_passed and ended_by.undecided):
            return ended_by.verdict or Verdict.UNDECIDED, ended_by.reasoning
    if view.checkpoints:
        if view.failed_criteria:
            return Verdict.FAIL, "A checkpoint found criteria that are not met"
        return Verdict.PASS, ALL_CHECKPOINTS_PASSED
    if checks_passed:
        return Verdict.PASS, ALL_CHECKS_PASSED
    return Verdict.UNDECIDED, NOTHING_TO_GO_BY
