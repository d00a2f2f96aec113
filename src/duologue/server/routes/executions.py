"""Executions: launched, watched, cancelled, retried, reported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.errors import NotFoundError
from duologue.runs.store.database.execution_result import execution_so_far
from duologue.runs.store.database.execution_rows import Executions, ExecutionStanding
from duologue.runs.store.encoding import index_of
from duologue.runs.store.execution_events import pass_rate
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.reports import REPORT_TYPES, report_of
from duologue.server.routes.runs import RunId
from duologue.server.schemas.executions import (
    ExecutionAnswer,
    ExecutionChange,
    ExecutionSummary,
    ForkFields,
    NewExecutionFields,
    execution_fields,
)
from duologue.suites.results.execution import ExecutionResult

routes = routes_of_group("executions")
ExecutionId = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the execution.")]
_FORKED = (
    *("say", "trials", "again", "agent", "connector_id", "agent_id", "agent_version", "model"),
    *("priority", "max_attempts", "budget"),
)
_EXAMPLE = {"eval_id": "refunds", "priority": 5, "seed": 7}


@routes.get("/executions", operation_id="list_executions", response_model=PageOf[ExecutionAnswer])
async def list_executions(
    request: Request,
    caller: Reader,
    wanted: Paging,
    eval_id: Annotated[str | None, Query(max_length=200, description="Only executions of this eval.")] = None,
) -> Response:
    """The executions of the project, the newest first, with how their runs stand."""
    found = await _executions(caller).list(eval_id=eval_id, limit=wanted.fetched, before=wanted.number())
    return answer(page_of(found, wanted, _key, execution_fields), request)


@routes.post("/executions", operation_id="create_execution", status_code=201, response_model=ExecutionAnswer)
async def create_execution(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=NewExecutionFields, example=_EXAMPLE)]
) -> Response:
    """Launch an eval: put its runs into the queue, which workers carry out."""
    wanted = read_body(NewExecutionFields, body)
    made = await caller.service.create_execution(
        await eval_id_of(caller, wanted.eval_id),
        priority=wanted.priority,
        not_before=_seconds(wanted.not_before),
        max_attempts=wanted.max_attempts,
        seed=wanted.seed,
        execution_name=wanted.name,
        budget=wanted.budget,
    )
    assert made.execution is not None, "an eval is launched as an execution"
    standing = await _found(caller, made.execution.id)
    return created(execution_fields(standing), f"/api/v1/executions/{made.execution.id}")


@routes.post("/runs/{run_id}/fork", operation_id="fork_run", status_code=201, response_model=ExecutionAnswer)
async def fork_run(
    caller: Runner,
    run_id: RunId,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ForkFields, example={"turn": 2, "trials": 5})],
) -> Response:
    """Continue a run that is over from the end of one of its turns, several times, as an execution of its own.

    The recorded turns are in the conversation as they were, and the scenario goes on from there, or with another line
    of the user. Agent, simulated user, checks and judge are those that the run was made from.
    """
    wanted = read_body(ForkFields, body)
    made = await caller.service.fork_run(
        run_id,
        wanted.turn,
        **{name: getattr(wanted, name) for name in _FORKED},
        execution_name=wanted.name,
    )
    assert made.execution is not None, "a run is forked as an execution"
    standing = await _found(caller, made.execution.id)
    return created(execution_fields(standing), f"/api/v1/executions/{made.execution.id}")


@routes.get("/executions/{execution_id}", operation_id="get_execution", response_model=ExecutionAnswer)
async def get_execution(request: Request, caller: Reader, execution_id: ExecutionId) -> Response:
    """An execution, and how its runs stand."""
    return answer(execution_fields(await _found(caller, execution_id)), request)


@routes.delete("/executions/{execution_id}", operation_id="delete_execution", status_code=204)
async def delete_execution(caller: Runner, execution_id: ExecutionId, matching: IfMatch) -> Response:
    """Delete an execution with all its runs, also those that are under way."""
    done = await _executions(caller).delete(
        execution_id, expected=lambda standing: matching.require(execution_fields(standing))
    )
    if not done:
        raise _missing(execution_id)
    return nothing()


@routes.post("/executions/{execution_id}/cancel", operation_id="cancel_execution", response_model=ExecutionChange)
async def cancel_execution(caller: Runner, execution_id: ExecutionId) -> Response:
    """Cancel all runs that are not over.

    Those that wait are over at once, those under way as soon as their workers hear of it.
    """
    await _found(caller, execution_id)
    done = await _executions(caller).cancel(execution_id)
    change = ExecutionChange(cancelled=len(done.cancelled), stopping=len(done.stopping))
    return answer(change.model_dump(), etag=False)


@routes.post("/executions/{execution_id}/retry", operation_id="retry_execution", response_model=ExecutionChange)
async def retry_execution(caller: Runner, execution_id: ExecutionId) -> Response:
    """Put the runs into the queue again that ended in an error.

    What came of them is cleared; their journals are kept.
    """
    await _found(caller, execution_id)
    change = ExecutionChange(retried=await _executions(caller).retry(execution_id))
    return answer(change.model_dump(), etag=False)


@routes.get("/executions/{execution_id}/summary", operation_id="get_execution_summary", response_model=ExecutionSummary)
async def get_execution_summary(request: Request, caller: Reader, execution_id: ExecutionId) -> Response:
    """What the runs that are over come to: outcomes by test case, cost, latency, metrics."""
    await _found(caller, execution_id)
    result = await execution_so_far(caller.state.database, execution_id, whole=True)
    if result is None:
        raise _missing(execution_id)
    return answer(_summary(execution_id, result), request)


@routes.get(
    "/executions/{execution_id}/report",
    operation_id="get_execution_report",
    response_class=Response,
    responses={200: {"description": "The report", "content": {kind: {} for kind, _ in REPORT_TYPES.values()}}},
)
async def get_execution_report(
    caller: Reader,
    execution_id: ExecutionId,
    format: Annotated[Literal["json", "junit", "html", "md"], Query(description="Which report.")] = "html",
) -> Response:
    """Download a report on the runs that are over."""
    standing = await _found(caller, execution_id)
    data = await report_of(caller.state.database, caller.state.artifacts, execution_id, format)
    kind, suffix = REPORT_TYPES[format]
    headers = {
        "Content-Disposition": f'attachment; filename="execution-{standing.execution.id}{suffix}"',
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "no-store",
    }
    return Response(data, headers=headers, media_type=kind)


def _key(standing: ExecutionStanding) -> tuple[int]:
    return (standing.execution.id,)


def _executions(caller: Caller) -> Executions:
    return Executions(caller.state.database, caller.project.id)


async def _found(caller: Caller, execution_id: int) -> ExecutionStanding:
    found = await _executions(caller).get(execution_id)
    if found is None:
        raise _missing(execution_id)
    return found


def _missing(execution_id: int) -> NotFoundError:
    return NotFoundError(f"Execution {execution_id} not found")


async def eval_id_of(caller: Caller, named: str) -> str:
    """The id of an eval of the project that is named by its id or its name.

    Raises:
        NotFoundError: there is none.
    """
    service = caller.service
    found = await service.get_eval(named) or await service.get_eval_by_name(named)
    if found is None:
        raise NotFoundError(f'Eval with id "{named}" not found')
    return found.id


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _summary(execution_id: int, result: ExecutionResult) -> dict[str, Any]:
    index = index_of(result)
    verdicts = [run.outcome for run in result.runs]
    turns = [run.agent_seconds / run.turns * 1000 for run in result.runs if run.turns and run.agent_seconds]
    return {
        "execution_id": execution_id,
        **{name: index[name] for name in ("suite", "exit_code", "totals", "spent", "grading", "groups")},
        "pass_rate": pass_rate(verdicts.count("pass"), verdicts.count("fail")),
        "latency_ms": _percentiles(turns),
        "seconds": _percentiles([run.seconds for run in result.runs if run.seconds]),
    }


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """The nearest ranks: values that were measured, also where there are few."""
    if not values:
        return None
    ordered = sorted(values)
    found = {
        name: ordered[max(0, math.ceil(share * len(ordered)) - 1)] for name, share in (("p50", 0.5), ("p95", 0.95))
    }
    return {**found, "max": ordered[-1]}
