"""Runs as a store keeps them: what is put into the queue, what a worker gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import Message
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult


class QueueStatus(StrEnum):
    """Where a run is. Only ``error`` can be retried."""

    QUEUED = "queued"
    PENDING = "pending"
    """Only where somebody has said so; no run gets it by itself."""
    RUNNING = "running"
    COMPLETED = "completed"
    """There is a result: pass, fail or undecided."""
    ERROR = "error"
    """It could not be carried out."""
    CANCELLED = "cancelled"


OVER = frozenset({QueueStatus.COMPLETED, QueueStatus.ERROR, QueueStatus.CANCELLED})
"""Statuses of runs that nothing more happens to by itself."""


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

    def check(self) -> None:
        """Refuse what no queue can go by.

        Raises:
            ConfigurationError: a number is too large, or makes no sense.
        """
        whole_number("priority", self.priority)
        if self.not_before is not None:
            instant("not_before", self.not_before)
        whole_number("max_attempts", self.max_attempts, least=1)


_MOST = 2**31 - 1
_LAST = 253402300799.0
"""The last second of the year 9999."""


def whole_number(name: str, value: object, *, least: int = -_MOST) -> int:
    """A number that a column of the database takes.

    Raises:
        ConfigurationError: it is no whole number, too small or too large.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
        raise ConfigurationError(f"{name} is {value!r}; expected a whole number from {least} to {_MOST}")
    return value


def instant(name: str, value: object) -> float:
    """Seconds since 1970.

    Raises:
        ConfigurationError: it is no number, or nothing that a calendar has.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST:
        raise ConfigurationError(f"{name} is {value!r}; expected seconds since 1970")
    return float(value)


def iso_instant(at: float | None) -> str | None:
    """An instant as texts have it: ISO 8601 in UTC with milliseconds, such as ``2026-01-31T12:00:00.000Z``.

    Args:
        at: seconds since 1970; None for an instant that is not known.
    """
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
        attempts: how often the run was claimed since it was put into the queue, this time included.
        execution: the name of its execution, which ids derive from; '' for none.
        journal_from: the first attempt whose journal may be continued; older ones are those before a retry.
    """

    id: str
    number: int
    token: int
    attempts: int
    project_id: str
    execution_id: int | None
    execution: str
    snapshot: str
    case: TestCase
    thread_id: str | None = None
    journal_from: int = 1


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
    """A worker, as others see it.

    Attributes:
        state: ``running``, ``stopping``, ``stopped``, or ``lost`` once its lease is over and its runs were given to
            others.
        started_at, last_seen: seconds since 1970. The store sets them.
    """

    id: str
    host: str
    pid: int
    version: str
    capacity: int
    active: int = 0
    state: str = "running"
    started_at: float = 0.0
    last_seen: float = 0.0


@frozen
class NewExecution:
    """An execution that is begun.

    Attributes:
        name: that of its results folder; None for a new one.
        data: whatever else is known of it, as JSON data.
    """

    name: str | None = None
    eval_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@frozen
class StoredExecution:
    """An execution as it is stored."""

    id: int
    project_id: str
    name: str
    eval_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created_at: float = 0.0


@frozen
class Enqueued:
    """What was put into the queue.

    Attributes:
        execution: that the runs belong to; None for none.
        ids: of the runs, in their order.
    """

    execution: StoredExecution | None
    ids: tuple[str, ...]


@frozen
class Cancelled:
    """What became of runs that somebody cancelled.

    Attributes:
        cancelled: ids of those that waited, and are over.
        stopping: ids of those that a worker has, which stops them.
        over: ids of those that were over before, with their status; those that had been cancelled are left out.
        unknown: ids of no run.
    """

    cancelled: tuple[str, ...] = ()
    stopping: tuple[str, ...] = ()
    over: Mapping[str, QueueStatus] = field(default_factory=dict[str, "QueueStatus"])
    unknown: tuple[str, ...] = ()


@frozen
class Recovered:
    """What became of runs whose worker is gone.

    Attributes:
        requeued: ids of those that are in the queue again.
        set_aside: ids of those that have used up their attempts: errors now.
        cancelled: ids of those that somebody had cancelled.
    """

    requeued: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()


@frozen
class ProviderLimit:
    """What all workers together may take of a provider.

    Attributes:
        per_second: runs that may begin in a second; None for any number.
        burst: how many of them may begin at once after a pause.
        max_concurrency: runs at the same time; None for any number.
    """

    provider: str
    per_second: float | None = None
    burst: float | None = None
    max_concurrency: int | None = None

    def check(self) -> None:
        """Refuse what no queue can go by.

        Raises:
            ConfigurationError: a number makes no sense.
        """
        if self.max_concurrency is not None:
            whole_number(f"max_concurrency of '{self.provider}'", self.max_concurrency, least=1)
        for name, number, least in (("per_second", self.per_second, 0.0), ("burst", self.burst, 1.0)):
            if number is None:
                continue
            of_numbers = isinstance(number, int | float) and not isinstance(number, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
            if not of_numbers or not (number > 0 and least <= number <= _MOST):
                expected = "a number above 0" if not least else f"a number from {least:g}"
                raise ConfigurationError(f"{name} of '{self.provider}' is {number!r}; expected {expected}")


@frozen(slots=True)
class ArtifactRow:
    """Bytes of a run that are in the artifact store.

    Attributes:
        size: bytes.
    """

    sha256: str
    mime_type: str
    size: int


@frozen
class StoredResult:
    """What a completed run came to.

    Attributes:
        success: whether it passed. An undecided run has not.
        score: from 0 to 1; None if nobody gave one.
        reason: in words.
    """

    success: bool
    score: float | None = None
    reason: str | None = None


@frozen
class StoredRun:
    """A run as it is now.

    Attributes:
        messages: the conversation so far; first, as a system message, what the simulated user was told.
        outcome: ``pass``, ``fail``, ``undecided``, ``error`` or ``cancelled``, once it is over.
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

    @property
    def result(self) -> StoredResult | None:
        """What it came to, once it is completed; None for one that has no verdict."""
        if self.outcome not in {"pass", "fail", "undecided"}:
            return None
        return StoredResult(success=self.outcome == "pass", score=self.score, reason=self.reason)

    def as_data(self) -> dict[str, Any]:
        """The run as plain JSON data: instants in ISO 8601, and no field that has no value."""
        names = (
            *("id", "eval_id", "persona_id", "scenario_id", "connector_id", "agent_id", "agent_version"),
            *("execution_id", "status", "outcome", "output", "error", "thread_id", "priority", "attempts"),
        )
        data: dict[str, Any] = {name: value for name in names if (value := getattr(self, name)) is not None}
        data["status"], data["messages"] = self.status.value, [dict(message) for message in self.messages]
        if (result := self.result) is not None:
            given = {"success": result.success, "score": result.score, "reason": result.reason}
            data["result"] = {name: value for name, value in given.items() if value is not None}
        if self.metadata:
            data["metadata"] = dict(self.metadata)
        for name in ("started_at", "completed_at", "created_at", "updated_at"):
            if (at := getattr(self, name)) is not None:
                data[name] = iso_instant(at)
        return data
