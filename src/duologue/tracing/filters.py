"""Which spans are exported: for processes in which more is traced than rehearsals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from duologue.tracing.names import SCOPE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SpanFilter = Callable[["ReadableSpan"], bool]
"""Whether a finished span is exported."""


def scenario_only(span: ReadableSpan) -> bool:
    """Whether Duologue itself made the span: a filter for ``setup_scenario_tracing(span_filter=…)``."""
    return _scope(span) == SCOPE


def with_custom_scopes(*scopes: str) -> SpanFilter:
    """A filter for Duologue's own spans and those of these instrumentation scopes, such as ``"my_agent"``."""
    wanted = frozenset((SCOPE, *scopes))
    return lambda span: _scope(span) in wanted


def _scope(span: ReadableSpan) -> str | None:
    return span.instrumentation_scope.name if span.instrumentation_scope else None
