"""Labels: what people say of runs and their criteria. The rater is the name of the token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.config.spec import Spec
from duologue.errors import NotFoundError
from duologue.runs.store.database.labels import Labels, StoredLabel
from duologue.runs.tokens import TokenScope
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import answer, nothing
from duologue.server.routes.runs import RunId
from duologue.server.schemas.definitions import instant_text

routes = routes_of_group("labels")
NOBODY = "local"
"""The rater of a service that requires no token."""
_EXAMPLE = {"criterion": "A refund is promised", "value": "fail", "note": "Only a voucher was promised."}


class LabelFields(Spec):
    """What somebody says of a run."""

    criterion: str = Field(default="", max_length=10_000)
    """The text of a criterion, or the name of a check. Default: the run as a whole."""
    value: Literal["pass", "fail", "unsure"]
    """Whether it is met, or the run passes."""
    note: str = Field(default="", max_length=100_000)
    """Why."""


class LabelAnswer(BaseModel):
    """What somebody says of a run."""

    id: int
    """Unique everywhere."""
    run_id: str
    """The run."""
    criterion: str
    """The text of a criterion, or the name of a check; empty for the run as a whole."""
    value: Literal["pass", "fail", "unsure"]
    """Whether it is met, or the run passes."""
    rater: str
    """Who says so: the name of a token."""
    note: str
    """Why."""
    created_at: datetime
    """When it was said."""


@routes.get("/labels", operation_id="list_labels", response_model=PageOf[LabelAnswer])
async def list_labels(
    request: Request,
    caller: Reader,
    wanted: Paging,
    execution_id: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only of runs of this execution.")
    ] = None,
) -> Response:
    """The labels of the project, in the order in which they were first given."""
    found = await _labels(caller).list(execution_id=execution_id, after=wanted.number(), limit=wanted.fetched)
    return answer(page_of(found, wanted, _key, _fields), request)


@routes.get("/runs/{run_id}/labels", operation_id="list_run_labels", response_model=PageOf[LabelAnswer])
async def list_run_labels(request: Request, caller: Reader, wanted: Paging, run_id: RunId) -> Response:
    """What people say of a run."""
    found = await _labels(caller).list(run_id=run_id, after=wanted.number(), limit=wanted.fetched)
    return answer(page_of(found, wanted, _key, _fields), request)


@routes.post(
    "/runs/{run_id}/labels",
    operation_id="label_run",
    response_model=LabelAnswer,
    responses={201: {"description": "It is the first one of this rater", "model": LabelAnswer}},
)
async def label_run(
    caller: Runner, run_id: RunId, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=LabelFields, example=_EXAMPLE)]
) -> Response:
    """Say something of a run or a criterion, in place of what the same rater has said of it before."""
    wanted = read_body(LabelFields, body)
    label, new = await _labels(caller).set(
        run_id, criterion=wanted.criterion, value=wanted.value, rater=rater_of(caller), note=wanted.note
    )
    return answer(_fields(label), status=201 if new else 200)


@routes.delete("/runs/{run_id}/labels/{label_id}", operation_id="delete_label", status_code=204)
async def delete_label(
    caller: Runner, run_id: RunId, label_id: Annotated[int, Path(ge=1, le=2**63 - 1, description="Id of the label.")]
) -> Response:
    """Take a label back: one's own, or with the scope admin anybody's."""
    rater = None if caller.scope.allows(TokenScope.ADMIN) else rater_of(caller)
    if not await _labels(caller).delete(run_id, label_id, rater=rater):
        raise NotFoundError(f'Label {label_id} of run "{run_id}" not found, or it is another rater\'s')
    return nothing()


def _labels(caller: Caller) -> Labels:
    return Labels(caller.state.database, caller.project.id)


def rater_of(caller: Caller) -> str:
    """Who labels."""
    return caller.token.name if caller.token is not None else NOBODY


def _key(label: StoredLabel) -> tuple[int]:
    return (label.id,)


def _fields(label: StoredLabel) -> Mapping[str, Any]:
    return {
        "id": label.id,
        "run_id": label.run_id,
        "criterion": label.criterion,
        "value": label.value,
        "rater": label.rater,
        "note": label.note,
        "created_at": instant_text(label.created_at),
    }
