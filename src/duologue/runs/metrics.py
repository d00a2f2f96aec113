"""What a worker measures, through OpenTelemetry's API. Without an SDK in the program nothing is counted, at no cost.

========================================  =========  ===================================================
``duologue.runs.queued``                  gauge      runs that wait, as of the last look
``duologue.runs.active``                  gauge      runs that this worker carries out
``duologue.runs.claimed``                 counter    runs that were claimed
``duologue.runs.finished``                counter    runs that are over, by ``outcome``
``duologue.runs.released``                counter    runs that were given back
``duologue.runs.leases.lost``             counter    runs that others took over
``duologue.runs.duration``                histogram  seconds from claim to result, by ``outcome``
``duologue.runs.database.failures``       counter    what the database refused or could not do
``duologue.runs.flush.duration``          histogram  seconds of a transaction with events, heartbeats and ends
``duologue.runs.flush.size``              histogram  how many of these it has
========================================  =========  ===================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Observation, get_meter, get_meter_provider

from duologue.version import __version__

METER = "duologue.runs"


class RunMetrics:
    """The instruments of one worker.

    Args:
        worker: its id, an attribute of the gauges.
        active: how many runs it carries out now.
    """

    def __init__(self, worker: str, active: Callable[[], int]) -> None:
        meter = get_meter(METER, __version__)
        self.queued: int | None = None
        self._worker = {"worker": worker}
        self._active: Callable[[], int] | None = active
        self.claimed = meter.create_counter("duologue.runs.claimed", "{run}", "Runs that were claimed.")
        self.finished = meter.create_counter("duologue.runs.finished", "{run}", "Runs that are over.")
        self.released = meter.create_counter("duologue.runs.released", "{run}", "Runs that were given back.")
        self.lost = meter.create_counter("duologue.runs.leases.lost", "{run}", "Runs that other workers took over.")
        self.failures = meter.create_counter(
            "duologue.runs.database.failures", "{failure}", "Failures of the database."
        )
        self._flushes = meter.create_histogram("duologue.runs.flush.duration", "s", "One transaction of the writer.")
        self._sizes = meter.create_histogram("duologue.runs.flush.size", "{change}", "Changes in one transaction.")
        self.duration = meter.create_histogram("duologue.runs.duration", "s", "From claim to result.")
        meter.create_observable_gauge("duologue.runs.queued", [self._queued], "{run}", "Runs that wait.")
        meter.create_observable_gauge("duologue.runs.active", [self._running], "{run}", "Runs under way.")

    @property
    def observed(self) -> bool:
        """Whether an SDK is set up, so that it is worth while to ask the database how long its queue is."""
        return not type(get_meter_provider()).__name__.startswith(("_Proxy", "NoOp"))

    def flushed(self, changes: int, seconds: float) -> None:
        """A transaction of the writer is committed."""
        self._flushes.record(seconds)
        self._sizes.record(changes)

    def close(self) -> None:
        """The worker has stopped: nothing of it is observed any more."""
        self._active, self.queued = None, None

    def _queued(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.queued is not None:
            yield Observation(self.queued)

    def _running(self, _: CallbackOptions) -> Iterable[Observation]:
        if self._active is not None:
            yield Observation(self._active(), self._worker)
