"""Tracing that is on for one test, with everything that it would export at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from duologue.tracing.setup import Tracing, setup_scenario_tracing


@dataclass(frozen=True)
class Traced:
    tracing: Tracing
    memory: InMemorySpanExporter

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.memory.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span

    def path(self, span: ReadableSpan) -> list[str]:
        """The names from the root down to this span."""
        known = {other.context.span_id: other for other in self.spans}
        names = [span.name]
        while span.parent is not None:
            span = known[span.parent.span_id]
            names.append(span.name)
        return names[::-1]


@pytest.fixture
def traced() -> Iterator[Traced]:
    memory = InMemorySpanExporter()
    tracing = setup_scenario_tracing(span_processors=[SimpleSpanProcessor(memory)])
    yield Traced(tracing, memory)
    tracing.close()
