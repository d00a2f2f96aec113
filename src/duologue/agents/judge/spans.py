"""What an agent's traces tell a judge. Where they come from is the business of whoever implements ``TraceSource``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from duologue.agents.judge.transcript import Entry, compact, quoted
from duologue.tracing.records import SpanRecord

ID_LENGTH = 8
"""Characters of a span's id that a judge is shown and may cite."""


@runtime_checkable
class TraceSource(Protocol):
    """Where the spans of a conversation can be had."""

    def spans(self, thread_id: str) -> Sequence[SpanRecord]:
        """The spans of that conversation so far, in any order. Must not block."""
        ...


def span_entries(spans: Sequence[SpanRecord]) -> list[Entry]:
    """The spans as a tree: parents before their children, siblings by start, children indented."""
    return [_entry(span, depth) for span, depth in _tree(spans)]


def _tree(spans: Sequence[SpanRecord]) -> Iterator[tuple[SpanRecord, int]]:
    known = {span.span_id for span in spans}
    children: dict[str | None, list[SpanRecord]] = {}
    for span in sorted(spans, key=lambda span: span.start, reverse=True):
        children.setdefault(span.parent_id if span.parent_id in known else None, []).append(span)
    waiting = [(span, 0) for span in children.get(None, [])]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting.extend((child, depth + 1) for child in children.pop(span.span_id, []))


def _entry(span: SpanRecord, depth: int) -> Entry:
    error = f" ERROR: {quoted(span.error)}" if span.error else ""
    head = f"{'  ' * depth}span {quoted(span.name)} ({span.seconds:.3g} s){error}"
    attributes = f" {compact(span.attributes)}" if span.attributes else ""
    return Entry(id=span.span_id[:ID_LENGTH], head=head, lines=(attributes,))
