"""What an execution of the database comes to: its runs that are over, judged by the thresholds that it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pydantic_core import from_json
from sqlalchemy import ColumnElement, Connection, select

from duologue.journal.events import ErrorInfo
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.schema import executions, labels, results, runs
from duologue.runs.store.encoding import decoded_case, decoded_run
from duologue.runs.store.records import OVER, QueueStatus
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus, Verdict

_PAGE = 200
"""Runs that are read at once."""
_VERDICTS = frozenset(map(str, Verdict))
_SAID = ("messages", "system_prompts", "judgements")
"""Fields of a result that hold what was said: most of its bytes."""
_STATUS = {QueueStatus.COMPLETED: RunStatus.COMPLETED, QueueStatus.CANCELLED: RunStatus.CANCELLED}


def allowance_of(data: Mapping[str, Any]) -> Allowance:
    """How much may stay open, as the facts of an execution say."""
    return Allowance(**cast("dict[str, Any]", data.get("allowance") or {}))


def thresholds_of(data: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By group of test cases, the share of trials that checks need, as the facts of an execution say."""
    written = cast("Mapping[str, Mapping[str, float]]", data.get("thresholds") or {})
    return {group: dict(shares) for group, shares in written.items()}


async def execution_so_far(database: Connections, execution_id: int, *, whole: bool = False) -> ExecutionResult | None:
    """An execution with those of its runs that are over, as the database has them; None if there is none.

    Where neither checks nor metrics have thresholds of their own, the outcome of each run is all that decides, and no
    result is read.

    Args:
        database: that it is in.
        execution_id: its number.
        whole: read the results in any case, with conversations and checks.
    """
    asked = select(executions.c.name, executions.c.data, executions.c.created_at).where(executions.c.id == execution_id)
    row = await database.read(lambda connection: connection.execute(asked).first())
    if row is None:
        return None
    data = cast("Mapping[str, Any]", row.data)
    thresholds, metrics = thresholds_of(data), data.get("metrics_threshold")
    whole = whole or bool(thresholds) or metrics is not None
    found: list[RunResult] = []
    last = 0
    while page := await database.read(lambda connection, last=last: _page(connection, execution_id, last, whole=whole)):
        found += [run for _, run in page]
        last = page[-1][0]
    found.sort(key=lambda run: run.case.index)
    suite = str(data.get("suite") or row.name)
    return ExecutionResult(
        id=row.name,
        suite=suite,
        path=str(data.get("path") or ""),
        plan=Plan(suite=suite, cases=tuple(run.case for run in found), seed=0),
        runs=tuple(found),
        started_at=datetime.fromtimestamp(row.created_at, UTC),
        seconds=0.0,
        allowance=allowance_of(data),
        thresholds=thresholds,
        metrics_threshold=metrics,
    )


async def labelled_runs(
    database: Connections, project_id: str, *, execution_id: int | None = None, eval_id: str | None = None, most: int
) -> list[RunResult]:
    """The runs that people have labelled and that are over, with their results; of many, the newest.

    Args:
        database: that they are in.
        project_id: of the project.
        execution_id, eval_id: only runs of these; None for all.
        most: how many at most.
    """
    of_project = [runs.c.project_id == project_id, runs.c.number.in_(select(labels.c.run))]
    if execution_id is not None:
        of_project.append(runs.c.execution_id == execution_id)
    if eval_id is not None:
        of_project.append(runs.c.eval_id == eval_id)
    asked = select(runs.c.number).where(*of_project, runs.c.status.in_(map(str, OVER)))
    newest = asked.order_by(runs.c.number.desc()).limit(most)
    numbers = await database.read(lambda connection: list(connection.execute(newest).scalars()))
    found: list[RunResult] = []
    for begin in range(0, len(numbers), _PAGE):
        chosen = runs.c.number.in_(numbers[begin : begin + _PAGE])
        page = await database.read(lambda connection, chosen=chosen: _runs(connection, chosen, whole=True))
        found += [run for _, run in page]
    return found


def runs_with_results(
    connection: Connection, numbers: Sequence[int], *, said: bool = True
) -> list[tuple[int, RunResult]]:
    """Runs that are over with their results, by number; at most 200 at once.

    Args:
        connection: to the database.
        numbers: of the runs.
        said: whether conversations, prompts and what judges wrote are wanted, too.
    """
    return _runs(connection, runs.c.number.in_(numbers), runs.c.status.in_(map(str, OVER)), whole=True, said=said)


def _page(connection: Connection, execution_id: int, after: int, *, whole: bool) -> list[tuple[int, RunResult]]:
    of_page = [runs.c.execution_id == execution_id, runs.c.number > after, runs.c.status.in_(map(str, OVER))]
    return _runs(connection, *of_page, whole=whole)


def _runs(
    connection: Connection, *which: ColumnElement[bool], whole: bool, said: bool = True
) -> list[tuple[int, RunResult]]:
    columns = [runs.c[name] for name in ("number", "id", "test_case", "status", "outcome", "error")]
    asked = select(*columns, results.c.data) if whole else select(*columns)
    if whole:
        asked = asked.join_from(runs, results, results.c.run == runs.c.number, isouter=True)
    asked = asked.where(*which).order_by(runs.c.number).limit(_PAGE)
    made: list[tuple[int, RunResult]] = []
    for row in connection.execute(asked):
        case, status = decoded_case(from_json(row.test_case)), QueueStatus(row.status)
        if not whole or not row.data:
            made.append((row.number, _told(case, row.id, status, row.outcome, row.error)))
            continue
        data = from_json(row.data)
        kept = data if said else {name: value for name, value in data.items() if name not in _SAID}
        # Somebody may have changed the outcome by hand, which counts then.
        kept |= {"status": _ended(status), "verdict": _verdict(status, row.outcome)}
        made.append((row.number, decoded_run(kept, f"run {row.id}", case)))
    return made


def _ended(status: QueueStatus) -> RunStatus:
    return _STATUS.get(status, RunStatus.ERROR)


def _verdict(status: QueueStatus, outcome: str | None) -> Verdict | None:
    """Of a run that somebody has called completed, and said no result of, nothing is decided."""
    if status is not QueueStatus.COMPLETED:
        return None
    return Verdict(outcome) if outcome in _VERDICTS else Verdict.UNDECIDED


def _told(case: TestCase, run_id: str, status: QueueStatus, outcome: str | None, error: str | None) -> RunResult:
    """A run as its row says, without what was said in it."""
    ended = _ended(status)
    told = ErrorInfo(type="RunError", message=error or "") if ended is RunStatus.ERROR else None
    return RunResult(case=case, run_id=run_id, status=ended, verdict=_verdict(status, outcome), error=told)
