"""The result of a run: a fold over its journal, and the one place where a verdict is made.

Rules of the verdict, in order: a failed check or criterion fails the run; otherwise the judge's verdict stands;
otherwise checkpoints and checks that all passed pass it; with nothing to decide on, the run is undecided. A check can
veto a judge's pass and never rescue a fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from duologue.frozen import frozen
from duologue.journal.events import CheckEvaluated, CriterionDecision, ErrorInfo, RawMessage, Usage
from duologue.journal.journal import RunView
from duologue.journal.jsonl import read_journal
from duologue.messages import copy_of
from duologue.vocabulary import CheckStatus, Decision, RunStatus, Scope, Termination, Verdict

NOTHING_TO_GO_BY = (
    "Reached end of script without conclusion. Add one of the following: duologue.judge() or a checkpoint "
    "duologue.judge(criteria=[…]) to the script, a JudgeAgent to the agents, checks=[…] to the run, "
    "duologue.succeed() or duologue.fail() at the end of the script."
)
ALL_CHECKPOINTS_PASSED = "All inline criteria checkpoints passed"
ALL_CHECKS_PASSED = "All checks passed"


class ScenarioResult(BaseModel):
    """The outcome of a run; also what a judge of your own returns to end one.

    ``ScenarioResult(success=True, messages=[])`` is enough for the latter: the verdict follows from ``success`` unless
    it is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    success: bool
    """True if and only if the verdict is pass."""
    messages: list[RawMessage] = Field(default_factory=list[RawMessage])
    reasoning: str | None = None
    passed_criteria: list[str] = Field(default_factory=list[str])
    failed_criteria: list[str] = Field(default_factory=list[str])
    total_time: float | None = None
    """Seconds from start to end."""
    agent_time: float | None = None
    """Seconds spent inside the agent under test."""
    audio: Any = None
    timeline: Any = None
    latency: Any = None

    verdict: Verdict | None = None
    """None when the run has no verdict: see ``status`` and ``error``."""
    status: RunStatus = RunStatus.COMPLETED
    termination: Termination | None = None
    decisions: list[CriterionDecision] = Field(default_factory=list[CriterionDecision])
    """The judge's decision on each criterion, with its reason and the messages it rests on."""
    checks: list[CheckEvaluated] = Field(default_factory=list[CheckEvaluated])
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    """Tokens of the simulated user and the judge; the agent under test counts its own."""
    cost: float | None = None
    """US dollars, where every model call had a price."""
    advisory: bool = False
    """On a judge's result: it is shown and does not decide the run."""
    details: dict[str, Any] = Field(default_factory=dict, exclude=True)
    """On a judge's result: shown beside the verdict, and deciding nothing."""
    scenario: str | None = None
    run_id: str | None = None
    thread_id: str | None = None
    seed: int | None = None
    turns: int | None = None
    message_ids: list[str] = Field(default_factory=list[str])
    """The id of each message, such as ``m3``: what decisions and checks cite."""
    journal: Path | None = Field(default=None, exclude=True)
    """The file that holds the run, when it was recorded."""

    @model_validator(mode="before")
    @classmethod
    def _verdict_follows_success(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given = cast("dict[str, object]", data)
        if given.get("verdict") is not None or given.get("status") is not None:
            return given
        return {**given, "verdict": Verdict.PASS if given.get("success") else Verdict.FAIL}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.success != (self.verdict is Verdict.PASS):
            raise ValueError(
                f"success={self.success} contradicts verdict={self.verdict}: success means the verdict 'pass'"
            )
        return self

    @property
    def undecided(self) -> bool:
        """Whether the run completed without enough to decide on."""
        return self.verdict is Verdict.UNDECIDED

    def __repr__(self) -> str:
        status = {Verdict.PASS: "PASSED", Verdict.FAIL: "FAILED", Verdict.UNDECIDED: "UNDECIDED"}
        word = status[self.verdict] if self.verdict else self.status.value.upper()
        return f"ScenarioResult(success={self.success}, status={word}, reasoning={self.reasoning!r})"

    __str__ = __repr__


def result_of(view: RunView, journal: Path | None = None) -> ScenarioResult:
    """The result of a run whose journal folds to this view; a journal without its end gives an error result."""
    finished, started = view.finished, view.started
    verdict = finished.verdict if finished else None
    return _unvalidated(
        success=verdict is Verdict.PASS,
        verdict=verdict,
        status=finished.status if finished else RunStatus.ERROR,
        termination=finished.termination if finished else None,
        messages=[copy_of(message) for message in view.messages],
        message_ids=[record.message_id for record in view.records],
        reasoning=finished.reasoning if finished else "The journal ends before the run does.",
        passed_criteria=list(finished.passed_criteria if finished else view.passed_criteria),
        failed_criteria=list(finished.failed_criteria if finished else view.failed_criteria),
        decisions=[decision for judged in view.judgements if not judged.advisory for decision in judged.decisions],
        checks=list(view.checks),
        error=finished.error if finished else None,
        total_time=finished.total_time if finished else None,
        agent_time=finished.agent_time if finished else view.agent_time,
        usage=view.usage,
        cost=view.cost if not view.unpriced_calls else None,
        scenario=started.scenario.name if started else None,
        run_id=started.run_id if started else None,
        thread_id=started.thread_id if started else None,
        seed=started.seed if started else None,
        turns=view.turns,
        journal=journal,
    )


def _unvalidated(**values: object) -> ScenarioResult:
    """What a fold gives is valid: validating it again, or copying the defaults of fields, would cost more than it."""
    result = ScenarioResult.__new__(ScenarioResult)
    private: dict[str, object] = {
        "__dict__": {"audio": None, "timeline": None, "latency": None, "advisory": False, "details": {}, **values},
        "__pydantic_fields_set__": set(values),
        "__pydantic_extra__": None,
        "__pydantic_private__": None,
    }
    for name, value in private.items():
        object.__setattr__(result, name, value)
    return result


def read_result(path: str | Path) -> ScenarioResult:
    """The result of a recorded run, equal to the one that the run returned.

    Raises:
        JournalError: the file cannot be read as a journal.
    """
    return result_of(read_journal(path).view, Path(path))


def decisions_from(result: ScenarioResult) -> list[CriterionDecision]:
    """A result's decisions; made from its criteria lists where a judge gave only those."""
    if result.decisions:
        return result.decisions
    passed = [CriterionDecision(criterion=text, decision=Decision.MET) for text in result.passed_criteria]
    failed = [CriterionDecision(criterion=text, decision=Decision.UNMET) for text in result.failed_criteria]
    return passed + failed


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
            turns[outcome.explanation].append(outcome.turn)
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
