"""What a run was worth, and why: a fold over its journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from duologue.journal.events import CheckEvaluated, CriterionDecision, ErrorInfo, RawMessage, Usage
from duologue.journal.jsonl import read_journal
from duologue.journal.view import RunView
from duologue.messages import copy_of
from duologue.vocabulary import Decision, RunStatus, Termination, Verdict


class ScenarioResult(BaseModel):
    """The outcome of a run; also what a judge of your own returns to end one.

    ``ScenarioResult(success=True, messages=[])`` is enough for the latter: the verdict follows from ``success`` unless
    it is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    success: bool
    """True if and only if the verdict is pass."""
    messages: list[RawMessage] = []
    reasoning: str | None = None
    passed_criteria: list[str] = []
    failed_criteria: list[str] = []
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
    decisions: list[CriterionDecision] = []
    """The judge's decision on each criterion, with its reason and the messages it rests on."""
    checks: list[CheckEvaluated] = []
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    """Tokens of the simulated user and the judge; the agent under test counts its own."""
    cost: float | None = None
    """US dollars, where every model call had a price."""
    advisory: bool = False
    details: dict[str, Any] = Field(default_factory=dict, exclude=True)
    """On a judge's result: shown beside the verdict, and deciding nothing."""
    scenario: str | None = None
    run_id: str | None = None
    thread_id: str | None = None
    seed: int | None = None
    turns: int | None = None
    message_ids: list[str] = []
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
    return ScenarioResult(
        success=verdict is Verdict.PASS,
        verdict=verdict,
        status=finished.status if finished else RunStatus.ERROR,
        termination=finished.termination if finished else None,
        messages=[copy_of(message) for message in view.messages],
        message_ids=[record.message_id for record in view.records],
        reasoning=finished.reasoning if finished else "The journal ends before the run does.",
        passed_criteria=finished.passed_criteria if finished else view.passed_criteria,
        failed_criteria=finished.failed_criteria if finished else view.failed_criteria,
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
