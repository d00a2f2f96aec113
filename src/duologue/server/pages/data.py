"""Executions and runs as pages show them: the shapes of ``duologue/web/static/source.js``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from pydantic_core import from_json
from sqlalchemy import select
from starlette.responses import Response

from duologue.config.collection import without_collection
from duologue.config.patterns import late
from duologue.errors import ArtifactError, JournalError, NotFoundError
from duologue.frozen import changed
from duologue.reports.html.changes import changes_between
from duologue.reports.html.data import Media, Prompts, agent_figures, calibration_table, run_data
from duologue.reports.html.overview import Overview, trial_of
from duologue.reports.html.search import SECONDS, MessageSearch, filtered, found_page, parts_left
from duologue.reports.html.timeline import timeline_of_entries
from duologue.runs.store.database.execution_result import labelled_runs, runs_with_results
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.labels import Labels, label_of
from duologue.runs.store.database.schema import results, runs
from duologue.runs.store.encoding import decoded_case, encoded
from duologue.runs.store.records import OVER, QueueStatus
from duologue.server.auth import Caller, Reader
from duologue.server.execution_view import MISSING, ExecutionView, read_in_thread
from duologue.server.pages.lists import row_before, shown_name
from duologue.server.preconditions import JSON
from duologue.server.routes.executions import ExecutionId
from duologue.server.routes.runs import RunId
from duologue.suites.calibration.calibrate import Calibration, calibrate
from duologue.suites.plan.build import TestCase
from duologue.suites.results.execution import groups_of
from duologue.suites.results.from_journal import run_result
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus

routes = APIRouter(prefix="/api/pages", include_in_schema=False)
Json = dict[str, Any]
_DIGEST = late(r"[0-9a-f]{64}")
ROWS = 40
"""Rows of a matrix that are shown at first."""
UNDER_WAY = 200
"""Runs under way that are named."""
_Offset = Annotated[int, Query(ge=0, le=10_000_000)]
_Limit = Annotated[int, Query(ge=1, le=1000)]


@routes.get("/executions/{execution_id}")
async def get_execution(caller: Reader, execution_id: ExecutionId) -> Response:
    """An execution without its runs."""
    asked = caller.state.database.context.clock.monotonic()
    view = await caller.state.views.of(caller.project.id, execution_id)
    cursor, again = view.cursor, view.again_since(asked)  # before anything newer is read
    _, overview = await _overview(caller, execution_id)

    def made() -> Json:
        version = view.version
        if known := view.known("page"):
            return known
        matrix = view.matrix(overview)
        rows: list[Json] = matrix["rows"]
        shown = rows if len(rows) <= ROWS else sorted(rows, key=_is_passed)[:ROWS]
        lines = view.lines(overview)
        found = overview.data(most=MISSING)
        outcomes = {line["outcome"] for line in lines}
        found["filters"]["outcome"] += [word for word in ("running", "queued") if word in outcomes]
        data = {
            **found,
            "id": str(view.id),
            "name": shown_name(view.id, view.name),
            "evalId": view.eval_id,
            "matrix": {"agents": matrix["agents"], "rows": shown, "total": len(rows)},
            "open": sum(line["outcome"] in {"running", "queued"} for line in lines),
            "underWay": [_named(line) for line in lines if line["outcome"] == "running"][:UNDER_WAY],
            "version": version,
        }
        return view.keep("page", data, version)

    def worked() -> Json:
        with view.work():
            return made()

    data = await asyncio.to_thread(worked)
    calibration = calibration_table(await calibration_of(caller, execution_id))
    found = {**data, "calibration": calibration, "cursor": str(cursor) if cursor else None}
    return _answer({**found, **({"again": again} if again else {})})


@routes.get("/executions/{execution_id}/matrix")
async def get_matrix(caller: Reader, execution_id: ExecutionId, offset: _Offset = 0, limit: _Limit = 400) -> Response:
    """Rows of the matrix, in the order of the plan."""
    view, overview = await _overview(caller, execution_id)
    matrix = await asyncio.to_thread(view.matrix, overview)
    return _answer(matrix["rows"][offset : offset + limit])


@routes.get("/executions/{execution_id}/change")
async def get_change(caller: Reader, execution_id: ExecutionId) -> Response:
    """What changed since the execution of the suite before this one."""
    row = await row_before(caller, execution_id)
    if row is None:
        return _answer({"before": None})
    _, after = await _overview(caller, execution_id)
    _, before = await _overview(caller, int(row["id"]))
    found = await asyncio.to_thread(changes_between, before, after)
    return _answer({"before": {name: row[name] for name in ("id", "name", "started", "rate", "commit")}, **found})


@routes.get("/executions/{execution_id}/figures")
async def get_figures(caller: Reader, execution_id: ExecutionId) -> Response:
    """What each agent has spent, and how long its answers took."""
    view = await caller.state.views.of(caller.project.id, execution_id)
    found, version = view.known("figures"), view.version
    if found is None:
        with without_collection():
            whole = await whole_runs(caller, [number for number, row in view.rows.items() if row.status in OVER])
            made = await asyncio.to_thread(lambda: agent_figures(view.execution(whole)))
        found = view.keep("figures", made, version)
    return _answer({"agents": found})


@routes.get("/executions/{execution_id}/runs")
async def list_runs(
    request: Request,
    caller: Reader,
    execution_id: ExecutionId,
    offset: _Offset = 0,
    limit: _Limit = 100,
    around: Annotated[str | None, Query(max_length=200)] = None,
    further: bool = False,
) -> Response:
    """Runs as a list shows them, filtered as the address of the page says. ``further`` goes on with a search."""
    view, overview = await _overview(caller, execution_id)
    wanted = request.query_params
    words = wanted.get("q", "")
    lines = await asyncio.to_thread(lambda: view.lines(overview))
    left = filtered(lines, wanted)
    search = None
    if words.strip():
        search, new = caller.state.searches.of((caller.project.id, execution_id), words)
        if new or further:
            await _look(caller, view, search, left)
    found = found_page(left, words, search, offset=offset, limit=limit, around=around)
    return _answer({**found, "all": len(lines)})


async def _look(caller: Caller, view: ExecutionView, search: MessageSearch, lines: list[Json]) -> None:
    """Look into conversations for as long as one look may take."""
    clock = caller.state.database.context.clock
    end = clock.monotonic() + SECONDS
    numbers = {row.id: number for number, row in view.rows.items()}
    for part in parts_left(search, lines):
        wanted = [numbers[line["id"]] for line in part if line["id"] in numbers]
        asked = (
            select(runs.c.id, results.c.data)
            .join_from(runs, results, results.c.run == runs.c.number)
            .where(runs.c.number.in_(wanted))
        )
        rows = await caller.state.database.read(lambda connection, asked=asked: connection.execute(asked).all())
        await asyncio.to_thread(_take, search, part, {row.id: row.data for row in rows})
        if clock.monotonic() >= end:
            return


def _take(search: MessageSearch, part: list[Json], data: Mapping[str, str | bytes]) -> None:
    for line in part:
        try:
            search.take(line, from_json(data.get(line["id"]) or "null"))
        except ValueError:
            search.take(line, None)


@routes.get("/executions/{execution_id}/runs/{run_id}/trials")
async def get_trials(caller: Reader, execution_id: ExecutionId, run_id: RunId) -> Response:
    """All trials of the test case of a run."""
    view, overview = await _overview(caller, execution_id)
    lines = view.lines(overview)
    here = next((line for line in lines if line["id"] == run_id), None)
    if here is None:
        raise NotFoundError(f'Run with id "{run_id}" not found')
    if here["group"] >= 0:
        return _answer(overview.trials_of(run_id))
    same = [trial_of(line) for line in lines if _case_of(line) == _case_of(here)]
    return _answer({"passRate": None, "runs": same})


@routes.get("/runs/{run_id}")
async def get_run(caller: Reader, run_id: RunId) -> Response:
    """Everything about a run: its result, or as much as its journal has so far."""
    return _answer(await _run(caller, run_id))


@routes.get("/runs/{run_id}/calls")
async def get_calls(caller: Reader, run_id: RunId) -> Response:
    """What happened in the newest attempt of a run, in order: model calls with what came back, tools, messages."""
    asked = select(runs.c.number).where(runs.c.id == run_id, runs.c.project_id == caller.project.id)
    if await caller.state.database.read(lambda connection: connection.execute(asked).first()) is None:
        raise NotFoundError(f'Run with id "{run_id}" not found')
    journals = Journals(caller.state.database, caller.state.artifacts)
    if not await journals.attempts(run_id):
        return _answer([])
    read = await journals.read(run_id)
    return _answer(await asyncio.to_thread(timeline_of_entries, read.entries))


def _media(caller: Caller, run_id: str) -> Media:
    """The media of a run, at the addresses where the API sends them."""
    base, query = f"/api/v1/runs/{quote(run_id, safe='')}/artifacts", urlencode({"project": caller.project.id})

    def address(path: str) -> str | None:
        found = _DIGEST.fullmatch(path.rpartition("/")[2].partition(".")[0])
        return f"{base}/{found[0]}?{query}" if found else None

    return Media(address=address)


async def _run(caller: Caller, run_id: str) -> Json:
    names = (
        "number",
        "execution_id",
        "test_case",
        "status",
        "outcome",
        "scenario_id",
        "connector_id",
        "reason",
        "error",
    )
    asked = select(*(runs.c[name] for name in names)).where(runs.c.id == run_id, runs.c.project_id == caller.project.id)
    row = await caller.state.database.read(lambda connection: connection.execute(asked).first())
    if row is None:
        raise NotFoundError(f'Run with id "{run_id}" not found')
    status = QueueStatus(row.status)
    found = (await whole_runs(caller, [row.number])) if status in OVER else []
    case = decoded_case(from_json(row.test_case))
    result = found[0] if found and found[0].messages else await _of_journal(caller, run_id, case, found)
    prompts = Prompts()
    group = groups_of([result], {})[0]
    data = await asyncio.to_thread(run_data, result, -1, group, prompts, _media(caller, run_id))
    made: Json = {
        **data,
        "id": run_id,
        "prompts": list(prompts.texts),
        "execution": row.execution_id,
        "scenarioId": row.scenario_id,
        "connectorId": row.connector_id,
    }
    if status not in OVER:
        made |= {"running": True, "outcome": "running" if status is QueueStatus.RUNNING else "queued"}
    return made


async def _of_journal(caller: Caller, run_id: str, case: TestCase, over: Sequence[RunResult]) -> RunResult:
    """What the newest journal of a run says; what is known without it where there is none that can be read."""
    journals = Journals(caller.state.database, caller.state.artifacts)
    try:
        attempts = await journals.attempts(run_id)
        read = await journals.read(run_id, attempt=attempts[-1]) if attempts else None
        if read is not None:
            made = await asyncio.to_thread(run_result, case, read.entries, read.view)
            return made if not over else _with_outcome(made, over[0])
    except (JournalError, ArtifactError):
        pass
    return over[0] if over else RunResult(case=case, run_id=run_id, status=RunStatus.RUNNING)


async def whole_runs(caller: Caller, numbers: Sequence[int]) -> list[RunResult]:
    """Results of runs that are over, with their conversations, in the order of the plan."""
    found: list[RunResult] = []
    for begin in range(0, len(numbers), 200):
        part = numbers[begin : begin + 200]
        page = await caller.state.database.read(lambda connection, part=part: runs_with_results(connection, part))
        found += [run for _, run in page]
    return sorted(found, key=lambda run: run.case.index)


async def _overview(caller: Caller, execution_id: int) -> tuple[ExecutionView, Overview]:
    view = await caller.state.views.of(caller.project.id, execution_id)
    loop = asyncio.get_running_loop()

    def read(run_id: str) -> RunResult | None:
        number = next((number for number, row in view.rows.items() if row.id == run_id), None)
        if number is None:
            return None
        found = read_in_thread(loop, lambda: whole_runs(caller, [number]))
        return found[0] if found else None

    return view, await view.overview(read)


async def calibration_of(caller: Caller, execution_id: int) -> Calibration | None:
    """How well the judge agrees with people; None where nobody has labelled anything."""
    database, project = caller.state.database, caller.project.id
    found = await labelled_runs(database, project, execution_id=execution_id, most=500)
    if not found:
        return None
    said = await Labels(database, project).of_runs([run.run_id for run in found])
    return await asyncio.to_thread(lambda: calibrate([label_of(item) for item in said], found))


def _with_outcome(made: RunResult, over: RunResult) -> RunResult:
    """A run that was read from its journal, with what its row says came of it."""
    return changed(
        made, run_id=over.run_id, status=over.status, verdict=over.verdict, error=over.error, reasoning=over.reasoning
    )


def _named(line: Json) -> Json:
    return {name: line[name] for name in ("id", "title", "outcome")}


def _case_of(line: Json) -> tuple[object, ...]:
    return tuple(str(line[name]) for name in ("scenario", "agent", "persona", "region", "perturbation", "recording"))


def _is_passed(row: Json) -> bool:
    return all(cell["outcome"] == "pass" for cell in row["cells"].values())


def _answer(data: object) -> Response:
    return Response(encoded(data), headers={"Cache-Control": "no-store"}, media_type=JSON)
