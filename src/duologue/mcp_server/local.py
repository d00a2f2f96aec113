"""This machine as a workspace: results folders and suites below a folder, and a database of runs if there is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from duologue.errors import ConfigurationError, DuologueError, MissingExtraError, NotFoundError
from duologue.mcp_server.folders import ResultsFolders
from duologue.mcp_server.workspace import Kind, Progress, Row, Rows, SuiteLaunch, WantedRuns, Which, require_no_limit
from duologue.reports.markdown import render_markdown
from duologue.suites.comparison import compare_executions
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult, reason_of

if TYPE_CHECKING:
    from duologue.mcp_server.database import StoredRuns

PREFIX = "db:"
"""Begins the name of an execution of the database."""
_MOST_STORED = 1_000
"""Executions of the database that are listed."""


class LocalWorkspace:
    """A folder, and the database that belongs to it.

    Args:
        folders: below the folder.
        stored: the runs of the database; None if there is none.
        why_not: why there is none.
    """

    def __init__(self, folders: ResultsFolders, stored: StoredRuns | None, why_not: str = "") -> None:
        self._folders = folders
        self._stored = stored
        self._why_not = why_not
        self._open = AsyncExitStack()

    @classmethod
    async def open(cls, folder: Path, *, store: str | None = None, project: str | None = None) -> Self:
        """Open a folder, and a database.

        Args:
            folder: that is worked in.
            store: URL, folder or file of the database; None for the usual one, if it exists.
            project: its name or id; None for the only one there is.

        Raises:
            ConfigurationError: a database or project that was named cannot be opened.
        """
        held = AsyncExitStack()
        stored, why_not = None, ""
        try:
            stored = await held.enter_async_context(_stored_runs(store, project))
        except DuologueError as error:
            if store is not None or project is not None:
                raise
            why_not = str(error)
        made = cls(ResultsFolders(folder), stored, why_not)
        made._open = held
        return made

    @property
    def about(self) -> str:
        """Where it is."""
        database = f" and the database {self._stored.database.address}" if self._stored else ""
        return f"the folder {self._folders.root}{database}"

    async def definitions(self, kind: Kind, limit: int, after: str | None) -> Rows:
        """What is defined: suites as files, everything else in the database."""
        if kind == "suites":
            names = await asyncio.to_thread(self._folders.suites)
            rows = [{"suite": name} for name in names]
            return _part(rows, "suite", limit, after)
        return await self._database().definitions(kind, limit, after)

    async def executions(self, limit: int, after: str | None) -> Rows:
        """Those of folders and of the database, the newest first."""
        found = await asyncio.to_thread(self._folders.executions)
        rows: list[Row] = list(found.rows)
        if self._stored is not None:
            rows += await self._stored.executions(_MOST_STORED)
        rows.sort(key=lambda row: str(row["started_at"]), reverse=True)
        part = _part(rows, "execution", limit, after)
        return Rows(rows=part.rows, next=part.next, notes=found.notes)

    async def runs(self, wanted: WantedRuns, limit: int, after: str | None) -> Rows:
        """Runs of an execution, or the newest of the database."""
        if wanted.execution is None or self._folder(wanted.execution) is None:
            return await self._database().runs(wanted, limit, after)
        execution = await self._execution(wanted.execution)
        rows = [
            _run_row(run)
            for run in execution.runs
            if wanted.outcome in {None, run.outcome} and wanted.scenario in {None, run.case.scenario}
        ]
        return _part(rows, "run", limit, after)

    async def run(self, run_id: str, execution: str | None) -> RunResult:
        """A run of a folder or of the database."""
        folder = None if execution is None else self._folder(execution)
        if folder is not None:
            return await asyncio.to_thread(self._folders.run, folder, run_id)
        if self._stored is not None and (stored := await self._stored.find(run_id)) is not None:
            return await self._stored.result(stored)
        found = await asyncio.to_thread(self._folders.find_run, run_id)
        if found is None:
            raise NotFoundError(f"there is no run '{run_id}' in {self.about}; list_runs shows those of an execution")
        return found[1]

    async def not_passed(self, execution: str, most: int) -> Sequence[RunResult]:
        """Runs that are over and have not passed."""
        if self._folder(execution) is None:
            return await self._database().not_passed(execution, most)
        found = await self._execution(execution)
        return [run for run in found.runs if run.outcome != "pass"][:most]

    async def progress(self, execution: str) -> Progress:
        """How far an execution is."""
        found = await self._folders.progress(execution)
        return found if found is not None else await self._database(execution).progress(execution)

    async def watch(self, execution: str) -> AsyncGenerator[Progress]:
        """How far it is, again and again."""
        last: Progress | None = None
        while True:
            since = self._folders.now()
            found = await self.progress(execution)
            if found != last:
                yield found
            if found.over:
                return
            last = found
            await self._folders.pause(since)

    async def run_eval(self, name: str, max_cost: float | None, seed: int | None) -> str:
        """Launch an eval of the database."""
        return await self._database().run_eval(name, max_cost, seed)

    async def run_suite(self, launch: SuiteLaunch) -> str:
        """Launch a suite in a process of its own."""
        return await self._folders.start(launch)

    async def rerun(self, execution: str, which: Which, max_cost: float | None) -> str:
        """Run again what did not pass."""
        if (folder := self._folder(execution)) is not None:
            return await self._folders.rerun(folder, which, max_cost)
        if which != "errors":
            raise ConfigurationError(
                f"the execution {execution} is in the database, where runs that ended in an error can be run again "
                "(which='errors'); for all of its cases launch its eval with run_eval"
            )
        require_no_limit(max_cost, execution)
        return await self._database(execution).rerun_errors(execution)

    async def cancel(self, execution: str) -> str:
        """Stop an execution."""
        if self._folder(execution) is not None:
            return await self._folders.cancel(execution)
        return await self._database().cancel(execution)

    async def compare(self, baseline: str, candidate: str) -> Mapping[str, Any]:
        """Compare two executions, wherever each is."""
        first, second = await self._execution(baseline), await self._execution(candidate)
        return (await asyncio.to_thread(compare_executions, first, second)).as_data()

    async def report(self, execution: str) -> str:
        """The report as Markdown."""
        return render_markdown(await self._execution(execution))

    async def close(self) -> None:
        """Stop what was started here."""
        await self._folders.close()
        if self._stored is not None:
            await self._stored.close()
        await self._open.aclose()

    def _folder(self, execution: str) -> Path | None:
        return None if execution.startswith(PREFIX) else self._folders.folder(execution)

    async def _execution(self, execution: str) -> ExecutionResult:
        folder = self._folder(execution)
        if folder is None:
            return await self._database(execution).execution(execution)
        return (await asyncio.to_thread(self._folders.found, folder)).execution

    def _database(self, execution: str | None = None) -> StoredRuns:
        if self._stored is None:
            if execution is not None and not execution.startswith(PREFIX):
                raise NotFoundError(f"there is no execution '{execution}' in {self.about}; list_executions shows all")
            raise ConfigurationError(f"there is no database of runs here: {self._why_not}")
        return self._stored


@asynccontextmanager
async def _stored_runs(store: str | None, project: str | None) -> AsyncGenerator[StoredRuns]:
    try:
        from duologue.mcp_server.database import StoredRuns
        from duologue.runs.service import RunService
    except ModuleNotFoundError as error:
        raise MissingExtraError("a database of runs", "runs", error.name or "sqlalchemy") from error
    async with RunService.open(store, project=project, create=False) as service:
        yield StoredRuns(service, PREFIX)


def _part(rows: Sequence[Row], key: str, limit: int, after: str | None) -> Rows:
    """A part of a list that is read whole."""
    start = 0
    if after is not None:
        start = next((place + 1 for place, row in enumerate(rows) if row[key] == after), -1)
        if start < 0:
            raise ConfigurationError(f"after is '{after}'; expected what the part before has named")
    part = rows[start : start + limit]
    more = len(rows) > start + limit
    return Rows(rows=part, next=str(part[-1][key]) if more and part else None)


def _run_row(run: RunResult) -> dict[str, Any]:
    return {"run": run.run_id, "case": run.case.title, "outcome": run.outcome, "reason": reason_of(run)}
