"""Requests that make something, sent twice: with an ``Idempotency-Key`` the second answers what the first has answered.

Whoever has lost an answer sends the same request again, with the same key, and nothing is made twice. Answers are kept
for a day. Requests that were refused are not kept: what was wrong may have been put right.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from hashlib import sha256
from typing import Any, cast

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from duologue.config.placed_json import refused
from duologue.frozen import frozen
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.schema import idempotency
from duologue.server.auth import authenticated

HEADER = "idempotency-key"
KEPT_FOR = 24 * 3600.0
"""Seconds that an answer is kept."""
GIVEN_UP_AFTER = 120.0
"""Seconds after which a request of which no answer is known may be tried again."""
_LONGEST = 200
_KEPT_HEADERS = ("content-type", "etag", "location")


def routes(tag: str) -> APIRouter:
    """Routes of one group of resources."""
    return APIRouter(prefix="/api/v1", tags=[tag], route_class=ServiceRoute)


class ServiceRoute(APIRoute):
    """A route whose ``POST`` takes an ``Idempotency-Key``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See the base class."""
        handler = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return handler

        async def once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            return await handler(request) if key is None else await _once(request, key, handler)

        return once


@frozen
class _Kept:
    """The answer to an earlier request. Without a status, the request is at work."""

    request: str
    status: int | None
    headers: Mapping[str, str]
    body: bytes


async def _once(request: Request, key: str, handler: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    if not key.strip() or len(key) > _LONGEST or not key.isprintable():
        raise refused("Idempotency-Key", f"expected 1 to {_LONGEST} characters")
    caller = await authenticated(request)
    database = caller.state.database
    answers = _Answers(database, caller.key, key)
    digest = await _digest_of(request)
    kept = await answers.reserve(digest)
    if kept is not None:
        return _again(kept, digest)
    try:
        response = await handler(request)
    except BaseException:
        await answers.forget()
        raise
    if 200 <= response.status_code < 300 and hasattr(response, "body"):
        await answers.keep(response)
    else:
        await answers.forget()
    return response


def _again(kept: _Kept, digest: str) -> Response:
    """Answer as before.

    Raises:
        SuiteError: the key belongs to another request.
        HTTPException: the first request is at work.
    """
    if kept.request != digest:
        raise refused("Idempotency-Key", "it was used for another request; use a new one for each request")
    if kept.status is None:
        raise HTTPException(409, "a request with this Idempotency-Key is at work", headers={"Retry-After": "1"})
    return Response(kept.body, kept.status, headers={**kept.headers, "Idempotency-Replayed": "true"})


async def _digest_of(request: Request) -> str:
    digest = sha256()
    for part in (request.method.encode(), request.url.path.encode(), request.url.query.encode(), await request.body()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


class _Answers:
    """The answer to the request with a key."""

    def __init__(self, database: Connections, caller: str, key: str) -> None:
        self._database = database
        self._id = {"caller": caller, "key": key}
        self._is_it = (idempotency.c.caller == caller) & (idempotency.c.key == key)

    async def reserve(self, digest: str) -> _Kept | None:
        """Take the key for this request; what is there already, if it was taken before."""

        def work(connection: Connection) -> _Kept | None:
            now = self._database.now(connection)
            connection.execute(delete(idempotency).where(idempotency.c.created_at < now - KEPT_FOR))
            dead = idempotency.c.status.is_(None) & (idempotency.c.created_at < now - GIVEN_UP_AFTER)
            connection.execute(delete(idempotency).where(self._is_it & dead))
            row = connection.execute(select(idempotency).where(self._is_it)).first()
            if row is not None:
                return _Kept(request=row.request, status=row.status, headers=row.headers or {}, body=row.body or b"")
            connection.execute(insert(idempotency).values(**self._id, request=digest, created_at=now))
            return None

        try:
            return await self._database.write(work)
        except Exception as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            return await self._database.write(work)  # another request has taken it meanwhile

    async def keep(self, response: Response) -> None:
        """Keep the answer."""
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        values = {"status": response.status_code, "headers": headers, "body": bytes(cast("bytes", response.body))}
        asked = update(idempotency).where(self._is_it).values(**values)
        await self._database.write(lambda connection: connection.execute(asked))

    async def forget(self) -> None:
        """Give the key back."""
        asked = delete(idempotency).where(self._is_it)
        await self._database.write(lambda connection: connection.execute(asked))
