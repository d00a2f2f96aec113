"""What goes to a database on the path of each run, and what comes back: values between writer, queue and drivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic_core import from_json

from duologue.runs.store.encoding import decoded_case
from duologue.runs.store.records import OVER, ArtifactRow, ClaimedRun, QueueStatus, WorkerRecord


@dataclass(slots=True)
class RunEnd:
    """The end of a run as its rows: one in ``runs`` and ``results``, many in ``checks``.

    Attributes:
        output, details: JSON.
        messages, data: JSON; None for a run without a result.
        checks: number, name, kind, status, score and explanation of each.
    """

    status: QueueStatus
    outcome: str
    score: float | None
    reason: str | None
    error: str | None
    output: str | None
    details: str | None
    cost: float | None
    tokens: int | None
    messages: bytes | None = None
    data: bytes | None = None
    checks: Sequence[tuple[int, str, str, str, float | None, str | None]] = ()


@dataclass(slots=True)
class Change:
    """Something that a worker writes for a run that it has.

    Attributes:
        token: of its claim. Once it is not the newest, nothing is written.
        cut: an attempt, and the number of an event: from it on, what is recorded is removed first.
        events: attempt, number of the first event and line of each transition.
        end: None as long as it goes on.
        back: it goes back into the queue; its attempt is not counted.
        not_before: then, it is not claimed earlier; seconds since 1970.
    """

    run_id: str
    number: int
    token: int
    events: Sequence[tuple[int, int, bytes]] = ()
    cut: tuple[int, int] | None = None
    artifacts: Sequence[ArtifactRow] = ()
    end: RunEnd | None = None
    back: bool = False
    not_before: float | None = None


@dataclass(slots=True)
class Pulse:
    """A heartbeat: the worker's lease begins anew.

    Attributes:
        worker: what it says of itself now.
        lease: seconds.
    """

    worker: WorkerRecord
    lease: float


@dataclass(slots=True)
class Held:
    """A run that the database says a worker has."""

    run_id: str
    number: int
    token: int
    cancelling: bool


@dataclass(slots=True)
class BatchResult:
    """What came of a batch.

    Attributes:
        lost: places of the changes whose run has another owner by now.
        held: for each heartbeat, the runs that the worker has.
    """

    lost: set[int] = field(default_factory=set[int])
    held: list[list[Held]] = field(default_factory=list[list[Held]])


@dataclass(slots=True)
class Claim:
    """A worker asks for runs.

    Attributes:
        slots: most that it takes.
        lease: seconds.
        known: numbers and tokens of runs that it has; given when an earlier claim may have succeeded without an answer,
            so that its runs are taken up.
        projects: ids of those whose runs are taken; empty for all.
        last: True for runs whose last attempt it is after workers have died with them, False for all others, None for
            both.
    """

    worker: WorkerRecord
    slots: int
    lease: float
    known: Mapping[int, int] | None = None
    projects: frozenset[str] = frozenset()
    last: bool | None = None

    def wants(self, group: tuple[str, str]) -> bool:
        """Whether runs of a project and provider are taken."""
        return not self.projects or group[0] in self.projects


@dataclass(slots=True)
class Claimed:
    """What a worker got.

    Attributes:
        wait: seconds until more may be had although nothing happens: a limit that refills, a run that is due. None
            where only an event can change anything.
        waiting: whether any run was in the queue.
    """

    runs: list[ClaimedRun] = field(default_factory=list[ClaimedRun])
    wait: float | None = None
    waiting: bool = False


class StoreDriver(Protocol):
    """A database on the path of each run, through its raw driver. Used on the store's own loop, by one at a time."""

    async def write(self, changes: Sequence[Change], pulses: Sequence[Pulse], *, again: bool) -> BatchResult:
        """Write all of these in one transaction, except for runs that are lost.

        Args:
            again: the same batch may have been committed before, without an answer.
        """
        ...

    async def claim(self, claim: Claim) -> Claimed:
        """Take runs from the queue, in one transaction."""
        ...

    async def close(self) -> None:
        """Give the connection back."""
        ...


def recorded(change: Change, token: int, status: str) -> bool:
    """Whether a change that may have been committed before was: the run has not been claimed since, and is over."""
    if change.back:
        return token == change.token + 1
    return token == change.token and status in OVER


def end_values(end: RunEnd) -> tuple[Any, ...]:
    """The columns of ``runs`` that say how a run ended, in the order of the statements."""
    return (
        end.status.value,
        end.outcome,
        end.score,
        end.reason,
        end.error,
        end.output,
        end.details,
        end.cost,
        end.tokens,
    )


def claimed_run(row: Sequence[Any]) -> ClaimedRun:
    """A run as its worker gets it, from the columns of the statements."""
    run_id, number, token, attempts, project, execution, name, snapshot, case, thread, journal_from = row
    return ClaimedRun(
        id=run_id,
        number=number,
        token=token,
        attempts=attempts,
        project_id=project,
        execution_id=execution,
        execution=name or "",
        snapshot=snapshot,
        case=decoded_case(from_json(case)),
        thread_id=thread,
        journal_from=journal_from,
    )
