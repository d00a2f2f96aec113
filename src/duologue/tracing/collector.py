"""What agents did in the runs that are going on: their spans, by trace, for as long as the run lasts.

One run is one trace. Beginning a run, keeping a span and forgetting a run each are a few dictionary operations, however
many runs and spans there are. Memory is bounded: spans beyond a budget of bytes, and spans of no run, are counted and
dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from duologue.frozen import frozen
from duologue.messages import JsonValue

MAX_BYTES = 256 * 1024 * 1024
"""Kept by one collector."""
MAX_BYTES_PER_RUN = 8 * 1024 * 1024
_LINK_BYTES = 200
"""What it takes to remember a span's parent."""
MAX_TEXT = 32_768
"""Characters that are kept of one text in an attribute."""
MAX_ITEMS = 256
"""Attributes, or items of one attribute, that are kept."""
MAX_DEPTH = 16
"""How deep values within values are kept."""


@frozen
class SpanRecord:
    """One finished operation inside the agent.

    Attributes:
        span_id, parent_id: hexadecimal; None for a span without a parent.
        name: of the operation.
        start: seconds since 1970.
        seconds: how long it took.
        error: why it failed; None if it did not.
        attributes: whatever was recorded with it: plain JSON data.
    """

    span_id: str
    parent_id: str | None = None
    name: str
    start: float = 0.0
    seconds: float = 0.0
    error: str | None = None
    attributes: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def size(self) -> int:
        """About how many bytes it takes to keep."""
        return 400 + len(self.name) + len(self.error or "") + _size(self.attributes)


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

    def is_within(self, trace_id: int, span_id: str, ancestor: str) -> bool:
        """Whether a span was begun below another one, or is that one."""
        with self._lock:
            run = self._runs.get(trace_id)
            parents = run.parents if run is not None else {}
            here: str | None = span_id
            seen: set[str] = set()
            while here is not None and here not in seen:
                if here == ancestor:
                    return True
                seen.add(here)
                here = parents.get(here)
        return False

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


def plain_attributes(attributes: Mapping[str, object] | None) -> dict[str, JsonValue]:
    """The attributes of a span as JSON data, long texts and lists cut."""
    return {cut(name): plain_value(value) for name, value in islice((attributes or {}).items(), MAX_ITEMS)}


def plain_value(value: object, depth: int = 0) -> JsonValue:
    """A value of an attribute as JSON data."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return _container(cast("Mapping[object, object] | Sequence[object]", value), depth)
    return cut(str(value))


def _container(value: Mapping[object, object] | Sequence[object], depth: int) -> JsonValue:
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {cut(str(key)): plain_value(item, depth + 1) for key, item in islice(value.items(), MAX_ITEMS)}
    return [plain_value(part, depth + 1) for part in islice(value, MAX_ITEMS)]


def cut(text: str) -> str:
    """A text of at most ``MAX_TEXT`` characters."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _size(value: JsonValue) -> int:
    if isinstance(value, str):
        return 50 + len(value)
    if isinstance(value, dict):
        items = cast("dict[str, JsonValue]", value)
        return 50 + sum(len(name) + _size(item) for name, item in items.items())
    return 50 + sum(map(_size, cast("list[JsonValue]", value))) if isinstance(value, list) else 30
