"""Lists of executions as pages show them, with pass rates, cost and what they were run of."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection, Row, case, func, select
from starlette.responses import Response

from duologue.reports.html.execution_list import matches, origin_of
from duologue.runs.store.database.schema import evals, executions, runs
from duologue.runs.store.encoding import encoded
from duologue.runs.store.records import OVER, QueueStatus, iso_instant
from duologue.server.auth import Caller, Reader
from duologue.server.pages.tallies import NOTHING, OUTCOMES, Tally, counted_outcomes, tallies
from duologue.server.preconditions import JSON

routes = APIRouter(prefix="/api/pages", include_in_schema=False)
Json = dict[str, Any]
_MADE = re.compile(r"execution_[0-9a-z]{16,}")
_EXITS = {"pass": 0, "fail": 1, "undecided": 3}
"""What executions that are over can be filtered by."""
_OPEN = set(QueueStatus) - OVER
_TREND = 500
"""Executions of a trend."""


@routes.get("/executions")
async def list_executions(
    caller: Reader,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    suite: Annotated[str | None, Query(max_length=200)] = None,
    state: Annotated[str | None, Query(max_length=20)] = None,
    q: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Executions, the newest first."""
    found = await caller.state.database.read(lambda connection: _facts_of_all(connection, caller))
    wanted = [item for item in found if (not suite or item["suite"] == suite) and (not q or matches(item, q))]
    if state in _EXITS:
        exits = await caller.state.database.read(lambda connection: _exits_of_all(connection, caller))
        wanted = [item for item in wanted if item["state"] == "ended" and exits.get(item["id"], 0) == _EXITS[state]]
    elif state:
        wanted = [item for item in wanted if item["state"] == state]
    suites = list(dict.fromkeys(item["suite"] for item in found))
    ids = [item["id"] for item in wanted[offset : offset + limit]]
    rows = await _rows(caller, ids)
    data = {"rows": rows, "total": len(wanted), "all": len(found), "suites": suites, "states": [*_EXITS, "running"]}
    return _answer(data)


@routes.get("/trend")
async def get_trend(caller: Reader, suite: Annotated[str, Query(max_length=200)]) -> Response:
    """The executions of a suite that are over, the oldest first."""
    found = await caller.state.database.read(lambda connection: _facts_of_all(connection, caller))
    ids = [item["id"] for item in found if item["suite"] == suite and item["state"] != "running"]
    return _answer({"rows": (await _rows(caller, ids[:_TREND]))[::-1], "total": len(ids)})


async def row_before(caller: Caller, execution_id: int) -> Json | None:
    """The execution of the same suite that was started last before this one, and is over; None if there is none."""
    found = await caller.state.database.read(lambda connection: _facts_of_all(connection, caller))
    suite = next((item["suite"] for item in found if item["id"] == execution_id), None)
    earlier = (item for item in found if item["suite"] == suite and item["id"] < execution_id)
    before = next((item["id"] for item in earlier if item["state"] == "ended"), None)
    rows = await _rows(caller, [before]) if before is not None else []
    return rows[0] if rows else None


def _facts_of_all(connection: Connection, caller: Caller) -> list[Json]:
    """What executions are filtered by, the newest first."""
    of_project = runs.c.project_id == caller.project.id
    still = select(runs.c.execution_id).where(of_project, runs.c.status.in_(map(str, _OPEN))).distinct()
    open_ = set(connection.execute(still).scalars())
    asked = (
        select(
            executions.c.id,
            executions.c.name,
            executions.c.data["suite"].label("suite"),
            executions.c.data["environment"].label("environment"),
            evals.c.name.label("eval"),
        )
        .join(evals, evals.c.id == executions.c.eval_id, isouter=True)
        .where(executions.c.project_id == caller.project.id)
        .order_by(executions.c.id.desc())
    )
    return [
        {
            "id": row.id,
            "name": shown_name(row.id, row.name),
            "suite": row.eval or row.suite or row.name,
            "state": "running" if row.id in open_ else "ended",
            **origin_of(row.environment or {}),
        }
        for row in connection.execute(asked)
    ]


