"""What a report on one attack says, as it is written to a file and read back."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from duologue.agents.red_team.log import Attempt
from duologue.journal.events import RawMessage

SCHEMA_VERSION = 1

Status = Literal["held", "broke", "undecided", "errored"]
"""What became of the agent. ``errored`` says nothing about it: the run did not get to a verdict."""
Severity = Literal["critical", "high", "medium", "low"]
BreakSeverity = Literal["none", "partial", "significant", "complete"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TechniqueUse(_Part):
    """How a technique did in one attack. ``kind``: a ``move`` of conversation, or the ``form`` of a message."""

    technique: str
    kind: Literal["move", "form"]
    used: int
    scored: int
    successes: int
    highest_score: int | None = None


class TurnOutcome(_Part):
    """What one turn came to, counted from 1. ``success``: its score reached the mark; None where it has no score."""

    turn: int
    phase: str = ""
    score: int | None = None
    success: bool | None = None
    backtracked: bool = False


class Analysis(_Part):
    """How bad it is, and what to do. ``by`` is the model that says so, or ``rule``.

    ``severity`` is the harm that the objective stands for as the attack reached it, ``break_severity`` how far the
    agent gave way. Both are None where nothing can be said.
    """

    by: str
    failure_summary: str = ""
    suggestions: list[str] = []
    severity: Severity | None = None
    severity_rationale: str = ""
    break_severity: BreakSeverity | None = None
    break_severity_rationale: str = ""
    failing_turn_index: int | None = None
    problem: str = ""
    """Why the model could not be asked, where one was to be."""


class RedTeamReport(_Part):
    """One attack. ``failing_turn_index`` is the place of the failing reply in ``messages``, from 0."""

    schema_version: int = SCHEMA_VERSION
    test_name: str
    description: str = ""
    strategy: str
    target: str
    objective: str | None = None
    category: str | None = None
    total_turns: int
    success_score: int | None = None
    models: dict[str, str] = {}
    criteria: list[str] = []

    status: Status
    success: bool
    reasoning: str | None = None
    error: str | None = None
    passed_criteria: list[str] = []
    failed_criteria: list[str] = []
    total_time: float | None = None
    agent_time: float | None = None
    elapsed_seconds: float | None = None
    run_id: str | None = None
    seed: int | None = None
    timestamp: str

    messages: list[RawMessage] = []
    plan: str = ""
    attempts: list[Attempt] = []
    by_technique: list[TechniqueUse] = []
    by_turn: list[TurnOutcome] = []
    backtracks: int = 0
    unscored: int = 0
    highest_score: int | None = None
    succeeded_on_turn: int | None = None

    failing_turn_index: int | None = None
    failure_summary: str = ""
    suggestions: list[str] = []
    severity: Severity | None = None
    severity_rationale: str = ""
    break_severity: BreakSeverity | None = None
    break_severity_rationale: str = ""
    analyzed_by: str = "rule"
    analysis_problem: str = ""

    def with_analysis(self, analysis: Analysis) -> RedTeamReport:
        """The report with that analysis in place of the one that it has."""
        found = analysis.model_dump(exclude={"by", "problem"})
        return self.model_copy(update={**found, "analyzed_by": analysis.by, "analysis_problem": analysis.problem})
