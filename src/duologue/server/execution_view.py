"""An execution as pages show it, kept up to date by reading what has changed since the last look.

A page is looked at again and again while its execution runs, and an execution may have ten thousand runs. So results
are read once, without their conversations, and kept for as long as somebody looks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TypeVar, cast

from pydantic_core import from_json
from sqlalchemy import Connection, func, select

from duologue.config.collection import without_collection
from duologue.context import Clock
from duologue.errors import NotFoundError
from duologue.reports.html.overview import Overview, case_data, varied_of
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.execution_result import allowance_of, runs_with_results, thresholds_of
from duologue.runs.store.database.schema import evals, executions, runs
from duologue.runs.store.encoding import decoded_case, index_of
from duologue.runs.store.records import OVER, QueueStatus
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult

Json = dict[str, Any]
T = TypeVar("T")

MOST_RUNS = 40_000
"""Runs of the executions that are kept."""
FRESH = 0.25
"""Seconds in which an execution is not looked at again."""
MISSING = 50
"""Titles of test cases that were not run."""
_OVERLAP = 2.0
"""Seconds: rows are looked at again that were written so shortly before, since transactions end in another order."""
_PART = 200


@dataclass(kw_only=True, eq=False)
class _Row:
    """A run as it stands."""

    id: str
    case: TestCase
    status: QueueStatus
    started_at: float | None
    completed_at: float | None
    changed_at: float
    result: RunResult | None = None


@dataclass(kw_only=True, eq=False)
class ExecutionView:
    """One execution.

    Attributes:
        version: goes up with everything that changes.
        name, suite: of the execution, and of the eval or suite that it is of.
    """

    database: Connections
    id: int
    project_id: str
    version: int = 0
    name: str = ""
    suite: str = ""
    eval_id: str | None = None
    created_at: float = 0.0
    now: float = 0.0
    rows: dict[int, _Row] = field(default_factory=dict[int, _Row])
    _data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    _since: float = 0.0
    _looked: float | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _making: Lock = field(default_factory=Lock)
    _made: tuple[int, Overview] | None = None
    _lines: tuple[int, list[Json]] | None = None
    _kept: dict[str, tuple[int, Any]] = field(default_factory=dict[str, tuple[int, Any]])

    async def refresh(self) -> None:
        """Read what is new.

        Raises:
            NotFoundError: the execution is not there any more.
        """
        clock: Clock = self.database.context.clock
        async with self._lock:
            if self._looked is not None and clock.monotonic() - self._looked < FRESH:
                return
            with without_collection():
                while await self._read():
                    pass
            self._looked = clock.monotonic()

    async def _read(self) -> bool:
        """Read rows that have changed. Returns whether there are more."""
        row, total, now, found = await self.database.read(self._look)
        if row is None:
            raise NotFoundError(f"Execution {self.id} not found")
        self.name, self.eval_id, self.created_at, self.now = row.name, row.eval_id, row.created_at, now
        self._data = row.data
        self.suite = str(row.eval or row.data.get("suite") or row.name)
        over = [number for number, item in found.items() if item.status in OVER]
        for number, result in (await self._results(over)).items():
            found[number].result = result
        self.rows.update(found)
        gone = len(self.rows) > total
        if gone:
            there = await self.database.read(self._numbers)
            self.rows = {number: item for number, item in self.rows.items() if number in there}
        self.version += bool(found) or gone
        missed = len(self.rows) < total and self._since > 0.0
        self._since = 0.0 if missed else now
        return missed

    def _look(self, connection: Connection) -> tuple[Any, int, float, dict[int, _Row]]:
        row = connection.execute(
            select(executions, evals.c.name.label("eval"))
            .join(evals, evals.c.id == executions.c.eval_id, isouter=True)
            .where(executions.c.id == self.id, executions.c.project_id == self.project_id)
        ).first()
        of_it = runs.c.execution_id == self.id
        total = connection.execute(select(func.count()).select_from(runs).where(of_it)).scalar() or 0
        now = self.database.now(connection)
        names = ("number", "id", "test_case", "status", "started_at", "completed_at", "updated_at")
        asked = select(*(runs.c[name] for name in names)).where(of_it, runs.c.updated_at >= self._since - _OVERLAP)
        found: dict[int, _Row] = {}
        for item in connection.execute(asked.order_by(runs.c.number)):
            known = self.rows.get(item.number)
            made = _Row(
                id=item.id,
                case=known.case if known is not None else decoded_case(from_json(item.test_case)),
                status=QueueStatus(item.status),
                started_at=item.started_at,
                completed_at=item.completed_at,
                changed_at=item.updated_at,
            )
            if known is None or _facts(known) != _facts(made):
                found[item.number] = made
        return row, total, now, found

    async def _results(self, numbers: Sequence[int]) -> dict[int, RunResult]:
        found: dict[int, RunResult] = {}
        for begin in range(0, len(numbers), _PART):
            part = numbers[begin : begin + _PART]
            found |= await self.database.read(lambda connection, part=part: _without_words(connection, part))
        return found

    def _numbers(self, connection: Connection) -> set[int]:
        return set(connection.execute(select(runs.c.number).where(runs.c.execution_id == self.id)).scalars())

    @property
    def open(self) -> list[_Row]:
        """Runs that are not over, in the order of the plan."""
        return [item for item in self._in_order() if item.result is None]

    def _in_order(self) -> list[_Row]:
        return sorted(self.rows.values(), key=lambda item: (item.case.index, item.id))

    @property
    def results(self) -> list[RunResult]:
        """Runs that are over, without their conversations, in the order of the plan."""
        return [item.result for item in self._in_order() if item.result is not None]

    def execution(self, results: Sequence[RunResult]) -> ExecutionResult:
        """The execution with these runs."""
        data, suite = self._data, self.suite
        ends = [item.completed_at for item in self.rows.values() if item.completed_at is not None]
        running = any(item.status not in OVER for item in self.rows.values())
        end = self.now if running else max(ends, default=self.created_at)
        return ExecutionResult(
            id=self.name,
            suite=suite,
            path=str(data.get("path") or ""),
            plan=Plan(suite=suite, cases=tuple(item.case for item in self._in_order()), seed=_seed(data)),
            runs=tuple(results),
            started_at=datetime.fromtimestamp(self.created_at, UTC),
            seconds=max(0.0, end - self.created_at),
            running=running,
            allowance=allowance_of(data),
            environment=dict(cast("Mapping[str, Any]", data.get("environment") or {})),
            thresholds=thresholds_of(data),
            metrics_threshold=cast("float | None", data.get("metrics_threshold")),
        )

    def overview(self, read: Callable[[str], RunResult | None]) -> Overview:
        """What pages ask of its index. Takes as long as the execution is large: call it in a thread."""
        with self._making:
            if self._made is None or self._made[0] != self.version:
                version = self.version
                with without_collection():
                    self._made = version, Overview(index_of(self.execution(self.results)), read)
            return self._made[1]

    def known(self, name: str) -> Any:
        """What was kept under a name; None if something has changed since."""
        version, value = self._kept.get(name, (-1, None))
        return value if version == self.version else None

    def keep(self, name: str, value: T, version: int) -> T:
        """Keep what was made of it, for as long as nothing changes.

        Args:
            name: of what is kept.
            value: that was made.
            version: of which it was made.
        """
        self._kept[name] = version, value
        return value

    def lines(self, overview: Overview) -> list[Json]:
        """All runs as a list shows them, those that are not over included, in the order of the plan."""
        if self._lines is None or self._lines[0] != self.version:
            over = {line["id"]: line for line in overview.lines}
            made = [over.get(item.id) or _open_line(item) for item in self._in_order()]
            self._lines = self.version, made
        return self._lines[1]

    def matrix(self, overview: Overview) -> Json:
        """The whole matrix. Its rows are there from the beginning, so that nothing moves while it fills."""
        rows = {(row["scenario"], row["varied"]): row for row in overview.rows()}
        ordered: dict[tuple[str, str], Json] = {}
        agents: dict[str, None] = {}
        for item in self._in_order():
            key = (item.case.scenario, varied_of(item.case))
            row = ordered.setdefault(key, {"scenario": key[0], "varied": key[1], "cells": {}})
            agent = item.case.agent or ""
            agents[agent] = None
            made = rows.get(key, {}).get("cells", {}).get(agent)
            cell = row["cells"].setdefault(agent, dict(made) if made else _open_cell(item))
            if made is None and item.status is QueueStatus.RUNNING:
                cell["outcome"] = "running"
            if item.result is None:
                cell["open"] = cell.get("open", 0) + 1
        return {"agents": list(agents), "rows": list(ordered.values())}


def _without_words(connection: Connection, numbers: Sequence[int]) -> dict[int, RunResult]:
    """Results without what was said."""
    return dict(runs_with_results(connection, numbers, said=False))


def _facts(row: _Row) -> tuple[object, ...]:
    """What pages show of it. The row of a run under way changes all the time, because its worker says that it lives."""
    return row.status, row.started_at, row.completed_at, row.changed_at if row.status in OVER else None


def _seed(data: Mapping[str, Any]) -> int:
    seed = data.get("seed")
    return seed if isinstance(seed, int) else 0


def _open_cell(item: _Row) -> Json:
    case = item.case
    title = case.title.rsplit(" #", 1)[0] if case.trials > 1 else case.title
    outcome = "running" if item.status is QueueStatus.RUNNING else "queued"
    return {"title": title, "outcome": outcome, "passed": 0, "runs": 1, "run": item.id}


def _open_line(item: _Row) -> Json:
    return {
        "id": item.id,
        "title": item.case.title,
        "outcome": "running" if item.status is QueueStatus.RUNNING else "queued",
        "reason": "",
        "termination": None,
        "turns": 0,
        "cost": 0.0,
        "unpriced": 0,
        "tokens": 0,
        "seconds": 0.0,
        **case_data(item.case),
        "tags": [],
        "group": -1,
        "excused": False,
    }


class ExecutionViews:
    """The executions that somebody looks at.

    Args:
        database: that they are in.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database
        self._views: OrderedDict[tuple[str, int], ExecutionView] = OrderedDict()

    async def of(self, project_id: str, execution_id: int) -> ExecutionView:
        """An execution of a project, as it stands now.

        Raises:
            NotFoundError: there is none.
        """
        key = (project_id, execution_id)
        view = self._views.get(key)
        if view is None:  # whoever asks meanwhile waits for the same one
            view = ExecutionView(database=self._database, id=execution_id, project_id=project_id)
            self._views[key] = view
        self._views.move_to_end(key)
        try:
            await view.refresh()
        except NotFoundError:
            self._views.pop(key, None)
            raise
        while len(self._views) > 1 and sum(len(item.rows) for item in self._views.values()) > MOST_RUNS:
            self._views.popitem(last=False)
        return view


def read_in_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Wait, in a thread, for something that only the event loop can do."""
    return asyncio.run_coroutine_threadsafe(work(), loop).result()