def _exits_of_all(connection: Connection, caller: Caller) -> dict[int, int]:
    """The exit code of every execution that has runs."""
    asked = select(runs.c.execution_id, *counted_outcomes(runs.c.outcome)).where(runs.c.project_id == caller.project.id)
    return {
        row.execution_id: _exit({word: int(getattr(row, word) or 0) for word in OUTCOMES})
        for row in connection.execute(asked.group_by(runs.c.execution_id))
    }


async def _rows(caller: Caller, ids: Sequence[int]) -> list[Json]:
    if not ids:
        return []
    ended = runs.c.status.in_(map(str, OVER))
    sums = (
        select(
            runs.c.execution_id,
            func.count().label("runs"),
            func.sum(case((ended, 1), else_=0)).label("over"),
            func.sum(runs.c.cost).label("cost"),
            func.sum(runs.c.tokens).label("tokens"),
            func.max(runs.c.completed_at).label("completed_at"),
        )
        .where(runs.c.execution_id.in_(ids))
        .group_by(runs.c.execution_id)
    )
    asked = (
        select(executions, evals.c.name.label("eval"))
        .join(evals, evals.c.id == executions.c.eval_id, isouter=True)
        .where(executions.c.id.in_(ids), executions.c.project_id == caller.project.id)
    )

    def work(connection: Connection) -> list[tuple[Json, Tally]]:
        now = caller.state.database.now(connection)
        found: dict[int, Any] = {row.execution_id: row for row in connection.execute(sums)}
        counted = tallies(connection, ids)
        rows = [(row, counted.get(row.id, NOTHING)) for row in connection.execute(asked)]
        return [(_row(row, found.get(row.id), tally, now), tally) for row, tally in rows]

    made = await caller.state.database.read(work)
    made.sort(key=lambda item: -int(item[0]["id"]))
    return await asyncio.to_thread(lambda: [{**row, "rate": tally.rate()} for row, tally in made])


def _row(row: Row[Any], sums: Row[Any] | None, tally: Tally, now: float) -> Json:
    data: Mapping[str, Any] = row.data or {}
    total, over = (sums.runs, int(sums.over or 0)) if sums is not None else (0, 0)
    running = over < total
    end = now if running else (sums.completed_at if sums is not None else None) or row.created_at
    environment: Mapping[str, Any] = data.get("environment") or {}
    return {
        "id": str(row.id),
        "name": shown_name(row.id, row.name),
        "suite": row.eval or data.get("suite") or row.name,
        "evalId": row.eval_id,
        "started": iso_instant(row.created_at),
        "seconds": max(0.0, end - row.created_at),
        "state": "running" if running else "ended",
        "exit": None if running else _exit(tally.outcomes),
        "totals": {
            "cases": tally.planned,
            "runs": total,
            "passed": tally.cases.get("pass", 0),
            "failed": tally.cases.get("fail", 0),
            "undecided": tally.cases.get("undecided", 0),
            "errors": tally.cases.get("error", 0),
            "cancelled": tally.cases.get("cancelled", 0),
            "not_run": total - over,
        },
        "cost": float(sums.cost or 0.0) if sums is not None else 0.0,
        "unpriced": 0,
        "tokens": int(sums.tokens or 0) if sums is not None else 0,
        **origin_of(environment),
        "problem": None,
    }


def shown_name(execution_id: int, name: str) -> str:
    """The name of an execution for people: one that the service has made says nothing, and its number does."""
    return f"no. {execution_id}" if _MADE.fullmatch(name) else name


def _exit(counts: Mapping[str, int]) -> int:
    if counts.get("fail"):
        return 1
    return 3 if any(counts.get(word) for word in ("undecided", "error", "cancelled")) else 0


def _answer(data: object) -> Response:
    return Response(encoded(data), headers={"Cache-Control": "no-store"}, media_type=JSON)
