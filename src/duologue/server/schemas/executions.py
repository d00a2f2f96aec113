"""Executions, as they are created and answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from duologue.config.spec import Name, Spec
from duologue.runs.store.database.execution_rows import ExecutionStanding
from duologue.server.schemas.definitions import instant_text
from duologue.server.schemas.moments import Moment


class ExecutionCounts(BaseModel):
    """How the runs of an execution stand."""

    total: int
    """All runs."""
    queued: int
    """Runs that wait."""
    running: int
    """Runs that are under way."""
    completed: int
    """Runs that are over, whatever came of them: the sum of those below."""
    passed: int
    """Runs with the verdict pass."""
    failed: int
    """Runs with the verdict fail."""
    undecided: int
    """Runs with the verdict undecided."""
    error: int
    """Runs that could not be carried out."""
    cancelled: int
    """Runs that somebody has cancelled."""


class ExecutionFork(BaseModel):
    """The run that the runs of an execution were continued from."""

    run_id: str
    """The run."""
    turn: int
    """After how many of its turns."""
    say: str | None = None
    """What the user said next; null for what the scenario says."""


class ExecutionAnswer(BaseModel):
    """One launch of an eval or a suite, and how its runs stand."""

    id: int
    """Unique everywhere; later ones have greater numbers."""
    project_id: str
    """The project that it belongs to."""
    name: str
    """Unique in the project."""
    eval_id: str | None
    """The eval that was launched; null for a suite that was submitted, or an eval that was deleted."""
    status: Literal["queued", "running", "completed", "cancelled"]
    """``cancelled`` if it is over and a run of it was cancelled."""
    counts: ExecutionCounts
    """How its runs stand."""
    pass_rate: float | None
    """The share of runs that passed among those that passed or failed; null if there are none."""
    seed: int | None
    """From which all random choices derive."""
    fork: ExecutionFork | None = None
    """Where its runs begin, if they continue another one; else null."""
    created_at: datetime
    """When it was launched."""


class NewExecutionFields(Spec):
    """What to launch."""

    eval_id: Name
    """Id or name of the eval."""
    name: Name | None = None
    """Of the execution, which no other of the project has. Default: a new one."""
    priority: int = Field(default=0, ge=-(2**31) + 1, le=2**31 - 1)
    """Runs with a higher one are carried out first."""
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    """From which all random choices derive. Default: a new one."""
    not_before: Moment | None = None
    """The runs are not carried out earlier. Default: at once."""
    max_attempts: int = Field(default=3, ge=1, le=1000)
    """After so many workers have died with a run, it is set aside as an error."""
    budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US dollars that the models of all runs may cost together. Default: what the project says."""


class ForkFields(Spec):
    """From where a run is continued, and with what."""

    turn: int = Field(ge=0, le=100_000)
    """After how many turns; 0 from the beginning."""
    say: str | None = Field(default=None, min_length=1, max_length=100_000)
    """What the user says next. Default: what the scenario says."""
    trials: int = Field(default=10, ge=1, le=1000)
    """How often it is continued."""
    again: bool | None = None
    """Whether the user's lines are said to the agent again, which then answers anew. Default: only to an agent that is
    not given the whole conversation with each call."""
    agent: Name | None = None
    """Another agent of the suite that the run was made from. Default: the same."""
    connector_id: Name | None = None
    """The connector of another agent. The scenario is played as it is defined now."""
    agent_id: Name | None = None
    """Another saved agent. The scenario is played as it is defined now."""
    agent_version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """Of the saved agent. Default: the newest."""
    model: Name | None = None
    """Another model for an agent that is made of one."""
    name: Name | None = None
    """Of the execution, which no other of the project has. Default: a new one."""
    priority: int = Field(default=0, ge=-(2**31) + 1, le=2**31 - 1)
    """Runs with a higher one are carried out first."""
    max_attempts: int = Field(default=3, ge=1, le=1000)
    """After so many workers have died with a run, it is set aside as an error."""
    budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US dollars that the models of all runs may cost together. Default: what the project says."""


class ExecutionChange(BaseModel):
    """What became of the runs of an execution."""

    cancelled: int = 0
    """Runs that waited, and are over."""
    stopping: int = 0
    """Runs that a worker has, which stops them."""
    retried: int = 0
    """Runs that are in the queue again."""


class Percentiles(BaseModel):
    """Of a measure over runs."""

    p50: float
    """Half of them are not above it."""
    p95: float
    """95 of 100 are not above it."""
    max: float
    """None is above it."""


class ExecutionSummary(BaseModel):
    """What the runs of an execution that are over come to."""

    execution_id: int
    """The execution."""
    suite: str
    """The name of what was run."""
    exit_code: int
    """What ``duologue run`` would end with: 0 all passed, 1 something failed, 3 errors or undecided."""
    totals: dict[str, int]
    """Test cases by outcome, where a test case is all of its trials."""
    pass_rate: float | None
    """The share of runs that passed among those that passed or failed; null if there are none."""
    spent: dict[str, dict[str, float | int]]
    """Calls, tokens and US dollars of the agents, simulated users and judges, and in all."""
    latency_ms: Percentiles | None
    """Of the agents, for each of their turns; null without any."""
    seconds: Percentiles | None
    """Of whole runs; null without any."""
    grading: dict[str, Any] | None
    """What metrics come to over all runs; null without any."""
    groups: list[dict[str, Any]]
    """Each test case with its trials: outcome, pass rate, checks, ids of runs."""


def execution_fields(standing: ExecutionStanding) -> Mapping[str, Any]:
    """An execution as it is answered."""
    execution, seed = standing.execution, standing.execution.data.get("seed")
    return {
        "id": execution.id,
        "project_id": execution.project_id,
        "name": execution.name,
        "eval_id": execution.eval_id,
        "status": standing.status,
        "counts": standing.counts,
        "pass_rate": standing.pass_rate,
        "seed": seed if isinstance(seed, int) else None,
        "fork": execution.data.get("fork"),
        "created_at": instant_text(execution.created_at),
    }
