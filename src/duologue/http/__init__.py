"""HTTP for everything in Duologue that calls another service.

One client per event loop, a deadline for the whole exchange, bodies of bounded size, server-sent events, and a guard
that keeps URLs typed by other people out of the network that Duologue runs in. What a status or a body means is up to
the caller.

Importing this package does not import ``httpx``; the first request does.
"""

from __future__ import annotations

from duologue.http._addresses import (
    ForbiddenAddressError,
    check_headers,
    is_public,
    parse_url,
    port_of,
    public_address,
    shown_url,
    to_public_address,
    written_url,
)
from duologue.http._bounded import MAX_BODY_BYTES, Limits, bound, failure_in
from duologue.http._errors import (
    BrokenResponseError,
    HttpError,
    HttpTimeoutError,
    NoResponseError,
    ResponseRefusedError,
    ResponseTooLargeError,
)
from duologue.http._exchange import HttpClients, HttpRequest, HttpResponse, ServerSentEvent
from duologue.http._loops import PerLoop
from duologue.http._retry_after import retry_after

__all__ = [
    "MAX_BODY_BYTES",
    "BrokenResponseError",
    "ForbiddenAddressError",
    "HttpClients",
    "HttpError",
    "HttpRequest",
    "HttpResponse",
    "HttpTimeoutError",
    "Limits",
    "NoResponseError",
    "PerLoop",
    "ResponseRefusedError",
    "ResponseTooLargeError",
    "ServerSentEvent",
    "bound",
    "check_headers",
    "failure_in",
    "is_public",
    "parse_url",
    "port_of",
    "public_address",
    "retry_after",
    "shown_url",
    "to_public_address",
    "written_url",
]
