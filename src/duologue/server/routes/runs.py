"""Runs: listed, read, changed by hand, cancelled, retried, deleted; and single runs of a playground."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query, Request
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.errors import NotFoundError
from duologue.runs.store.database.rows import RunFilter
from duologue.runs.store.database.rows import list_runs as page_of_runs
from duologue.runs.store.records import QueueStatus, StoredRun
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import IfMatch, Precondition, answer, created, nothing
from duologue.server.schemas.runs import (
    CancelledRun,
    Outcome,
    PlaygroundFields,
    RunAnswer,
    RunFields,
    RunListItem,
    Status,
    run_fields,
    run_item,
)

routes = routes_of_group("runs")
RunId = Annotated[str, Path(min_length=1, max_length=200, description="Id of the run.")]


@routes.get("/runs", operation_id="list_runs", response_model=PageOf[RunListItem])
async def list_runs(
    request: Request,
    caller: Reader,
    wanted: Paging,
    execution_id: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only runs of this execution.")] = None,
    status: Annotated[list[Status] | None, Query(description="Only these statuses.")] = None,
    outcome: Annotated[list[Outcome] | None, Query(description="Only these outcomes.")] = None,
    eval_id: Annotated[str | None, Query(max_length=200, description="Only runs of this eval.")] = None,
    scenario_id: Annotated[str | None, Query(max_length=200, description="Only runs of this scenario.")] = None,
    persona_id: Annotated[str | None, Query(max_length=200, description="Only runs of this persona.")] = None,
    connector_id: Annotated[str | None, Query(max_length=200, description="Only runs of this connector.")] = None,
    agent_id: Annotated[str | None, Query(max_length=200, description="Only runs of this saved agent.")] = None,
    order: Annotated[Literal["newest", "oldest"], Query(description="Which runs come first.")] = "newest",
) -> Response:
    """Runs of the project without their conversations."""
    chosen = RunFilter(
        project_id=caller.project.id,
        execution_id=execution_id,
        status=[QueueStatus(item) for item in status] if status else None,
        outcome=outcome or None,
        eval_id=eval_id,
        scenario_id=scenario_id,
        persona_id=persona_id,
        connector_id=connector_id,
        agent_id=agent_id,
    )
    page = await page_of_runs(
        caller.state.database, chosen, limit=wanted.fetched, after=wanted.number(), descending=order == "newest"
    )
    return answer(page_of(page.runs, wanted, _key, run_item), request)


@routes.get("/runs/{run_id}", operation_id="get_run", response_model=RunAnswer)
async def get_run(request: Request, caller: Reader, run_id: RunId) -> Response:
    """A run with its conversation, which is that so far if it is under way."""
    return answer(run_fields(await found_run(caller, run_id)), request)


@routes.patch("/runs/{run_id}", operation_id="update_run", response_model=RunAnswer)
async def update_run(
    caller: Runner,
    run_id: RunId,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=RunFields, partial=True, example={"priority": 10})],
) -> Response:
    """Change fields by hand; null clears one. Who changes the status takes the run away from its worker."""
    read_body(RunFields, body)
    await _matched(caller, run_id, matching)
    changed = await caller.service.update_run(run_id, **body)
    if changed is None:
        raise _missing(run_id)
    return answer(run_fields(changed))


@routes.delete("/runs/{run_id}", operation_id="delete_run", status_code=204)
async def delete_run(caller: Runner, run_id: RunId, matching: IfMatch) -> Response:
    """Delete a run with its result and its journals, also one that is under way."""
    await _matched(caller, run_id, matching)
    if not await caller.service.delete_run(run_id):
        raise _missing(run_id)
    return nothing()


@routes.post("/runs/{run_id}/cancel", operation_id="cancel_run", response_model=CancelledRun)
async def cancel_run(caller: Runner, run_id: RunId) -> Response:
    """Cancel a run: one that waits is over at once, one under way as soon as its worker hears of it."""
    await found_run(caller, run_id)
    done = await caller.service.cancel_runs(run_id)
    status = "cancelled" if done.cancelled else "stopping" if done.stopping else "over"
    return answer({"status": status}, etag=False)


@routes.post("/runs/{run_id}/retry", operation_id="retry_run", response_model=RunAnswer)
async def retry_run(caller: Runner, run_id: RunId) -> Response:
    """Put a run into the queue again that ended in an error. What came of it is cleared; its journals are kept."""
    retried = await caller.service.retry_run(run_id)
    if retried is None:
        raise _missing(run_id)
    return answer(run_fields(retried))


@routes.post("/playground-runs", operation_id="create_playground_run", status_code=201, response_model=RunAnswer)
async def create_playground_run(
    caller: Runner,
    body: Annotated[
        PlacedDict,
        JSON_BODY,
        BodyOf(model=PlaygroundFields, example={"scenario_id": "scenario-id", "connector_id": "connector-id"}),
    ],
) -> Response:
    """Put one run of a scenario into the queue, without an eval and without an execution."""
    wanted = read_body(PlaygroundFields, body)
    made = await caller.service.create_playground_run(
        wanted.scenario_id,
        wanted.connector_id,
        wanted.persona_id,
        agent_id=wanted.agent_id,
        priority=wanted.priority,
        seed=wanted.seed,
    )
    return created(run_fields(made), f"/api/v1/runs/{made.id}")


async def found_run(caller: Caller, run_id: str) -> StoredRun:
    """A run of the project with its conversation.

    Raises:
        NotFoundError: there is none.
    """
    found = await caller.service.get_run(run_id)
    if found is None:
        raise _missing(run_id)
    return found


def _key(run: StoredRun) -> tuple[int]:
    return (run.number,)


async def _matched(caller: Caller, run_id: str, matching: Precondition) -> None:
    """Refuse to change what the caller has not seen. A run is changed by its worker as well, so it is no lock."""
    if matching.tags is not None:
        matching.require(run_fields(await found_run(caller, run_id)))


def _missing(run_id: str) -> NotFoundError:
    return NotFoundError(f'Run with id "{run_id}" not found')
