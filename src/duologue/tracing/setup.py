"""Turn tracing on, once per process. Spans are exported only to where you say."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from duologue.conversation.observers import Instrument, install, installed
from duologue.conversation.traced import trace_source
from duologue.errors import ConfigurationError, MissingExtraError
from duologue.settings import ScenarioConfig
from duologue.tracing.attributes import SCOPE
from duologue.tracing.collector import SpanCollector, SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from duologue.tracing.processors import Switched

logger = logging.getLogger("duologue.tracing")

SpanFilter = Callable[["ReadableSpan"], bool]
"""Whether a finished span is exported."""

_OPTIONS = ("span_filter", "span_processors", "trace_exporter", "instrumentors")


class Instrumentor(Protocol):
    """Something that traces a library, such as those of the ``opentelemetry-instrumentation-…`` packages."""

    def instrument(self, **kwargs: Any) -> object:
        """Begin; ``tracer_provider`` says where spans go."""
        ...


class Tracing:
    """Tracing that is on.

    Attributes:
        collector: the spans of agents in the runs that are going on.
        provider: the process's tracer provider.
    """

    def __init__(
        self, provider: TracerProvider, collector: SpanCollector, processor: Switched, options: dict[str, Any]
    ) -> None:
        self.provider, self.collector = provider, collector
        self._processor, self._options = processor, options

    def flush(self, seconds: float = 30.0) -> bool:
        """Export what has not been exported yet; False if that takes longer."""
        return self._processor.force_flush(int(seconds * 1000))

    def close(self) -> None:
        """Export what is left and turn tracing off; it can be set up again after that."""
        global _current  # noqa: PLW0603 - one tracing per process
        with _lock:
            if _current is self:
                _current = None
                install(None)
                trace_source(None)
        self._processor.shutdown()

    def has(self, options: dict[str, Any]) -> bool:
        """Whether this is what these options ask for."""
        return not options or options == self._options


class _ForJudges:
    """Collects what agents trace in runs whose judge reads it, where nobody has set tracing up."""

    def __init__(self, provider: TracerProvider) -> None:
        from duologue.tracing.processors import Collecting, Switched
        from duologue.tracing.run_trace import RunTrace

        self.provider, self.collector = provider, SpanCollector()
        provider.add_span_processor(Switched([Collecting(self.collector)]))
        self.instrument = partial(RunTrace, provider.get_tracer(SCOPE), self.collector)


_current: Tracing | None = None
_for_judges: _ForJudges | None = None
_lock = threading.Lock()


def setup_scenario_tracing(
    *,
    span_filter: SpanFilter | None = None,
    span_processors: Sequence[SpanProcessor] | None = None,
    trace_exporter: SpanExporter | None = None,
    instrumentors: Sequence[Instrumentor] | None = None,
) -> Tracing:
    """Trace every run that begins from now on. The first call in a process counts; later ones change nothing.

    A tracer provider that the process has already is used, and keeps its own processors; otherwise one is made and
    becomes the process's. Without ``span_processors`` and ``trace_exporter`` nothing leaves the process: spans are
    collected for judges only.

    Args:
        span_filter: which spans the processors and the exporter are given, such as :func:`scenario_only`; None for all.
        span_processors: told of spans as they begin and end.
        trace_exporter: given spans in batches, in the background.
        instrumentors: have their ``instrument(tracer_provider=…)`` called.

    Returns:
        The tracing that is on, to flush or close it.

    Raises:
        MissingExtraError: the OpenTelemetry SDK is not installed.
        ConfigurationError: the process's tracer provider takes no processors.
    """
    given = (span_filter, span_processors, trace_exporter, instrumentors)
    options = {name: value for name, value in zip(_OPTIONS, given, strict=True) if value is not None}
    global _current  # noqa: PLW0603 - one tracing per process
    with _lock:
        if _current is None:
            _current = _set_up(options)
        elif not _current.has(options):
            logger.warning("tracing is on already; other options than those of the first call are not used")
        return _current


def setup_from(observability: Mapping[str, Any]) -> Tracing:
    """Trace with the options of ``ScenarioConfig.observability``, which are those of :func:`setup_scenario_tracing`.

    Raises:
        ConfigurationError: there is an option that is not known.
    """
    unknown = sorted(set(observability) - set(_OPTIONS))
    if unknown:
        raise ConfigurationError(f"observability: unknown option {', '.join(unknown)}; expected {', '.join(_OPTIONS)}")
    return setup_scenario_tracing(**observability)


def scenario_only(span: ReadableSpan) -> bool:
    """Whether Duologue itself made the span: a filter for ``setup_scenario_tracing(span_filter=…)``."""
    return _scope(span) == SCOPE


def with_custom_scopes(*scopes: str) -> SpanFilter:
    """A filter for Duologue's own spans and those of these instrumentation scopes, such as ``"my_agent"``."""
    wanted = frozenset((SCOPE, *scopes))
    return lambda span: _scope(span) in wanted


