"""What a worker measures, through OpenTelemetry's API. Without an SDK in the program nothing is counted, at no cost.

========================================  =========  ===================================================
``duologue.runs.queued``                  gauge      runs that wait, as of the last look
``duologue.runs.active``                  gauge      runs that this worker carries out
``duologue.runs.claimed``                 counter    runs that were claimed
``duologue.runs.finished``                counter    runs that are over, by ``outcome``
``duologue.runs.released``                counter    runs that were given back
``duologue.runs.leases.lost``             counter    runs that others took over
``duologue.runs.duration``                histogram  seconds from claim to result, by ``outcome``
``duologue.runs.database.failures``        counter    what the database refused or could not do
========================================  =========  ===================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

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
        self.duration = meter.create_histogram("duologue.runs.duration", "s", "From claim to result.")
        meter.create_observable_gauge("duologue.runs.queued", [self._queued], "{run}", "Runs that wait.")
        meter.create_observable_gauge("duologue.runs.active", [self._running], "{run}", "Runs under way.")

    def close(self) -> None:
        """The worker has stopped: nothing of it is observed any more."""
        self._active, self.queued = None, None

    def _queued(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.queued is not None:
            yield Observation(self.queued)

    def _running(self, _: CallbackOptions) -> Iterable[Observation]:
        if self._active is not None:
            yield Observation(self._active(), self._worker)
