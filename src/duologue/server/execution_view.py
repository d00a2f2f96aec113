"""An execution as pages show it, kept up to date by reading what has changed since the last look.

A page is looked at again and again while its execution runs, and an execution may have ten thousand runs. So results
are read once, without their conversations, and kept for as long as somebody looks. What an execution came to is kept in
the database as soon as it is over and somebody has looked, and from then on no result is read for its pages. While it
runs, it is looked at as rarely as it takes to keep the work a fraction of the time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar, cast

from pydantic_core import from_json
from sqlalchemy import Connection, Row, func, select

from duologue.config.collection import without_collection
from duologue.context import Clock
from duologue.errors import NotFoundError, StoreError
from duologue.reports.html.overview import Overview, case_data, varied_of
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.execution_events import newest_event
from duologue.runs.store.database.execution_indexes import (
    STATE,
    execution_row,
    index_key,
    keep_index,
    kept_index,
    packed_index,
)
from duologue.runs.store.database.execution_result import allowance_of, runs_with_results, thresholds_of
from duologue.runs.store.database.schema import runs
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
SHARE = 3
"""Times as long as it took to read and show its last change, an execution under way is not looked at again."""
MISSING = 50
"""Titles of test cases that were not run."""
_OVERLAP = 2.0
"""Seconds: rows are looked at again that were written so shortly before, since transactions end in another order."""
_PART = 200


@dataclass(kw_only=True, eq=False)
class _Row:
    """A run as it stands."""

    id: str
    written: bytes
    status: QueueStatus
    started_at: float | None
    completed_at: float | None
    state: tuple[object, ...]
    result: RunResult | None = None

    @cached_property
    def case(self) -> TestCase:
        """Its test case."""
        return decoded_case(from_json(self.written))


@dataclass(kw_only=True, eq=False)
class ExecutionView:
    """One execution.

    Attributes:
        version: goes up with everything that changes.
        cursor: the newest of its events of which all is known that they tell.
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
    cursor: int = 0
    rows: dict[int, _Row] = field(default_factory=dict[int, _Row])
    _data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    _since: float = 0.0
    _looked: float | None = None
    _changed: float = 0.0
    _work: float = 0.0
    _over: int = -1
    _facts: tuple[object, ...] = ()
    _key: str = ""
    _index: Json | None = None
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
        async with self._lock:
            if self.again > 0.0:
                return
            version, began, work = self.version, self._clock.monotonic(), self._work
            self._work = 0.0
            self.cursor = await newest_event(self.database, self.id)
            with without_collection():
                while await self._read():
                    pass
            self._looked = self._clock.monotonic()
            if self.version == version:  # nothing is shown anew
                self._work = work
            else:
                self._changed = self._looked
                self._work += self._looked - began

    @property
    def again(self) -> float:
        """Seconds after which it is looked at again; 0 if whoever asks next sees it as it stands then."""
        if self._looked is None:
            return 0.0
        next_ = self._looked + FRESH
        if not self.over:
            next_ = max(next_, self._changed + SHARE * self._work)
        return max(0.0, next_ - self._clock.monotonic())

    def again_since(self, asked: float) -> float:
        """Seconds after which whoever asked then sees what may have changed meanwhile; 0 for those who see it.

        Args:
            asked: an instant of the monotonic clock.
        """
        return 0.0 if self._looked is None or self._looked >= asked else self.again

    @property
    def over(self) -> bool:
        """Whether all of its runs are over."""
        return self._over == self.version

    @contextmanager
    def work(self) -> Generator[None]:
        """Around what has to be done anew for each change: the longer it takes, the rarer it is done."""
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._work += self._clock.monotonic() - began

    @property
    def _clock(self) -> Clock:
        return self.database.context.clock

    async def _read(self) -> bool:
        """Read rows that have changed. Returns whether there are more."""
        row, total, now, found = await self.database.read(self._look)
        if row is None:
            raise NotFoundError(f"Execution {self.id} not found")
        self.name, self.eval_id, self.created_at, self.now = row.name, row.eval_id, row.created_at, now
        facts = (row.name, row.eval, row.data)
        renamed = self._facts != facts
        self._facts, self._data = facts, row.data
        self.suite = str(row.eval or row.data.get("suite") or row.name)
        rows = {**self.rows, **found}
        gone = len(rows) > total
        if gone:
            there = await self.database.read(self._numbers)
            rows = {number: item for number, item in rows.items() if number in there}
        if found or gone or renamed:
            await self._take(row, rows)
        missed = len(self.rows) < total and self._since > 0.0
        self._since = 0.0 if missed else now
        return missed

    async def _take(self, execution: Row[Any], rows: dict[int, _Row]) -> None:
        """Take what was read: with the index that was kept of an execution that is over, else with all results."""
        key, index = "", None
        over = all(item.status in OVER for item in rows.values())
        if over and rows:
            key = index_key(execution, (rows[number].state for number in sorted(rows)))
            index = await self.database.read(lambda connection: kept_index(connection, self.id, key))
        if index is None:
            await self._read_results(rows)
        else:
            self._index = index  # before the rows: threads that show them need the one or the other
        self.rows = rows
        self._index, self._key = index, key
        self.version += 1
        self._over = self.version if over else -1

    async def _read_results(self, rows: Mapping[int, _Row]) -> None:
        lacking = [number for number, item in rows.items() if item.status in OVER and item.result is None]
        for number, result in (await self._results(lacking)).items():
            rows[number].result = result

    def _look(self, connection: Connection) -> tuple[Any, int, float, dict[int, _Row]]:
        row = connection.execute(execution_row(self.id, self.project_id)).first()
        of_it = runs.c.execution_id == self.id
        total = connection.execute(select(func.count()).select_from(runs).where(of_it)).scalar() or 0
        now = self.database.now(connection)
        columns = [runs.c[name] for name in (*STATE, "test_case")]
        asked = select(*columns).where(of_it, runs.c.updated_at >= self._since - _OVERLAP)
        found: dict[int, _Row] = {}
        for *state, written in connection.execute(asked.order_by(runs.c.number)):
            number, id_, status, _, _, _, started_at, completed_at, _ = state
            made = _Row(
                id=id_,
                written=written,
                status=QueueStatus(status),
                started_at=started_at,
                completed_at=completed_at,
                state=tuple(state),
            )
            known = self.rows.get(number)
            if known is None or _facts(known) != _facts(made):
                found[number] = made
        return row, total, now, found

    async def _results(self, numbers: Sequence[int]) -> dict[int, RunResult]:
        found: dict[int, RunResult] = {}
        for begin in range(0, len(numbers), _PART):
            part = numbers[begin : begin + _PART]
            found |= await self.database.read(lambda connection, part=part: _without_words(connection, part))
        return found

    def _numbers(self, connection: Connection) -> set[int]:
        return set(connection.execute(select(runs.c.number).where(runs.c.execution_id == self.id)).scalars())

    def _in_order(self) -> list[_Row]:
        return sorted(self.rows.values(), key=lambda item: (item.case.index, item.id))

    async def results(self) -> list[RunResult]:
        """Runs that are over, without their conversations, in the order of the plan."""
        async with self._lock:
            await self._read_results(self.rows)
        return await asyncio.to_thread(self._known_results)

    def _known_results(self) -> list[RunResult]:
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

    async def overview(self, read: Callable[[str], RunResult | None]) -> Overview:
        """What pages ask of its index, which is kept if the execution is over."""
        overview, packed = await asyncio.to_thread(self._overview, read)
        if packed is not None:
            key, data = packed
            with suppress(StoreError):  # it is made again by whoever looks next
                await self.database.write(
                    lambda connection: keep_index(connection, self.id, key, data, self.database.now(connection))
                )
        return overview

    def _overview(self, read: Callable[[str], RunResult | None]) -> tuple[Overview, tuple[str, bytes] | None]:
        """The overview, and what is to be kept of it. Takes as long as the execution is large."""
        with self._making:
            if self._made is not None and self._made[0] == self.version:
                return self._made[1], None
            version, key, index = self.version, self._key, self._index
            packed = None
            with self.work(), without_collection():
                if index is None:
                    index = index_of(self.execution(self._known_results()))
                    packed = (key, packed_index(index)) if key else None
                self._made = version, Overview(index, read)
            return self._made[1], packed

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
            if len(overview.lines) == len(self.rows):
                made = overview.lines
            else:
                over = {line["id"]: line for line in overview.lines}
                made = [over.get(item.id) or _open_line(item) for item in self._in_order()]
            self._lines = self.version, made
        return self._lines[1]

    def matrix(self, overview: Overview) -> Json:
        """The whole matrix. Its rows are there from the beginning, so that nothing moves while it fills."""
        if len(overview.lines) == len(self.rows):
            return {"agents": overview.agents(), "rows": overview.rows()}
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
    return row.status, row.started_at, row.completed_at, row.state if row.status in OVER else None


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
