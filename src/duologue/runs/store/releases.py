"""What decides about a release of an agent: baselines, environments, what a gate says, deployments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from duologue.config.spec import EMPTY, Resource, Seconds
from duologue.frozen import frozen

DeploymentStatus = Literal["pending", "deployed", "failed", "refused"]


@frozen
class Baseline:
    """An execution that others of its eval are compared with, under a name.

    Attributes:
        agent_id: of the agent that the eval runs; None for an eval with a connector.
        agent_version: that the execution ran.
        execution_id: number of the execution.
    """

    id: str
    project_id: str
    name: str
    eval_id: str
    agent_id: str | None
    agent_version: int | None
    execution_id: int
    created_at: float = 0.0
    updated_at: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return _data(self)


class EnvironmentSpec(Resource):
    """Where versions of an agent are deployed to, and what has to be true before."""

    environment_fields: ClassVar[tuple[str, ...]] = ("webhook_url", "headers")

    description: str = ""
    """Free-text description for people."""
    platform: Literal["retell", "vapi", "elevenlabs", "webhook"] = "webhook"
    """Where the agent lives. Every platform is told in the same way, through the webhook."""
    agent_id: str | None = None
    """The only saved agent that may be deployed here. Default: any."""
    eval_id: str | None = None
    """Eval that has to have passed. Default: none, unless one is named when deploying."""
    platform_agent_id: str | None = None
    """ID of the agent on its platform; passed on in the webhook."""
    webhook_url: str | None = None
    """URL that is told of a deployment, with ``POST``. ``${NAME}`` stands for a secret of the project or a variable of
    the environment. Without a URL, a deployment is only recorded."""
    headers: dict[str, str] = EMPTY
    """Headers of the webhook, such as ``Authorization: Bearer ${TOKEN}``."""
    signing_secret: str | None = None
    """Name of the secret that webhooks are signed with (HMAC-SHA256)."""
    timeout: Seconds = Field(default=10.0, le=60)
    """Time limit for the webhook."""
    allow_private_addresses: bool = False
    """Whether the webhook may lead to loopback and private addresses."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.webhook_url is None and (self.headers or self.signing_secret):
            raise ValueError("headers and signing_secret with webhook_url only")
        return self


@frozen
class Environment:
    """A saved environment."""

    id: str
    project_id: str
    spec: EnvironmentSpec
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def name(self) -> str:
        """Unique in its project."""
        return self.spec.name

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"id": self.id, "project_id": self.project_id, **self.spec.written(), **_instants(self)}


@frozen
class GateResult:
    """Whether a version of an agent may be deployed, and why.

    Attributes:
        reason: in one sentence.
        execution_id: of the execution that decided; None where there is none.
        execution_name: its name.
        counts: of its runs, by outcome.
        pass_rate: share of its runs that passed, from 0 to 1.
        required_pass_rate: that was needed.
        metrics_score, required_metrics_score: from 0 to 100, where the eval has metrics.
        notes: what else somebody should know, such as a newer execution that is not over.
    """

    passed: bool
    reason: str
    agent_id: str
    agent_name: str
    agent_version: int | None
    eval_id: str
    eval_name: str
    execution_id: int | None = None
    execution_name: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    pass_rate: float | None = None
    required_pass_rate: float | None = None
    metrics_score: float | None = None
    required_metrics_score: float | None = None
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {**vars(self), "counts": dict(self.counts), "notes": list(self.notes)}


@frozen
class Deployment:
    """A version of an agent that somebody wanted in an environment.

    Attributes:
        status: ``refused`` by the gate, ``failed`` where the webhook was not delivered, ``deployed``, or ``pending`` as
            long as it is under way.
        execution_id: that the gate decided by.
        message: why, or what the webhook answered.
    """

    id: int
    project_id: str
    environment_id: str
    agent_id: str
    agent_version: int
    execution_id: int | None
    status: DeploymentStatus
    message: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return _data(self)


def _data(item: Any) -> dict[str, Any]:
    """A frozen value as plain JSON data, with its instants in ISO 8601."""
    return {**vars(item), **_instants(item)}


def _instants(item: Any) -> dict[str, str]:
    return {name: iso(getattr(item, name)) for name in ("created_at", "updated_at")}


def iso(at: float) -> str:
    """An instant in ISO 8601, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
