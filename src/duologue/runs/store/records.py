"""Runs as a store keeps them: what is put into the queue, what a worker gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any

from duologue.frozen import frozen
from duologue.messages import Message
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult


class QueueStatus(StrEnum):
    """Where a run is. Only ``error`` can be retried."""

    QUEUED = "queued"
    PENDING = "pending"
    """Reserved; no run has it."""
    RUNNING = "running"
    COMPLETED = "completed"
    """There is a result: pass, fail or undecided."""
    ERROR = "error"
    """It could not be carried out."""
    CANCELLED = "cancelled"


@frozen
class NewRun:
    """A run that is put into the queue.

    Attributes:
        id: unique.
        snapshot: digest of the suite that it is a test case of; see :class:`Snapshot`.
        case: which test case.
        eval_id, scenario_id, persona_id, connector_id, agent_id, agent_version: what it was made from.
        provider: whose rate limit it takes part in; None for none.
        priority: higher ones are claimed first.
        not_before: seconds since 1970; it is not claimed earlier. None for at once.
        max_attempts: after so many workers have died with it, it is set aside as an error.
    """

    id: str
    snapshot: str
    case: TestCase
    eval_id: str | None = None
    scenario_id: str | None = None
    persona_id: str | None = None
    connector_id: str | None = None
    agent_id: str | None = None
    agent_version: int | None = None
    thread_id: str | None = None
    provider: str | None = None
    priority: int = 0
    not_before: float | None = None
    max_attempts: int = 3


@frozen
class Snapshot:
    """What was run, complete: a suite as it was written. It is never changed.

    Attributes:
        digest: of ``data``, its name.
        data: a suite as JSON, with the options that decide results. :mod:`duologue.runs.snapshots` makes and reads it.
    """

    digest: str
    data: bytes


@frozen(slots=True)
class ClaimedRun:
    """A run that this worker may carry out, as long as its lease lasts.

    Attributes:
        number: of its row; its events and results are kept under it.
        token: goes up with each claim. Whatever is written for the run names it, and is refused once it is not the
            newest any more.
        attempts: how often the run was claimed, this time included.
    """

    id: str
    number: int
    token: int
    attempts: int
    project_id: str
    execution_id: int | None
    execution: str
    """The name of its execution, which ids derive from; '' for none."""
    snapshot: str
    case: TestCase
    thread_id: str | None = None


@frozen
class FinishedRun:
    """The end of a run, which is recorded in one transaction with its result.

    Attributes:
        status: ``completed``, ``error`` or ``cancelled``.
        result: everything about it; None for one that never began.
        messages: the conversation, as chat messages.
        outcome, score, reason, error, output, details: what lists and callers see.
    """

    status: QueueStatus
    outcome: str
    result: RunResult | None = None
    messages: Sequence[Message] = ()
    score: float | None = None
    reason: str | None = None
    error: str | None = None
    output: Mapping[str, Any] | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


@frozen(slots=True)
class Beat:
    """What a heartbeat found.

    Attributes:
        lost: ids of runs that this worker does not own any more: it must stop them and write nothing more.
        cancelling: ids of runs that somebody has cancelled.
    """

    lost: frozenset[str] = frozenset()
    cancelling: frozenset[str] = frozenset()


@frozen(slots=True)
class WorkerRecord:
    """A worker, as others see it. Instants are seconds since 1970."""

    id: str
    host: str
    pid: int
    version: str
    capacity: int
    active: int
    state: str
    started_at: float
    last_seen: float


@frozen
class StoredRun:
    """A run as it is now.

    Attributes:
        messages: the conversation so far.
        result: ``success``, ``score`` and ``reason``, once it is completed.
        metadata: ``latency_ms``, ``token_usage`` and whatever callers keep.
        created_at, updated_at, started_at, completed_at: seconds since 1970.
        number: order of creation, for paging.
    """

    id: str
    number: int
    project_id: str
    status: QueueStatus
    eval_id: str | None = None
    persona_id: str | None = None
    scenario_id: str | None = None
    connector_id: str | None = None
    agent_id: str | None = None
    agent_version: int | None = None
    execution_id: int | None = None
    case: TestCase
    messages: Sequence[Message] = ()
    output: Mapping[str, Any] | None = None
    outcome: str | None = None
    score: float | None = None
    reason: str | None = None
    error: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    thread_id: str | None = None
    priority: int = 0
    attempts: int = 0
    owner: str | None = None
    cancelling: bool = False
    started_at: float | None = None
    completed_at: float | None = None
    created_at: float
    updated_at: float
