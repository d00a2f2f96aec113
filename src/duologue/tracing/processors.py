"""What Duologue puts into a tracer provider: one processor, which can be taken out of use again. Needs the SDK."""

from __future__ import annotations

import logging
from collections.abc import Callable

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode, format_span_id

from duologue.tracing.attributes import SCOPE
from duologue.tracing.collector import SpanCollector, SpanRecord, cut, plain_attributes

logger = logging.getLogger("duologue.tracing")

_SECOND = 1_000_000_000


class Filtered(SpanProcessor):
    """Hands finished spans on to another processor if a filter wants them."""

    def __init__(self, inner: SpanProcessor, wanted: Callable[[ReadableSpan], bool]) -> None:
        self._inner, self._wanted = inner, wanted

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        if self._wanted(span):
            self._inner.on_end(span)

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._inner.force_flush(timeout_millis)


class Collecting(SpanProcessor):
    """Keeps the spans of this process that belong to runs."""

    def __init__(self, collector: SpanCollector) -> None:
        self._collector = collector

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        context, parent = span.get_span_context(), span.parent
        parent_id = format_span_id(parent.span_id) if parent else None
        self._collector.link(context.trace_id, format_span_id(context.span_id), parent_id)

    def on_end(self, span: ReadableSpan) -> None:
        context, scope = span.get_span_context(), span.instrumentation_scope
        if context is not None and not (scope and scope.name == SCOPE):
            self._collector.keep(context.trace_id, lambda: record_of(span))


class Switched(SpanProcessor):
    """Several processors until it is switched off, because a provider gives no processor back.

    A processor that raises is logged and left out from there on: looking on must not break what is looked at.
    """

    def __init__(self, processors: list[SpanProcessor]) -> None:
        self._processors = tuple(processors)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for processor in self._processors:
            self._guarded(processor, lambda processor=processor: processor.on_start(span, parent_context))

    def on_end(self, span: ReadableSpan) -> None:
        for processor in self._processors:
            self._guarded(processor, lambda processor=processor: processor.on_end(span))

    def shutdown(self) -> None:
        processors, self._processors = self._processors, ()
        for processor in processors:
            self._guarded(processor, processor.shutdown)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        done = [processor.force_flush(timeout_millis) for processor in self._processors]
        return all(done)

    def _guarded(self, processor: SpanProcessor, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:
            logger.exception("a span processor failed and is left out from here on")
            self._processors = tuple(item for item in self._processors if item is not processor)


def record_of(span: ReadableSpan) -> SpanRecord:
    """A finished span as plain data."""
    start, end = span.start_time or 0, span.end_time or span.start_time or 0
    failed = span.status.status_code is StatusCode.ERROR
    context = span.get_span_context()
    return SpanRecord(
        span_id=format_span_id(context.span_id) if context else "",
        parent_id=format_span_id(span.parent.span_id) if span.parent else None,
        name=cut(span.name),
        start=start / _SECOND,
        seconds=(end - start) / _SECOND,
        error=cut(span.status.description or "failed") if failed else None,
        attributes=plain_attributes(span.attributes),
    )
