"""What agents did in the runs that are going on: their spans, by trace, for as long as the run lasts.

One run is one trace. Beginning a run, keeping a span and forgetting a run each are a few dictionary operations, however
many runs and spans there are. Memory is bounded: spans beyond a budget of bytes, and spans of no run, are counted and
dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from duologue.tracing.records import SpanRecord

MAX_BYTES = 256 * 1024 * 1024
"""Kept by one collector."""
MAX_BYTES_PER_RUN = 8 * 1024 * 1024
_LINK_BYTES = 200
"""What it takes to remember a span's parent."""


@dataclass(kw_only=True)
class _Run:
    """A run that is going on.

    Attributes:
        names: its run id and thread id.
        spans: what the agent did, by span id: exporters that are not sure send a span twice.
        parents: of every span of the trace.
        calls: the spans of participants' calls, and whether the participant is the agent under test.
    """

    names: tuple[str, ...]
    spans: dict[str, SpanRecord] = field(default_factory=dict[str, SpanRecord])
    parents: dict[str, str | None] = field(default_factory=dict[str, str | None])
    calls: dict[str, bool] = field(default_factory=dict[str, bool])
    size: int = 0


class SpanCollector:
    """The spans of agents by run; a source of traces for ``JudgeAgent(span_collector=…)``. Threads may share it."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, max_bytes_per_run: int = MAX_BYTES_PER_RUN) -> None:
        self._max_bytes, self._max_bytes_per_run = max_bytes, max_bytes_per_run
        self._runs: dict[int, _Run] = {}
        self._traces: dict[str, int] = {}
        # Re-entrant, because runs are also forgotten by the garbage collector, which may run anywhere.
        self._lock = threading.RLock()
        self._size = 0
        self._dropped = 0

    def begin(self, trace_id: int, *names: str) -> None:
        """A run begins as that trace. It is asked for by these names: its run id, its thread id."""
        with self._lock:
            self._runs[trace_id] = _Run(names=names)
            self._traces.update(dict.fromkeys(names, trace_id))

    def end(self, trace_id: int) -> None:
        """Forget that run; harmless if it is forgotten already."""
        with self._lock:
            run = self._runs.pop(trace_id, None)
            if run is not None:
                self._size -= run.size
                for name in run.names:
                    self._traces.pop(name, None)

    def call(self, trace_id: int, span_id: str, *, of_agent: bool) -> None:
        """That span is a participant's call: what happens below it is the agent's doing, or not."""
        with self._lock:
            run = self._runs.get(trace_id)
            if run is not None and self._fits(run, _LINK_BYTES):
                run.calls[span_id] = of_agent

    def link(self, trace_id: int, span_id: str, parent_id: str | None) -> None:
        """A span was begun below that one."""
        with self._lock:
            run = self._runs.get(trace_id)
            if run is not None and span_id not in run.parents and self._fits(run, _LINK_BYTES):
                run.parents[span_id] = parent_id

    def keep(self, trace_id: int, make: Callable[[], SpanRecord]) -> bool:
        """Keep a finished span of that trace; False if it belongs to no run that is going on, or there is no room."""
        record = make() if trace_id in self._runs else None
        with self._lock:
            run = self._runs.get(trace_id)
            if record is not None and run is not None and record.span_id in run.spans:
                return True
            if record is None or run is None or not self._fits(run, record.size):
                self._dropped += 1
                return False
            run.spans[record.span_id] = record
            run.parents.setdefault(record.span_id, record.parent_id)
            return True

    def spans(self, thread_id: str) -> list[SpanRecord]:
        """What the agent under test has done so far in the run with that thread id or run id; [] for none."""
        with self._lock:
            trace_id = self._traces.get(thread_id)
            run = None if trace_id is None else self._runs.get(trace_id)
            if run is None:
                return []
            spans, parents, calls = list(run.spans.values()), dict(run.parents), dict(run.calls)
        return _of_the_agent(spans, parents, calls)

    @property
    def runs(self) -> int:
        """How many runs are going on."""
        return len(self._runs)

    @property
    def size(self) -> int:
        """About how many bytes are kept."""
        return self._size

    @property
    def dropped(self) -> int:
        """How many spans were not kept: they belonged to no run that was going on, or there was no room."""
        return self._dropped

    def _fits(self, run: _Run, size: int) -> bool:
        if run.size + size > self._max_bytes_per_run or self._size + size > self._max_bytes:
            return False
        run.size += size
        self._size += size
        return True


def _of_the_agent(spans: list[SpanRecord], parents: dict[str, str | None], calls: dict[str, bool]) -> list[SpanRecord]:
    """Those spans that are not known to be the simulated user's or the judge's; each step up is taken once."""
    known = dict(calls)
    return [span for span in spans if _verdict(span.span_id, parents, known)]


def _verdict(span_id: str, parents: dict[str, str | None], known: dict[str, bool]) -> bool:
    path: dict[str, None] = {}
    here: str | None = span_id
    while here is not None and here not in known and here not in path:
        path[here] = None
        here = parents.get(here)
    verdict = True if here is None else known.get(here, True)
    known.update(dict.fromkeys(path, verdict))
    return verdict
