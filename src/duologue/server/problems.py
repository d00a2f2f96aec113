"""Errors as answers: ``application/problem+json`` (RFC 9457) for each exception that a route can raise."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import reduce
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from duologue.config.problems import expected_by, join, shown
from duologue.errors import (
    AgentError,
    ArtifactError,
    BudgetExceededError,
    ConfigurationError,
    DuologueError,
    LeaseLostError,
    MissingExtraError,
    ModelError,
    NotFoundError,
    PlatformError,
    PreconditionError,
    StoreConflictError,
    StoreError,
    StoreUnavailableError,
    StoreVersionError,
    SuiteError,
)
from duologue.frozen import frozen
from duologue.server.auth import ForbiddenError, UnauthenticatedError

logger = logging.getLogger("duologue.server")
MEDIA_TYPE = "application/problem+json"
_MOST_PROBLEMS = 200


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    path: str
    """The field, such as ``turns[0].role``; '' for the whole."""
    message: str
    """What was found, what is expected, what to do."""


class ProblemDetails(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Unprocessable Content",
                "status": 422,
                "detail": "turns[0].role: found 5 (a number); expected a text",
                "code": "invalid",
                "problems": [{"path": "turns[0].role", "message": "found 5 (a number); expected a text"}],
            }
        }
    )

    type: str = "about:blank"
    """A URI for the kind of problem; ``code`` says more."""
    title: str
    """The status in words."""
    status: int
    """The status of the answer."""
    detail: str
    """What is wrong, for people."""
    code: str
    """The kind of problem, for programs, such as ``not_found``."""
    problems: list[FieldProblem] = []
    """The fields that are to blame."""
    request_id: str | None = None
    """Under which the logs of the service have more."""


@frozen
class _Answer:
    status: int
    code: str
    headers: Mapping[str, str]


def _kind(status: int, code: str, **headers: str) -> _Answer:
    return _Answer(status=status, code=code, headers={name.replace("_", "-"): value for name, value in headers.items()})


_KINDS: Mapping[type[Exception], _Answer] = {
    UnauthenticatedError: _kind(401, "unauthenticated", WWW_Authenticate='Bearer realm="duologue"'),
    ForbiddenError: _kind(403, "forbidden"),
    NotFoundError: _kind(404, "not_found"),
    PreconditionError: _kind(412, "changed_meanwhile"),
    StoreConflictError: _kind(409, "conflict"),
    LeaseLostError: _kind(409, "conflict"),
    StoreUnavailableError: _kind(503, "store_unavailable", Retry_After="5"),
    StoreVersionError: _kind(503, "store_version"),
    StoreError: _kind(500, "store_error"),
    MissingExtraError: _kind(501, "missing_extra"),
    SuiteError: _kind(422, "invalid"),
    ConfigurationError: _kind(422, "invalid"),
    BudgetExceededError: _kind(422, "budget_exceeded"),
    AgentError: _kind(502, "agent_failed"),
    ModelError: _kind(502, "model_failed"),
    PlatformError: _kind(502, "platform_failed"),
    ArtifactError: _kind(500, "artifact_error"),
}
_CODES = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    421: "wrong_host",
    422: "invalid",
    428: "precondition_required",
    429: "too_many_requests",
}


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    problems: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Response:
    """A problem as an answer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "problems": [{"path": item.path, "message": item.message} for item in problems[:_MOST_PROBLEMS]],
        "request_id": request_id,
    }
    return Response(to_json(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def answer_errors(app: FastAPI) -> None:
    """Answer with a problem whatever a route raises."""
    app.add_exception_handler(DuologueError, _duologue_error)
    app.add_exception_handler(RequestValidationError, _wrong_parameters)
    app.add_exception_handler(HTTPException, _http_error)


async def _duologue_error(request: Request, error: Exception) -> Response:
    kind = next((_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS), _kind(500, "internal"))
    if kind.status == 500:
        return internal_error(error, request_id_of(request), kind.code)
    problems = [
        FieldProblem(path=item.position.field, message=item.message)
        for item in (error.problems if isinstance(error, SuiteError) else ())
    ]
    return problem_response(
        kind.status, kind.code, str(error), problems=problems, headers=kind.headers, request_id=request_id_of(request)
    )


async def _wrong_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [
        FieldProblem(path=reduce(join, item["loc"][1:], ""), message=_in_words(item)) for item in error.errors()
    ]
    detail = "; ".join(f"{item.path}: {item.message}" for item in problems)
    return problem_response(422, "invalid", detail, problems=problems, request_id=request_id_of(request))


def _in_words(item: Mapping[str, Any]) -> str:
    if item["type"] == "missing":
        return "it is missing"
    return f"found {shown(item.get('input'))}; expected {expected_by(item)}"


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404 and detail == "Not Found":
        detail = f"there is nothing at {request.url.path}"
    elif error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}"
    return problem_response(
        error.status_code,
        _CODES.get(error.status_code, "internal" if error.status_code >= 500 else "refused"),
        detail,
        headers=error.headers,
        request_id=request_id_of(request),
    )


def internal_error(error: BaseException, request_id: str | None, code: str = "internal") -> Response:
    """The answer to a request that has failed for a reason that is no business of the caller. It is logged."""
    logger.error("request %s failed", request_id, exc_info=error)
    return problem_response(
        500, code, "the service has failed; its log says why, under the id of this request", request_id=request_id
    )


def request_id_of(request: Request) -> str | None:
    """The id of a request, under which it is in the logs."""
    return request.scope.get("duologue.request_id")
