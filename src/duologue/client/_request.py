"""One request to the service, and what its answer means, whatever sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from pydantic import ValidationError

from duologue.client._answer import Answer
from duologue.config.redaction import text_without_secrets
from duologue.errors import (
    RefusedField,
    ServiceAccessError,
    ServiceBusyError,
    ServiceConflictError,
    ServiceError,
    ServiceInputError,
    ServiceNotFoundError,
    ServiceUnavailableError,
)
from duologue.frozen import frozen
from duologue.own_model import adapter

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_ERRORS: dict[int, type[ServiceError]] = {
    400: ServiceInputError,
    401: ServiceAccessError,
    403: ServiceAccessError,
    404: ServiceNotFoundError,
    409: ServiceConflictError,
    412: ServiceConflictError,
    413: ServiceInputError,
    415: ServiceInputError,
    422: ServiceInputError,
    428: ServiceConflictError,
    429: ServiceBusyError,
}
_EXCERPT = 500
"""Characters of an answer that is no problem+json."""


@frozen
class Request:
    """A request, as a generated method makes it.

    Attributes:
        query, headers: those that are None are left out.
        body: JSON data, or bytes of ``media_type``; None for none.
        in_project: whether it takes the project of the client.
        keyed: whether it takes an idempotency key, which makes it safe to send again.
        key: that of the caller; None for a new one.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: object = None
    media_type: str = "application/json"
    in_project: bool = False
    keyed: bool = False
    key: str | None = None

    @property
    def can_repeat(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        return self.keyed or self.method in _IDEMPOTENT

    def address(self, project: str | None) -> str:
        """Path and query.

        Args:
            project: of the client.
        """
        values = dict(self.query)
        if self.in_project and project is not None:
            values["project"] = project
        pairs = [(name, _text(item)) for name, value in values.items() for item in _items(value)]
        return f"{self.path}?{urlencode(pairs)}" if pairs else self.path


def path(template: str, *values: object) -> str:
    """A path with its parameters, in order."""
    for value in values:
        start, _, rest = template.partition("{")
        template = f"{start}{_segment(value)}{rest.partition('}')[2]}"
    return template


def _segment(value: object) -> str:
    """A value that stays one segment: braces are quoted, and ``.`` and ``..`` would be taken out on the way."""
    text = _text(value)
    if text in {"", ".", ".."}:
        raise ServiceInputError(f"an id is {text!r}; expected that of something that exists", code="invalid_id")
    return quote(text, safe="")


def _items(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else (value,)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def may_pass(error: ServiceError) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, ServiceUnavailableError | ServiceBusyError):
        return True
    return error.status == 409 and error.retry_after is not None  # the first request with this key is at work


def error_of(status: int, text: str, wait: float | None) -> ServiceError:
    """The error that an answer is.

    Args:
        status: of the answer.
        text: its body: problem+json, or anything that something on the way has said.
        wait: seconds that it asks to wait.
    """
    problem = _object(text)
    title = str(problem.get("title") or "").strip()
    detail = str(problem.get("detail") or "").strip()
    said = detail or title or text_without_secrets(text)[:_EXCERPT].strip() or "no explanation"
    problems = _problems(problem.get("problems"))
    listed = "".join(f"\n- {item}" for item in problems if str(item) not in said)
    code = str(problem.get("code") or "")
    # The service says what has failed; whatever stands before it only says that there is no service.
    is_away = status in {502, 503, 504} and (not code or wait is not None)
    kind = ServiceUnavailableError if is_away else _ERRORS.get(status, ServiceError)
    return kind(f"{said} (status {status}){listed}", status=status, code=code, problems=problems, retry_after=wait)


def _object(text: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _problems(given: Any) -> list[RefusedField]:
    if not isinstance(given, list):
        return []
    items = [cast("dict[str, Any]", item) for item in cast("list[Any]", given) if isinstance(item, dict)]
    return [RefusedField(path=str(item.get("path") or ""), message=str(item.get("message") or "")) for item in items]


def answer_of(data: bytes, media_type: str, wanted: Any, etag: str | None) -> Any:
    """The answer as what a method promises.

    Args:
        data: the body.
        media_type: of it.
        wanted: the type; ``bytes`` for the body as it is, None for nothing.
        etag: of the answer.

    Raises:
        ServiceError: it is something else.
    """
    if wanted is None or wanted is bytes:
        return data if wanted else None
    if wanted is str and "json" not in media_type:
        return data.decode("utf-8", "replace")
    try:
        found = _adapter(wanted).validate_json(data)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the answer"
        raise ServiceError(
            f"the service answered with something that this version of Duologue cannot read: {where}: {problem['msg']}",
            code="unreadable_answer",
        ) from None
    if isinstance(found, Answer):
        found.tagged(etag)
    return found


@lru_cache(maxsize=512)
def _adapter(wanted: Any) -> TypeAdapter[Any]:
    return adapter(wanted)