def current_tracing() -> Tracing | None:
    """The tracing that is on, or None."""
    return _current


def tracing_is_asked_for() -> bool:
    """Whether tracing is on, or the configuration turns it on with the first run."""
    config = ScenarioConfig.default_config
    return _current is not None or (config is not None and config.observability is not None)


class ProcessSpans:
    """The spans that are collected in this process, for ``JudgeAgent(span_collector=…)``."""

    def spans(self, thread_id: str) -> list[SpanRecord]:
        """What the agent under test has done so far in the run with that thread id or run id."""
        found = _current.collector.spans(thread_id) if _current else []
        return found or (_for_judges.collector.spans(thread_id) if _for_judges else [])


judge_span_collector = ProcessSpans()
"""Give it to ``JudgeAgent(span_collector=…)`` before or after tracing is set up."""


def spans_of(run: str) -> list[SpanRecord]:
    """What the agent under test has done so far in a run that is going on, by its run id or thread id."""
    return judge_span_collector.spans(run)


def instrument_for_judges() -> Instrument | None:
    """Watches a run whose judge reads what the agent traces; None where nothing in this process can trace.

    That is so until something has imported OpenTelemetry, and without its SDK. A provider that the process has already
    is used; otherwise one is made. Nothing leaves the process through it.
    """
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    global _for_judges  # noqa: PLW0603 - one collector per process
    with _lock:
        if _for_judges is None or trace.get_tracer_provider() is not _for_judges.provider:
            try:
                _require_sdk()
                _for_judges = _ForJudges(_provider())
            except ConfigurationError:
                return None
        if _current is None:
            trace_source(_for_judges.collector.spans)
        return _for_judges.instrument


def outgoing_headers() -> dict[str, str]:
    """What a request carries so that the agent's spans join the run's trace, ``traceparent``; {} if tracing is off."""
    if not installed():
        return {}
    from opentelemetry import propagate

    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def _set_up(options: dict[str, Any]) -> Tracing:
    _require_sdk()
    from duologue.tracing.processors import Collecting, Switched
    from duologue.tracing.run_trace import RunTrace

    provider, collector = _provider(), SpanCollector()
    processor = Switched([Collecting(collector), *_processors(options)])
    for instrumentor in options.get("instrumentors", ()):
        instrumentor.instrument(tracer_provider=provider)
    provider.add_span_processor(processor)
    install(partial(RunTrace, provider.get_tracer(SCOPE), collector))
    trace_source(collector.spans)
    return Tracing(provider, collector, processor, options)


def _require_sdk() -> None:
    try:
        found = find_spec("opentelemetry.sdk.trace")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise MissingExtraError("tracing", "otel", "opentelemetry-sdk")


def _processors(options: dict[str, Any]) -> list[SpanProcessor]:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from duologue.tracing.processors import Filtered

    processors = list(options.get("span_processors", ()))
    if exporter := options.get("trace_exporter"):
        processors.append(BatchSpanProcessor(exporter))
    wanted = options.get("span_filter")
    return [Filtered(processor, wanted) for processor in processors] if wanted else processors


def _provider() -> TracerProvider:
    """The process's tracer provider; one of our own becomes it if there is none."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider

    found = trace.get_tracer_provider()
    if isinstance(found, trace.ProxyTracerProvider):
        named = Resource.create()
        if str(named.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            named = named.merge(Resource({SERVICE_NAME: SCOPE}))
        trace.set_tracer_provider(TracerProvider(resource=named))
        found = trace.get_tracer_provider()
    if isinstance(found, TracerProvider):
        return found
    raise ConfigurationError(
        f"the tracer provider of this process is a {type(found).__name__}, which takes no span processors; expected "
        "opentelemetry.sdk.trace.TracerProvider"
    )


def _scope(span: ReadableSpan) -> str | None:
    return span.instrumentation_scope.name if span.instrumentation_scope else None
