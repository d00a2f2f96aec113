"""Runs, as they are changed and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from duologue.config.spec import JsonObject, Name, Share, Spec
from duologue.runs.store.records import StoredRun
from duologue.server.schemas.definitions import instant_text, optional_instant
from duologue.server.schemas.moments import Moment

Status = Literal["queued", "pending", "running", "completed", "error", "cancelled"]
Outcome = Literal["pass", "fail", "undecided", "error", "cancelled"]


class RunVerdict(BaseModel):
    """What a completed run came to."""

    success: bool
    """Whether it passed. An undecided run has not."""
    score: float | None
    """From 0 to 1; null if nobody gave one."""
    reason: str | None
    """In words."""


class RunListItem(BaseModel):
    """A run, without its conversation."""

    id: str
    """Unique everywhere."""
    number: int
    """The order of creation."""
    project_id: str
    """The project that it belongs to."""
    execution_id: int | None
    """The execution that it belongs to; null for a playground run."""
    eval_id: str | None
    """The eval that it was made from."""
    scenario_id: str | None
    """The scenario that it was made from."""
    persona_id: str | None
    """The persona that it was made from."""
    connector_id: str | None
    """The connector of a playground run."""
    agent_id: str | None
    """The saved agent that it was made from."""
    agent_version: int | None
    """The version of that agent."""
    title: str
    """The test case in a few words."""
    scenario: str
    """The name of the scenario."""
    persona: str | None
    """The name of the persona."""
    agent: str | None
    """The name of the agent."""
    trial: int
    """Which repetition of its test case it is, from 1."""
    seed: int
    """From which its random choices derive."""
    status: Status
    """Where it is. Only ``error`` can be retried."""
    outcome: Outcome | None
    """What came of it, once it is over."""
    result: RunVerdict | None
    """The verdict, once there is one."""
    output: dict[str, Any] | None
    """What is known about the conversation as a whole."""
    error: str | None
    """Why it could not be carried out."""
    metadata: dict[str, Any]
    """``latency_ms``, ``token_usage`` and whatever callers keep."""
    thread_id: str | None
    """Under which its agent knows the conversation."""
    priority: int
    """Higher ones are carried out first."""
    attempts: int
    """How many workers have had it since it was put into the queue."""
    worker: str | None
    """Who carries it out now."""
    cancelling: bool
    """Its worker is to stop it."""
    started_at: datetime | None
    """When a worker began it."""
    completed_at: datetime | None
    """When it was over."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it was last changed."""


class RunAnswer(RunListItem):
    """A run with its conversation."""

    messages: list[dict[str, Any]]
    """Chat messages so far; first, as a system message, what the simulated user was told."""


class RunVerdictFields(Spec):
    """What somebody says that a run came to."""

    success: bool
    """Whether it passed."""
    score: Share | None = None
    """From 0 to 1."""
    reason: str | None = None
    """In words."""


class RunFields(Spec):
    """Fields of a run that can be changed by hand; null clears one."""

    status: Status | None = None
    """Whoever changes the status of a run that a worker carries out takes it away from that worker."""
    started_at: Moment | None = None
    """When it began."""
    completed_at: Moment | None = None
    """When it was over."""
    messages: list[JsonObject] | None = None
    """Its conversation, as chat messages."""
    output: JsonObject | None = None
    """What is known about the conversation as a whole."""
    result: RunVerdictFields | None = None
    """What it came to."""
    error: str | None = None
    """Why it could not be carried out."""
    metadata: JsonObject | None = None
    """Whatever callers keep."""
    thread_id: str | None = None
    """Under which its agent knows the conversation."""
    priority: int | None = Field(default=None, ge=-(2**31) + 1, le=2**31 - 1)
    """Higher ones are carried out first."""


class PlaygroundFields(Spec):
    """A single run, without an eval and without an execution."""

    scenario_id: Name
    """The scenario."""
    connector_id: Name | None = None
    """Whose agent is called. Either this or ``agent_id``."""
    agent_id: Name | None = None
    """A saved agent that is called, in its newest version. Either this or ``connector_id``."""
    persona_id: Name | None = None
    """Who the user is. Default: nobody in particular."""
    priority: int = Field(default=0, ge=-(2**31) + 1, le=2**31 - 1)
    """Higher ones are carried out first."""
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    """From which all random choices derive. Default: a new one."""


class CancelledRun(BaseModel):
    """What became of a run that was cancelled."""

    status: Literal["cancelled", "stopping", "over"]
    """``stopping``: its worker stops it. ``over``: it was over before."""


def run_item(run: StoredRun) -> Mapping[str, Any]:
    """A run as lists show it."""
    result, case = run.result, run.case
    return {
        "id": run.id,
        "number": run.number,
        "project_id": run.project_id,
        "execution_id": run.execution_id,
        "eval_id": run.eval_id,
        "scenario_id": run.scenario_id,
        "persona_id": run.persona_id,
        "connector_id": run.connector_id,
        "agent_id": run.agent_id,
        "agent_version": run.agent_version,
        "title": case.title,
        "scenario": case.scenario,
        "persona": case.persona,
        "agent": case.agent,
        "trial": case.trial,
        "seed": case.seed,
        "status": run.status.value,
        "outcome": run.outcome,
        "result": result and {"success": result.success, "score": result.score, "reason": result.reason},
        "output": run.output,
        "error": run.error,
        "metadata": run.metadata,
        "thread_id": run.thread_id,
        "priority": run.priority,
        "attempts": run.attempts,
        "worker": run.owner,
        "cancelling": run.cancelling,
        "started_at": optional_instant(run.started_at),
        "completed_at": optional_instant(run.completed_at),
        "created_at": instant_text(run.created_at),
        "updated_at": instant_text(run.updated_at),
    }


def run_fields(run: StoredRun) -> Mapping[str, Any]:
    """A run as it is answered."""
    messages: Sequence[Any] = run.messages
    return {**run_item(run), "messages": messages}
