"""What work is, where it comes from, who does it and where its results go: ports that any engine can fill."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Literal, Protocol, TypeVar

from duologue.frozen import frozen
from duologue.journal.events import ErrorInfo
from duologue.runs.distributed.worker_scope import WorkerScope

WorkerStatus = Literal["online", "offline", "busy"]
"""``online``: it takes units; ``busy``: all its slots are taken; ``offline``: it has ended or is about to."""

Filter = Callable[["WorkResult"], bool]
"""Which results a subscriber wants."""

Config_contra = TypeVar("Config_contra", contravariant=True)
"""What a source makes units of."""


@frozen
class WorkUnit:
    """Something to be done once, by whichever worker has room for it.

    Attributes:
        id: unique within an execution.
        execute: does it. For workers that are other processes, it has to be something that ``pickle`` can send: a
            function of a module, or an object of a class of a module that can be called.
        dependencies: ids of units that must have come to their end first, whether they succeeded or not.
        priority: a unit with a higher one begins earlier.
        estimated_duration: seconds that it probably takes; of units with the same priority the longest begins first, so
            that none is left over at the end. None where nothing is known.
    """

    id: str
    execute: Callable[[WorkerScope], Awaitable[WorkResult]]
    dependencies: tuple[str, ...] = ()
    priority: int = 0
    estimated_duration: float | None = None


@frozen
class WorkResult:
    """What a unit came to.

    Attributes:
        work_unit_id: of which unit.
        success: whether it did what it was to do.
        data: what it gives back. Between processes, it has to be something that ``pickle`` can send.
        error: why it did not succeed; None if it did.
        metadata: what else is known, such as ``worker`` and ``seconds``; ``cancelled`` for a unit that was cancelled,
            ``poison`` for one whose workers died.
    """

    work_unit_id: str
    success: bool
    data: object = None
    error: ErrorInfo | None = None
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])


class WorkSource(Protocol[Config_contra]):
    """Makes units of work."""

    async def generate(self, config: Config_contra) -> Sequence[WorkUnit]:
        """All units.

        Raises:
            ConfigurationError: something that they need is not there.
        """
        ...

    def stream(self, config: Config_contra) -> AsyncIterator[WorkUnit]:
        """The same units one after the other, each made when it is asked for."""
        ...

    async def estimate_workload(self, config: Config_contra) -> int:
        """How many units there are, without making them."""
        ...


class ResultSink(Protocol):
    """Keeps results, each unit's once."""

    async def store(self, result: WorkResult) -> None:
        """Keep a result. If the unit has one already, that one stays: an engine may do a unit twice.

        Raises:
            ResultsError: it cannot be kept.
        """
        ...

    async def retrieve(self, work_unit_id: str) -> WorkResult | None:
        """The result of a unit; None if it has none yet."""
        ...

    async def query(self, criteria: Mapping[str, object]) -> Sequence[WorkResult]:
        """The results for which all this holds, in the order in which they came.

        Args:
            criteria: by the name of a field of :class:`WorkResult`, or of an entry of its metadata, the value that it
                has. An empty mapping means all results.
        """
        ...

    def subscribe(self, filter: Filter | None = None) -> AsyncIterator[WorkResult]:
        """Results as they come from now on, until the sink is closed.

        Args:
            filter: which of them; None for all.
        """
        ...


@frozen
class WorkerInfo:
    """A worker, as it is known where the work is given out.

    Attributes:
        id: unique within an executor.
        status: whether it takes units.
        capacity: units that it does at once.
        current: ids of those that it is doing.
        last_seen: when it was last heard of, with a time zone; None for one that has not said anything yet.
        metadata: what else is known, such as ``pid`` or ``address``.
    """

    id: str
    status: WorkerStatus
    capacity: int
    current: tuple[str, ...] = ()
    last_seen: datetime | None = None
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])


@frozen
class ExecutionStatus:
    """How far an execution is.

    Attributes:
        total: units that are known; of a stream, those that have come so far.
        completed: units that succeeded.
        running: units that are being done.
        failed: units that came to their end without success.
        start_time: when the first of them could begin, with a time zone; None before that.
        duration: seconds since then, or until the end.
        workers: who does them.
    """

    total: int = 0
    completed: int = 0
    running: int = 0
    failed: int = 0
    start_time: datetime | None = None
    duration: float = 0.0
    workers: tuple[WorkerInfo, ...] = ()


class DistributedExecutor(Protocol):
    """Does units of work on some workers, which live as long as its ``async with`` block."""

    async def execute(self, units: Iterable[WorkUnit] | AsyncIterable[WorkUnit]) -> Sequence[WorkResult]:
        """Do all units.

        An error of a unit is its result and stops no other. A worker that is lost costs the units that it was doing,
        which are done again elsewhere. Cancelling this call cancels the units under way.

        Args:
            units: what is to be done.

        Returns:
            The results in the order of the units; none for units that were not begun because of :meth:`stop`. Where the
            executor has a sink, that has their data, and the results here have none.

        Raises:
            ConfigurationError: two units have the same id, or some wait for each other or for one that is not there.
            ExecutorError: there are no workers.
        """
        ...

    def stop(self) -> None:
        """Begin no further unit; :meth:`execute` returns once those under way have come to their end."""
        ...

    def status(self) -> ExecutionStatus:
        """How far the execution is, or the last one came."""
        ...

    def workers(self) -> Sequence[WorkerInfo]:
        """All workers."""
        ...

    async def scale(self, workers: int) -> None:
        """Have this many workers from now on. Workers that are too many finish what they are doing.

        Raises:
            ConfigurationError: that cannot be, or the workers belong to somebody else.
        """
        ...
