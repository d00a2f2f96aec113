"""Baselines, environments, the gate and deployments, as they are sent and answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from duologue.config.spec import Name, Spec
from duologue.runs.store.releases import Baseline, Deployment, Environment, EnvironmentSpec, GateResult
from duologue.server.schemas.definitions import StoredFields, instant_text, with_facts


class BaselineFields(Spec):
    """Which execution others are compared with."""

    execution_id: int = Field(ge=1, le=2**63 - 1)
    """Number of an execution of an eval that is over."""
    name: Name = "default"
    """Another execution of the same eval and agent that has the name loses it."""


class BaselineAnswer(StoredFields):
    """An execution that others of its eval are compared with, under a name."""

    name: str
    """One for each eval and agent."""
    eval_id: str
    """The eval."""
    agent_id: str | None
    """The agent that the eval runs; null for an eval with a connector."""
    agent_version: int | None
    """That the execution ran."""
    execution_id: int
    """Number of the execution."""


class EnvironmentAnswer(StoredFields, EnvironmentSpec):
    """Where versions of an agent are deployed to, and what has to be true before."""


class GateAnswer(BaseModel):
    """Whether a version of an agent may be deployed, and why."""

    passed: bool
    """Whether it may."""
    reason: str
    """In one sentence."""
    agent_id: str
    """The agent."""
    agent_name: str
    """Its name."""
    agent_version: int | None
    """Exactly this version was looked at."""
    eval_id: str
    """The eval that decides."""
    eval_name: str
    """Its name."""
    execution_id: int | None
    """The execution that decided; null where none is over."""
    execution_name: str | None
    """Its name."""
    counts: dict[str, int]
    """Its runs, by outcome."""
    pass_rate: float | None
    """Share of its runs that passed."""
    required_pass_rate: float | None
    """Share that was needed."""
    metrics_score: float | None
    """From 0 to 100, where the eval has metrics."""
    required_metrics_score: float | None
    """That was needed."""
    notes: list[str]
    """What else somebody should know, such as a newer execution that is not over."""


class DeploymentFields(Spec):
    """What is deployed, and where to."""

    environment_id: Name
    """The environment."""
    agent_id: Name | None = None
    """The agent. Default: that of the environment."""
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """A published version. Default: the newest."""
    eval_id: Name | None = None
    """The eval that has to have passed. Default: that of the environment."""


class DeploymentAnswer(BaseModel):
    """A version of an agent that somebody wanted in an environment."""

    id: int
    """Unique everywhere."""
    project_id: str
    """The project."""
    environment_id: str
    """The environment."""
    agent_id: str
    """The agent."""
    agent_version: int
    """The version."""
    execution_id: int | None
    """The execution that the gate decided by."""
    status: Literal["pending", "deployed", "failed", "refused"]
    """``refused`` by the gate; ``failed`` where the webhook was not delivered."""
    message: str
    """Why, or what the webhook answered."""
    created_at: datetime
    """When it was begun."""
    updated_at: datetime
    """When it was over."""


class NewDeploymentAnswer(DeploymentAnswer):
    """A deployment that was tried, and what the gate said of it."""

    gate: GateAnswer | None
    """Null where the environment has no eval and none was named."""


class DeploymentPreview(BaseModel):
    """The request that a webhook would be sent. ``${NAME}`` stands for what would be filled in."""

    method: str
    """``POST``."""
    url: str
    """Of the webhook."""
    headers: dict[str, str]
    """Of the request."""
    body: dict[str, Any]
    """Of the request."""


def baseline_fields(saved: Baseline) -> Mapping[str, Any]:
    """A baseline as it is answered."""
    names = ("name", "eval_id", "agent_id", "agent_version", "execution_id")
    return with_facts(saved, {name: getattr(saved, name) for name in names})


def environment_fields(saved: Environment) -> Mapping[str, Any]:
    """An environment as it is answered."""
    return with_facts(saved, saved.spec.model_dump(mode="json"))


def deployment_fields(saved: Deployment) -> Mapping[str, Any]:
    """A deployment as it is answered."""
    instants = {name: instant_text(getattr(saved, name)) for name in ("created_at", "updated_at")}
    return {**vars(saved), **instants}


def gate_fields(found: GateResult) -> Mapping[str, Any]:
    """What a gate says, as it is answered."""
    return found.as_data()
