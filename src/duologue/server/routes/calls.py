"""Production calls: where they come from, fetching them, looking at them, and test cases of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Request
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.errors import PlatformError
from duologue.runs.call_recordings import recording_of
from duologue.runs.store.calls import CallSource, ProductionCall
from duologue.runs.store.database.calls import Calls
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.bounded import LONGEST, ends_in_time
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body, references
from duologue.server.preconditions import answer, made_or_changed, nothing
from duologue.server.routes.test_cases import writing
from duologue.server.schemas.calls import (
    CallAnswer,
    CallChanges,
    CallItem,
    CallRunAnswer,
    CallSourceAnswer,
    CallSourceFields,
    PulledAnswer,
    PullFields,
    call_fields,
    call_item,
    pulled_fields,
    source_fields,
)
from duologue.server.schemas.cases import FromCallFields, TestCasesAnswer, cases_fields

routes = routes_of_group("calls")
_SOURCE = {"platform": "retell", "platform_agent_id": "agent_5f2c", "api_key": "${RETELL_API_KEY}"}
_Only = Annotated[str | None, Query(max_length=200, description="Only those of this one.")]


@routes.get("/call-sources", operation_id="list_call_sources", response_model=PageOf[CallSourceAnswer])
async def list_call_sources(request: Request, caller: Reader, wanted: Paging, agent_id: _Only = None) -> Response:
    """Where production calls come from, in the order in which it was saved."""
    place = wanted.place()
    every = await _calls(caller).list_sources(caller.project.id, agent_id=agent_id)
    found = [item for item in every if place is None or by_creation(item) > place][: wanted.fetched]
    return answer(page_of(found, wanted, by_creation, source_fields), request)


@routes.post(
    "/call-sources",
    operation_id="put_call_source",
    response_model=CallSourceAnswer,
    responses={201: {"description": "There was none of that agent", "model": CallSourceAnswer}},
)
async def put_call_source(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=CallSourceFields, example=_SOURCE)]
) -> Response:
    """Save where calls come from, in place of what was saved for that agent of that platform.

    The key is a secret of the project, by name. Calls that were fetched stay.
    """
    fields = read_body(CallSourceFields, body)
    given = {name: value for name, value in body.items() if name not in _KEY}
    with references(body):
        made = await caller.service.put_call_source(
            fields.platform, fields.platform_agent_id, agent_id=fields.agent_id, **given
        )
    return made_or_changed(
        source_fields(made), f"/api/v1/call-sources/{made.id}", created_at=made.created_at, updated_at=made.updated_at
    )


@routes.get("/call-sources/{source_id}", operation_id="get_call_source", response_model=CallSourceAnswer)
async def get_call_source(request: Request, caller: Reader, source_id: str) -> Response:
    """Where production calls come from."""
    return answer(source_fields(await _source(caller, source_id)), request)


@routes.delete("/call-sources/{source_id}", operation_id="delete_call_source", status_code=204)
async def delete_call_source(caller: Runner, source_id: str) -> Response:
    """Delete a source with all its calls."""
    await _source(caller, source_id)
    await _calls(caller).delete_source(caller.project.id, source_id)
    return nothing()


@routes.post("/call-sources/{source_id}/pull", operation_id="pull_calls", response_model=PulledAnswer)
async def pull_calls(
    caller: Runner,
    source_id: str,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=PullFields, example={"pages": 5}, needed=False)],
) -> Response:
    """Fetch the calls of a source that are not here yet, the newest first.

    Each page is kept as soon as it is here, so that a request that fails halfway is simply sent again.
    """
    await _source(caller, source_id)
    pages = read_body(PullFields, body).pages
    told = (
        f"the platform was not done within {LONGEST:g} s; what was fetched until then is kept: ask again for the rest"
    )
    async with ends_in_time(PlatformError(told)):
        done = await caller.service.pull_calls(source_id, pages=pages)
    return answer(pulled_fields(done), etag=False)


@routes.get("/calls", operation_id="list_calls", response_model=PageOf[CallItem])
async def list_calls(
    request: Request,
    caller: Reader,
    wanted: Paging,
    agent_id: _Only = None,
    source_id: _Only = None,
    label: Annotated[Literal["good", "bad"] | None, Query(description="Only those that were called so.")] = None,
    seen: Annotated[bool | None, Query(description="Only those that somebody has looked at, or nobody has.")] = None,
) -> Response:
    """The production calls of the project, without what was said; those that began last first."""
    found = await _calls(caller).list_calls(
        caller.project.id,
        agent_id=agent_id,
        source_id=source_id,
        label=label,
        seen=seen,
        limit=wanted.fetched,
        after=wanted.text(),
    )
    return answer(page_of(found, wanted, _key, call_item), request)


@routes.get("/calls/{call_id}", operation_id="get_call", response_model=CallAnswer)
async def get_call(request: Request, caller: Reader, call_id: str) -> Response:
    """A production call: what was said in it, and what its platform says of it."""
    found = await _call(caller, call_id)
    return answer(call_fields(found, recording_of(found)), request)


@routes.patch("/calls/{call_id}", operation_id="update_call", response_model=CallItem)
async def update_call(
    caller: Runner,
    call_id: str,
    body: Annotated[
        PlacedDict, JSON_BODY, BodyOf(model=CallChanges, partial=True, example={"label": "bad", "seen": True})
    ],
) -> Response:
    """Say that a call was good or bad, or that somebody has looked at it."""
    before = await _call(caller, call_id)
    wanted = read_body(CallChanges, body)
    changes: dict[str, Any] = {name: getattr(wanted, name) for name in ("label",) if name in body}
    if "seen" in body and wanted.seen != (before.seen_at is not None):
        changes["seen_at"] = wanted.seen or None
    if changes:
        await _calls(caller).change_call(caller.project.id, call_id, **changes)
    return answer(call_item(await _call(caller, call_id)))


@routes.delete("/calls/{call_id}", operation_id="delete_call", status_code=204)
async def delete_call(caller: Runner, call_id: str) -> Response:
    """Delete what was said in a call. It is not fetched again."""
    await _call(caller, call_id)
    await _calls(caller).delete_call(caller.project.id, call_id)
    return nothing()


@routes.post("/calls/{call_id}/run", operation_id="record_call", response_model=CallRunAnswer)
async def record_call(caller: Runner, call_id: str) -> Response:
    """Store a call as a run without a verdict, so that it can be labelled like one. The same call has the same run."""
    await _call(caller, call_id)
    return answer({"run_id": await caller.service.record_call(call_id)}, etag=False)


@routes.post("/calls/{call_id}/test-case", operation_id="create_test_case_from_call", response_model=TestCasesAnswer)
async def create_test_case_from_call(
    caller: Runner,
    call_id: str,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=FromCallFields, example={"write": False}, needed=False)],
) -> Response:
    """Make a test case of a call: a model writes it, or the user's words become fixed turns."""
    await _call(caller, call_id)
    wanted = read_body(FromCallFields, body)
    async with writing(caller, wanted.budget) as scope:
        made = await caller.service.create_test_case_from_call(
            call_id,
            write=wanted.write,
            instructions=wanted.instructions,
            model=wanted.model,
            save=wanted.save,
            scope=scope,
        )
    return answer(cases_fields(made), etag=False)


_KEY = ("platform", "platform_agent_id", "agent_id")


def _calls(caller: Caller) -> Calls:
    return Calls(caller.state.database)


def _key(call: ProductionCall) -> tuple[str]:
    return (call.id,)


async def _source(caller: Caller, source_id: str) -> CallSource:
    found = await _calls(caller).list_sources(caller.project.id, source_id=source_id)
    return caller.own(found[0] if found else None, "Source of calls", source_id)


async def _call(caller: Caller, call_id: str) -> ProductionCall:
    return caller.own(await _calls(caller).get_call(caller.project.id, call_id), "Call", call_id)
