"""Takes in the spans of agents that run in other processes: OTLP over HTTP, on this machine only.

An agent that is called with a ``traceparent`` header puts its spans into the run's trace. If it exports them to this
receiver, they stand beside those of this process, and a judge can read them. Spans of other traces are dropped.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from http.server import ThreadingHTTPServer
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import quote

from duologue.errors import ConfigurationError, MissingExtraError
from duologue.secret_values import remember
from duologue.tracing.setup import current_tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from duologue.tracing.collector import SpanRecord

MAX_BODY = 8 * 1024 * 1024
"""Bytes of one request, unpacked."""
MAX_SPANS = 10_000
"""Spans of one request; exporters send 512 unless they are told otherwise."""
MAX_CONNECTIONS = 64
SECONDS = 10.0
"""That a request may take to arrive, and that a connection may be silent."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
"""What may stand after ``Bearer`` (RFC 6750, section 2.1)."""


class SpanKeeper(Protocol):
    """Where spans go: a :class:`~duologue.tracing.collector.SpanCollector`."""

    def keep(self, trace_id: int, make: Callable[[], SpanRecord]) -> bool:
        """Keep a finished span of that trace; False if it is not wanted."""
        ...


class OtlpReceiver:
    """A server on loopback that collects agents' spans while it is entered.

        with duologue.OtlpReceiver() as receiver:
            start_my_agent(env=receiver.environment)
            await duologue.run(...)

    Exporters send in batches, five seconds apart by default: an agent whose last spans the judge should see flushes its
    exporter before it answers.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        collector: SpanKeeper | None = None,
        max_body: int = MAX_BODY,
        max_spans: int = MAX_SPANS,
        max_connections: int = MAX_CONNECTIONS,
        token: str | None = None,
        timeout: float = SECONDS,
    ) -> None:
        """Say where to listen; nothing is opened yet.

        Args:
            host: a loopback address.
            port: 0 for a free one.
            collector: where spans go; None for that of the tracing that is on when they arrive.
            max_body: bytes that one request may have, unpacked.
            max_spans: that one request may have.
            max_connections: at the same time; more are turned away, unless a request has been on its way for more than
                a second: then its place is taken.
            token: that each request has to show as ``Authorization: Bearer …``, so that no other user of this machine
                sends spans; None to ask for none. :attr:`environment` has it.
            timeout: seconds that a request may take to arrive.

        Raises:
            ConfigurationError: the host is no loopback address, or the token or the timeout cannot be used.
            MissingExtraError: OpenTelemetry's protocol package is not installed.
        """
        if not _is_loopback(host):
            raise ConfigurationError(f"host is {host!r}; expected a loopback address such as 127.0.0.1")
        if not _installed("google.protobuf") or not _installed("opentelemetry.proto"):
            raise MissingExtraError("the receiver of spans", "otel", "opentelemetry-proto")
        self._address = (host, port)
        if token is not None and not _TOKEN.fullmatch(token):
            raise ConfigurationError("token: expected letters, digits and -._~+/= only, and at least one of them")
        if not timeout > 0:
            raise ConfigurationError(f"timeout must be more than 0 seconds; found {timeout}")
        remember(token)
        self._collector = collector
        self.max_body = max_body
        self.max_spans = max_spans
        self.max_connections = max_connections
        self._token = token
        self._seconds = timeout
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it listens. Raises ConfigurationError outside ``with``."""
        if self._server is None:
            raise ConfigurationError("the receiver listens only inside 'with receiver:'")
        return self._server.server_address[1]

    @property
    def endpoint(self) -> str:
        """The base URL, for ``OTEL_EXPORTER_OTLP_ENDPOINT``; spans are sent to ``/v1/traces`` below it."""
        host = self._address[0]
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the agent's process; OpenTelemetry's exporters obey them."""
        found = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        if self._token is not None:
            found["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization={quote(f'Bearer {self._token}', safe='')}"
        return found

    def __enter__(self) -> Self:
        from duologue.tracing.otlp import OtlpLimits, OtlpServer

        limits = OtlpLimits(
            body=self.max_body,
            spans=self.max_spans,
            connections=self.max_connections,
            seconds=self._seconds,
            token=self._token,
        )
        self._server = OtlpServer(self._address, self.keep, limits)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="duologue-otlp", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.shutdown()
            server.server_close()
            thread.join()

    def keep(self, spans: list[tuple[int, SpanRecord]]) -> int:
        """Hand spans to the collector; returns how many it did not want."""
        tracing = current_tracing()
        collector = self._collector or (tracing.collector if tracing else None)
        if collector is None:
            return len(spans)
        return sum(not collector.keep(trace_id, lambda record=record: record) for trace_id, record in spans)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
