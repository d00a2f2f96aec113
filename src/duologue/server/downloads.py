"""Artifacts as downloads: whole or in part, and never as something that a browser executes."""

from __future__ import annotations

import re

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from duologue.journal.artifacts import INERT, UNKNOWN_TYPE, Artifact, ArtifactStore, suffix_of

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_PIECE = 64 * 1024


class ArtifactDownload(Response):
    """Sends the bytes of an artifact, or the part that the header ``Range`` asks for.

    Args:
        store: has it.
        artifact: which one.
        request: whose headers count.
    """

    def __init__(self, store: ArtifactStore, artifact: Artifact, request: Request) -> None:
        self._store, self._artifact = store, artifact
        tag = f'"{artifact.sha256}"'
        harmless = suffix_of(artifact.mime_type) != INERT
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, max-age=31536000, immutable",
            "Content-Disposition": f'attachment; filename="{artifact.name}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "ETag": tag,
            "X-Content-Type-Options": "nosniff",
        }
        status, self._first, self._last = 200, 0, artifact.size - 1
        known = request.headers.get("if-none-match", "")
        part = request.headers.get("range")
        if tag in {item.strip().removeprefix("W/") for item in known.split(",")}:
            status, self._last = 304, -1
        elif part is not None and request.headers.get("if-range", tag) == tag:
            status = self._take(part)
        if status == 206:
            headers["Content-Range"] = f"bytes {self._first}-{self._last}/{artifact.size}"
        elif status == 416:
            headers["Content-Range"] = f"bytes */{artifact.size}"
        if status != 304:
            headers["Content-Length"] = str(self._last - self._first + 1)
        super().__init__(None, status, headers, artifact.mime_type if harmless else UNKNOWN_TYPE)

    def _take(self, part: str) -> int:
        """The status for a ``Range``. Several ranges, and what is none, are answered with the whole."""
        found = _RANGE.fullmatch(part.strip())
        if found is None or found.groups() == ("", ""):
            return 200
        size, (first, last) = self._artifact.size, found.groups()
        if not first:  # the end of it
            self._first = max(0, size - int(last))
            outside = int(last) == 0 or size == 0
        else:
            self._first = int(first)
            self._last = min(int(last), size - 1) if last else size - 1
            if last and int(last) < int(first):
                self._first, self._last = 0, size - 1
                return 200
            outside = self._first >= size
        if outside:
            self._first, self._last = 0, -1
            return 416
        return 206

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the base class."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if self._last >= self._first and scope["method"] != "HEAD":
            await self._send(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        """Piece by piece; those before the part are read to find it."""
        place = 0
        async for piece in self._store.stream(self._artifact):
            wanted = piece[max(0, self._first - place) : max(0, self._last + 1 - place)]
            for first in range(0, len(wanted), _PIECE):
                body = wanted[first : first + _PIECE]
                await send({"type": "http.response.body", "body": body, "more_body": True})
            place += len(piece)
            if place > self._last:
                break
