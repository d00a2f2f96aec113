"""Answers with an ETag, and changes only of what the caller has seen (``If-Match``)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic_core import to_json
from starlette.responses import Response

from duologue.errors import PreconditionError
from duologue.frozen import frozen

JSON = "application/json"


def answer(
    fields: Mapping[str, Any],
    request: Request | None = None,
    *,
    status: int = 200,
    etag: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer in JSON.

    Args:
        fields: of it.
        request: whose ``If-None-Match`` may say that the caller has it already.
        status: of the answer.
        etag: whether it gets one: what can be changed, and lists that are asked for again and again.
        headers: further ones.
    """
    content = to_json(fields, inf_nan_mode="null")
    more = dict(headers or {})
    if etag:
        tag = more["ETag"] = _etag(content)
        if request is not None and _names(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=more)
    return Response(content, status, headers=more, media_type=JSON)


def created(fields: Mapping[str, Any], location: str) -> Response:
    """The answer to a request that has made something."""
    return answer(fields, status=201, headers={"Location": location})


def made_or_changed(fields: Mapping[str, Any], location: str, *, created_at: float, updated_at: float) -> Response:
    """The answer to a request that makes something, or changes what is there under its key already."""
    return created(fields, location) if created_at == updated_at else answer(fields)


def nothing() -> Response:
    """The answer to a request that has deleted something."""
    return Response(status_code=204)


@frozen
class Precondition:
    """What the caller expects to change.

    Attributes:
        tags: ``If-Match``; None for whatever is there.
    """

    tags: str | None

    def require(self, fields: Mapping[str, Any]) -> None:
        """Refuse to change what the caller has not seen.

        Args:
            fields: what is there, as it is answered.

        Raises:
            PreconditionError: it is something else.
        """
        if self.tags is not None and not _names(self.tags, _etag(to_json(fields, inf_nan_mode="null"))):
            raise PreconditionError("it was changed after you have read it; read it again, then change that")


def _precondition(
    if_match: Annotated[
        str | None, Header(description="ETag of what is to be changed: refused with 412 if it was changed meanwhile.")
    ] = None,
) -> Precondition:
    return Precondition(tags=if_match)


IfMatch = Annotated[Precondition, Depends(_precondition)]
"""The header of changes."""


def _etag(content: bytes) -> str:
    return f'"{sha256(content).hexdigest()[:32]}"'


def _names(tags: str | None, tag: str) -> bool:
    return tags is not None and any(item.strip().removeprefix("W/") in {"*", tag} for item in tags.split(","))
