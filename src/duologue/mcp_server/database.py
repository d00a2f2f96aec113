"""The database of this machine: definitions, executions and runs, and a processor for what is launched here."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import func, select

from duologue.errors import ConfigurationError, JournalError, NotFoundError
from duologue.frozen import changed
from duologue.journal.events import ErrorInfo
from duologue.mcp_server.folders import started_at
from duologue.mcp_server.workspace import Kind, Progress, Row, Rows, WantedRuns
from duologue.runs.processor import MAX_CONCURRENT, RunProcessor
from duologue.runs.service import RunService
from duologue.runs.store.database.artifacts import artifacts_of
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.results_export import execution_named, export_results
from duologue.runs.store.database.rows import RunFilter, get_run, list_runs
from duologue.runs.store.database.schema import results, runs
from duologue.runs.store.encoding import decoded_run
from duologue.runs.store.reader import find_execution
from duologue.runs.store.records import OVER, QueueStatus, StoredExecution, StoredRun
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.from_journal import run_result
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus

_NOT_PASSED = ("fail", "undecided", "error", "cancelled")


class StoredRuns:
    """The runs of one project of a database.

    Args:
        service: of the project.
        prefix: begins the names of executions, as the tools call them.
    """

    def __init__(self, service: RunService, prefix: str) -> None:
        self.service = service
        self._prefix = prefix
        self.database = service.database
        self._artifacts = artifacts_of(self.database.address, None)
        self._processor: RunProcessor | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = AsyncExitStack()

    # Reading

    async def definitions(self, kind: Kind, limit: int, after: str | None) -> Rows:
        """What is defined."""
        match kind:
            case "projects":
                found = await SavedDefinitions(self.database).list_projects(limit=limit + 1, after=after)
                rows = [{"id": item.id, "name": item.name} for item in found]
            case "evals":
                evals = await self.service.list_evals(limit=limit + 1, after=after)
                rows = [
                    {
                        "id": item.id,
                        "name": item.name,
                        "description": item.spec.description,
                        "scenarios": len(item.scenario_ids),
                        "trials": item.spec.trials,
                        "agent": item.spec.agent_id,
                        "connector": item.connector_id,
                    }
                    for item in evals
                ]
            case "scenarios":
                scenarios = await self.service.list_scenarios(limit=limit + 1, after=after)
                rows = [
                    {
                        "id": item.id,
                        "name": item.name,
                        "description": item.spec.description,
                        "tags": list(item.spec.tags),
                    }
                    for item in scenarios
                ]
            case "personas":
                personas = await self.service.list_personas(limit=limit + 1, after=after)
                rows = [{"id": item.id, "name": item.name, "description": item.spec.description} for item in personas]
            case "agents":
                agents = await self.service.list_agents(limit=limit + 1, after=after)
                rows = [{"id": item.id, "name": item.name, "version": item.version} for item in agents]
            case "connectors":
                connectors = await self.service.list_connectors(limit=limit + 1, after=after)
                rows = [
                    {"id": item.id, "name": item.name, "type": item.type, "base_url": item.shown().base_url}
                    for item in connectors
                ]
            case "suites":
                return Rows(rows=())
        return Rows(rows=rows[:limit], next=str(rows[limit - 1]["id"]) if len(rows) > limit else None)

    async def executions(self, limit: int) -> list[Row]:
        """A row for each execution, the newest first."""
        found = await self.service.list_executions(limit=limit)
        counts = await self._counts([item.id for item in found])
        return [self._row(item, counts.get(item.id, {})) for item in found]

    def _row(self, item: StoredExecution, counts: dict[str, int]) -> Row:
        over = sum(counts.get(word, 0) for word in ("pass", *_NOT_PASSED))
        total = sum(counts.values())
        return {
            "execution": f"{self._prefix}{item.id}",
            "name": item.name,
            "of": item.data.get("eval") or item.data.get("suite"),
            "status": "over" if over == total else "under way",
            "runs": total,
            **counts,
            "started_at": started_at(item.created_at),
        }

    async def _counts(self, ids: Sequence[int]) -> dict[int, dict[str, int]]:
        """Runs by outcome, or by status where they have none."""
        word = func.coalesce(runs.c.outcome, runs.c.status)
        asked = select(runs.c.execution_id, word, func.count()).where(runs.c.execution_id.in_(ids))
        found = await self.database.read(
            lambda connection: connection.execute(asked.group_by(runs.c.execution_id, word)).all()
        )
        counts: dict[int, dict[str, int]] = {}
        for execution_id, name, count in found:
            counts.setdefault(execution_id, {})[name] = count
        return counts

    async def number(self, execution: str) -> int:
        """The number of an execution.

        Raises:
            StoreConflictError: the project has none of that name.
        """
        return await execution_named(self.database, self.service.project.id, execution.removeprefix(self._prefix))

    async def runs(self, wanted: WantedRuns, limit: int, after: str | None) -> Rows:
        """Runs as rows."""
        if after is not None and not after.isdecimal():
            raise ConfigurationError(f"after is '{after}'; expected what the part before has named")
        number = await self.number(wanted.execution) if wanted.execution else None
        chosen = RunFilter(
            project_id=self.service.project.id, execution_id=number, outcome=wanted.outcome, scenario_id=None
        )
        page = await list_runs(
            self.database,
            chosen,
            limit=limit,
            after=int(after) if after else None,
            descending=number is None,
        )
        rows = [self._run_row(run) for run in page.runs if wanted.scenario in {None, run.case.scenario}]
        return Rows(rows=rows, next=None if page.next is None else str(page.next))

    async def find(self, run_id: str) -> StoredRun | None:
        """A run of the project; None if there is none."""
        found = await get_run(self.database, run_id)
        return found if found is not None and found.project_id == self.service.project.id else None

    async def result(self, run: StoredRun) -> RunResult:
        """Everything about a run: its result, else what its journal holds, else what its row says."""
        asked = select(results.c.data).where(results.c.run == run.number)
        data = await self.database.read(lambda connection: connection.execute(asked).scalar())
        if data is not None:
            return changed(decoded_run(from_json(data), f"run {run.id}"), run_id=run.id)
        try:
            journal = await Journals(self.database, self._artifacts).read(run.id)
        except JournalError:
            error = ErrorInfo(type="RunError", message=run.error or "") if run.status is QueueStatus.ERROR else None
            status = RunStatus(run.status.value)
            return RunResult(case=run.case, run_id=run.id, status=status, error=error, reasoning=run.reason)
        found = run_result(run.case, journal.entries, journal.view)
        return changed(found, run_id=run.id, status=RunStatus(run.status.value))

    async def not_passed(self, execution: str, most: int) -> list[RunResult]:
        """Runs that are over and have not passed."""
        chosen = RunFilter(
            project_id=self.service.project.id, execution_id=await self.number(execution), outcome=_NOT_PASSED
        )
        page = await list_runs(self.database, chosen, limit=most)
        return [await self.result(run) for run in page.runs]

    async def execution(self, execution: str) -> ExecutionResult:
        """The results of an execution, as a folder of results holds them."""
        number = await self.number(execution)
        with tempfile.TemporaryDirectory(prefix="duologue-") as name:
            folder = Path(name) / "results"
            await export_results(self.database, self._artifacts, number, folder)
            return await asyncio.to_thread(lambda: find_execution(folder).execution)

    async def progress(self, execution: str) -> Progress:
        """How far an execution is."""
        number = await self.number(execution)
        counts = (await self._counts([number])).get(number, {})
        cost = select(func.coalesce(func.sum(runs.c.cost), 0.0)).where(runs.c.execution_id == number)
        outcomes = {word: count for word, count in counts.items() if word in {"pass", *_NOT_PASSED}}
        total = sum(counts.values())
        over = sum(outcomes.values()) == total
        waiting = counts.get("queued", 0)
        return Progress(
            id=f"{self._prefix}{number}",
            over=over,
            total=total,
            outcomes=outcomes,
            running=counts.get("running", 0),
            cost=float(await self.database.read(lambda connection: connection.execute(cost).scalar() or 0.0)),
            note="" if over or not waiting else f"{waiting} runs wait in the queue.",
        )

    # Running

    async def run_eval(self, name: str, max_cost: float | None, seed: int | None) -> str:
        """Launch an eval, and carry its runs out here unless other workers are quicker."""
        found = await self.service.get_eval_by_name(name) or await self.service.get_eval(name)
        if found is None:
            raise NotFoundError(f"the project '{self.service.project.name}' has no eval '{name}'")
        made = await self.service.create_runs(found.id, seed=seed, budget=max_cost)
        await self._carry_out([run.id for run in made])
        return f"{self._prefix}{made[0].execution_id}"

    async def rerun_errors(self, execution: str) -> str:
        """Put the runs of an execution that ended in an error into the queue again, and carry them out."""
        number = await self.number(execution)
        found = await self.service.list_runs(execution_id=number, status="error", messages=False)
        if not found:
            raise ConfigurationError(f"no run of the execution {execution} ended in an error")
        for run in found:
            await self.service.retry_run(run.id)
        await self._carry_out([run.id for run in found])
        return f"{self._prefix}{number}"

    async def _carry_out(self, ids: Sequence[str]) -> None:
        if self._processor is None:
            processor = RunProcessor(self.database, projects=[self.service.project.id])
            self._processor = await self._open.enter_async_context(processor)
        slots = asyncio.Semaphore(self.service.project.max_concurrency or MAX_CONCURRENT)
        for run_id in ids:
            task = asyncio.create_task(self._one(self._processor, run_id, slots))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, processor: RunProcessor, run_id: str, slots: asyncio.Semaphore) -> None:
        async with slots:
            await processor.process_run(run_id)

    async def cancel(self, execution: str) -> str:
        """Cancel the runs of an execution that are not over."""
        number = await self.number(execution)
        found = await self.service.list_runs(execution_id=number, messages=False)
        done = await self.service.cancel_runs(*(run.id for run in found if run.status not in OVER))
        return f"{len(done.cancelled)} waiting runs are cancelled, {len(done.stopping)} running ones are being stopped"

    async def close(self) -> None:
        """Give back to the queue what is not over."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._processor is not None:
            await self._processor.stop(timeout=0)
        await self._open.aclose()

    def _run_row(self, run: StoredRun) -> dict[str, Any]:
        return {
            "run": run.id,
            "case": run.case.title,
            "outcome": run.outcome or run.status.value,
            "score": run.score,
            "reason": run.error or run.reason,
            "execution": None if run.execution_id is None else f"{self._prefix}{run.execution_id}",
        }
