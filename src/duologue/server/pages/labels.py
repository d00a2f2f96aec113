"""The queue of decisions to label, and whether somebody has labelled since."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.responses import Response

from duologue.reports.html.label_queue import agreement_of, label_queue
from duologue.runs.store.database.labels import Labels, label_of
from duologue.runs.store.encoding import encoded
from duologue.server.auth import Reader
from duologue.server.pages.data import calibration_of
from duologue.server.preconditions import JSON
from duologue.server.routes.executions import ExecutionId
from duologue.server.routes.labels import rater_of

routes = APIRouter(prefix="/api/pages", include_in_schema=False)


@routes.get("/executions/{execution_id}/labels")
async def list_decisions(caller: Reader, execution_id: ExecutionId) -> Response:
    """The decisions of judges in an order that is random and the same for everybody.

    So whoever stops somewhere has labelled a fair sample.
    """
    asked = caller.state.database.context.clock.monotonic()
    view = await caller.state.views.of(caller.project.id, execution_id)
    again = view.again_since(asked)
    runs = await view.results()
    stored = Labels(caller.state.database, caller.project.id)
    state = await stored.state(execution_id)  # before they are read
    said = await stored.of_runs([run.run_id for run in runs])
    labels = [label_of(item) for item in said]
    queue = await asyncio.to_thread(label_queue, runs, view.name, labels, rater_of(caller))
    beside = await asyncio.to_thread(agreement_of, await calibration_of(caller, execution_id))
    return _answer({**queue, **beside, "state": state, **({"again": again} if again else {})})


@routes.get("/executions/{execution_id}/labels/state")
async def get_state(caller: Reader, execution_id: ExecutionId) -> Response:
    """What changes with every label of the execution."""
    return _answer({"state": await Labels(caller.state.database, caller.project.id).state(execution_id)})


def _answer(data: object) -> Response:
    return Response(encoded(data), headers={"Cache-Control": "no-store"}, media_type=JSON)
