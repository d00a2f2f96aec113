"""Server-sent events: what they look like, and the answer that sends them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from duologue.config.placed_json import refused
from duologue.server.events.feed import Listener, Place

logger = logging.getLogger("duologue.server")

MEDIA_TYPE = "text/event-stream"
RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser comes back."""
SLOWEST = 30.0
"""Seconds that a listener may take to receive something; then its connection is given up, and it may come back."""
_NUMBER = re.compile(r"[0-9]{1,18}")


def sse_event(kind: str, data: bytes, id_: str | None = None) -> bytes:
    """An event. The data are JSON, which has no line breaks."""
    named = f"id: {id_}\n" if id_ is not None else ""
    return f"{named}event: {kind}\ndata: ".encode() + data + b"\n\n"


def sse_data(kind: str, data: Mapping[str, object], id_: str | None = None) -> bytes:
    """The same for data that are not encoded."""
    return sse_event(kind, to_json(data, inf_nan_mode="null"), id_)


def place_after(request: Request, after: str | None, parts: int) -> Place | None:
    """The place of the last event that a listener knows.

    Args:
        request: whose ``Last-Event-ID`` counts more: whoever comes back by itself uses the same address again.
        after: the parameter; None if it was not given.
        parts: of which an id consists, such as ``3.17``.

    Raises:
        SuiteError: it is no id.
    """
    sent = request.headers.get("last-event-id")
    given, name = (sent, "Last-Event-ID") if sent else (after, "after")
    if not given:
        return None
    found = given.split(".")
    if len(found) != parts or not all(_NUMBER.fullmatch(part) for part in found):
        raise refused(name, f"found {given[:40]!r}; expected the id of an event, such as {'.'.join('12'[:parts])}")
    return tuple(int(part) for part in found)


class EventStream(Response):
    """Sends what a listener gets, until there is nothing more, or nobody receives it.

    Args:
        listener: who has been prepared.
        holds: whether the token of the listener is still valid; the stream ends once it is not.
    """

    media_type = MEDIA_TYPE

    def __init__(self, listener: Listener, holds: Callable[[], Awaitable[bool]]) -> None:
        self._listener, self._holds = listener, holds
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the base class."""
        listener = self._listener
        watching = asyncio.create_task(self._watch(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            part: bytes | None = RETRY
            while part is not None:
                async with asyncio.timeout(SLOWEST):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                part = await listener.next()
                if part is not None and not await self._holds():
                    part = None
            async with asyncio.timeout(SLOWEST):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:  # an answer without an end closes its connection
            logger.warning("a listener that received nothing for %g s was given up; it may come back", SLOWEST)
        finally:
            listener.leave()
            watching.cancel()

    async def _watch(self, receive: Receive) -> None:
        """Notice that whoever listened has gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._listener.leave()
