"""Comparisons: two executions of the same test cases, or two agents of one. They are computed, and not stored."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.errors import NotFoundError
from duologue.runs.store.database.execution_result import execution_so_far
from duologue.runs.store.database.execution_rows import Executions
from duologue.server.auth import Caller, Reader
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.preconditions import answer
from duologue.suites.comparison import compare_executions
from duologue.suites.comparison.compare import MARGIN, MOST_FLIPS
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.rates import CONFIDENCE

routes = routes_of_group("comparisons")


class ComparisonAnswer(BaseModel, extra="allow"):
    """Two executions of the same test cases: what became better, worse, stayed tied or is undecided."""

    first: dict[str, Any]
    """What is compared with, such as the baseline."""
    second: dict[str, Any]
    """What is judged."""
    confidence: float
    """Of intervals and verdicts."""
    margin: float
    """A difference of pass rates below it counts as none."""
    overall: dict[str, Any]
    """All test cases together."""
    cases: list[dict[str, Any]]
    """Each test case, with its verdict, difference and interval."""
    notes: list[str]
    """What limits the comparison, in words."""


@routes.get("/comparisons", operation_id="compare_executions", response_model=ComparisonAnswer)
async def compare(
    request: Request,
    caller: Reader,
    first: Annotated[int, Query(ge=1, le=2**63 - 1, description="The execution to compare with.")],
    second: Annotated[int, Query(ge=1, le=2**63 - 1, description="The execution that is judged.")],
    first_agent: Annotated[str | None, Query(max_length=200, description="Only runs of this agent.")] = None,
    second_agent: Annotated[str | None, Query(max_length=200, description="Only runs of this agent.")] = None,
    confidence: Annotated[float, Query(gt=0.5, lt=1, description="Of intervals and verdicts.")] = CONFIDENCE,
    margin: Annotated[float, Query(ge=0, lt=1, description="A difference of pass rates below it is none.")] = MARGIN,
    flips: Annotated[
        int, Query(ge=0, le=200, description="How many trials with another verdict to give with conversations.")
    ] = MOST_FLIPS,
) -> Response:
    """Compare two executions of the same test cases, or two agents of one."""
    before, after = await _result(caller, first), await _result(caller, second)
    comparison = await asyncio.to_thread(
        compare_executions,
        before,
        after,
        agents=(first_agent, second_agent),
        confidence=confidence,
        margin=margin,
        most_flips=flips,
    )
    return answer(comparison.as_data(), request)


async def _result(caller: Caller, execution_id: int) -> ExecutionResult:
    database = caller.state.database
    found = await Executions(database, caller.project.id).get(execution_id)
    result = None if found is None else await execution_so_far(database, execution_id, whole=True)
    if result is None:
        raise NotFoundError(f"Execution {execution_id} not found")
    return result
