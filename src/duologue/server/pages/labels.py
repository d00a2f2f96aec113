"""The queue of decisions to label: each decision of a judge in an execution, with what this rater has said of it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from duologue.runs.store.database.labels import Labels, StoredLabel
from duologue.runs.store.encoding import encoded
from duologue.server.auth import Reader
from duologue.server.pages.data import whole_runs
from duologue.server.preconditions import JSON
from duologue.server.routes.executions import ExecutionId
from duologue.server.routes.labels import rater_of
from duologue.suites.calibration.judged import JudgedItem, judged_items
from duologue.suites.results.run import RunResult

routes = APIRouter(prefix="/api/pages", include_in_schema=False)
_MOST = 2000
"""Runs whose decisions are offered."""


@routes.get("/executions/{execution_id}/labels")
async def list_decisions(caller: Reader, execution_id: ExecutionId) -> Response:
    """The decisions of judges, run by run, in an order that is random and the same for everybody.

    So whoever stops somewhere has labelled a fair sample.
    """
    view = await caller.state.views.of(caller.project.id, execution_id)
    judged = [
        number for number, row in sorted(view.rows.items()) if row.result and judged_items(row.result, whole=False)
    ]
    Random(view.name).shuffle(judged)
    runs = {run.run_id: run for run in await whole_runs(caller, judged[:_MOST])}
    order = [row.id for number in judged[:_MOST] if (row := view.rows[number]).id in runs]
    said = await Labels(caller.state.database, caller.project.id).of_runs(order)
    rater = rater_of(caller)
    own = {(item.run_id, item.criterion): item for item in said if item.rater == rater}

    def made() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for run_id in order:
            rows += [_row(runs[run_id], item, own.get((run_id, item.criterion))) for item in judged_items(runs[run_id])]
        return rows

    rows = await asyncio.to_thread(made)
    others = len({item.rater for item in said} - {rater})
    data = {"rater": rater, "others": others, "decisions": rows, "left": max(0, len(judged) - _MOST)}
    return Response(encoded(data), headers={"Cache-Control": "no-store"}, media_type=JSON)


def _row(run: RunResult, item: JudgedItem, said: StoredLabel | None) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "title": run.case.title,
        "outcome": run.outcome,
        "criterion": item.criterion,
        "decision": item.decision,
        "reason": item.reason,
        "cites": list(item.message_ids),
        "label": None if said is None else {"id": said.id, "value": said.value, "note": said.note},
    }
