"""A Duologue service as a workspace, through its client."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from duologue.client import AsyncClient
from duologue.client.models import ExecutionAnswer, ExecutionCounts, RunAnswer, RunListItem
from duologue.errors import ConfigurationError, JournalError, NotFoundError
from duologue.journal.events import ErrorInfo
from duologue.journal.jsonl import read_journal
from duologue.mcp_server.workspace import Kind, Progress, Row, Rows, SuiteLaunch, WantedRuns, Which, require_no_limit
from duologue.runs.store.from_journals import run_of
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus, Verdict

_AT_ONCE = 8
"""Runs whose journals are fetched at the same time."""
_EVENTS = 1_000
"""Events of a part of a journal."""
_OVER = {"completed", "cancelled"}
_OUTCOMES = {"passed": "pass", "failed": "fail", "undecided": "undecided", "error": "error", "cancelled": "cancelled"}
_FINISHED = {"completed", "error", "cancelled"}


class ServiceWorkspace:
    """What a service has of one project.

    Args:
        client: of the service; closed with the workspace.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def about(self) -> str:
        """Where it is."""
        return f"the service {self._client!r}"

    async def definitions(self, kind: Kind, limit: int, after: str | None) -> Rows:
        """What is defined."""
        client = self._client
        lists: dict[str, Any] = {
            "projects": client.list_projects,
            "evals": client.list_evals,
            "scenarios": client.list_scenarios,
            "personas": client.list_personas,
            "agents": client.list_agents,
            "connectors": client.list_connectors,
        }
        if kind not in lists:
            return Rows(rows=(), notes=["Suites are files of this machine: start 'duologue mcp' without --url."])
        page = await lists[kind](limit=limit).page(after)
        return Rows(rows=[_defined(item.model_dump(mode="json")) for item in page.data], next=page.next)

    async def executions(self, limit: int, after: str | None) -> Rows:
        """The executions, the newest first."""
        page = await self._client.list_executions(limit=limit).page(after)
        return Rows(rows=[_execution_row(item) for item in page.data], next=page.next)

    async def runs(self, wanted: WantedRuns, limit: int, after: str | None) -> Rows:
        """Runs as rows."""
        pages = self._client.list_runs(
            execution_id=None if wanted.execution is None else _number(wanted.execution),
            outcome=None if wanted.outcome is None else [cast("Any", wanted.outcome)],
            order="newest" if wanted.execution is None else "oldest",
            limit=limit,
        )
        page = await pages.page(after)
        rows = [_run_row(item) for item in page.data if wanted.scenario in {None, item.scenario}]
        return Rows(rows=rows, next=page.next)

    async def run(self, run_id: str, execution: str | None) -> RunResult:
        """Everything about a run, from its journal."""
        return await self._result(await self._client.get_run(run_id))

    async def _result(self, run: RunListItem | RunAnswer) -> RunResult:
        events = await self._journal(run.id)
        found = await asyncio.to_thread(_read, events) if events else None
        if found is None:
            return _without_journal(run)
        if run.status not in _FINISHED:
            return replace(found, run_id=run.id, status=RunStatus(run.status), termination=None, reasoning=None)
        return replace(found, run_id=run.id)

    async def _journal(self, run_id: str) -> list[dict[str, Any]]:
        """The events of the newest attempt."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            part = await self._client.get_run_journal(run_id, after=after, limit=_EVENTS)
            events = [cast("dict[str, Any]", json.loads(line)) for line in part.splitlines()]
            if not events:
                break
            newest = events[-1]["attempt"]
            found = [event for event in (*found, *events) if event["attempt"] == newest]
            if len(events) < _EVENTS:
                break
            after = f"{newest}.{events[-1]['seq']}"
        return found

    async def not_passed(self, execution: str, most: int) -> Sequence[RunResult]:
        """Runs that are over and have not passed."""
        outcomes: Any = ["fail", "undecided", "error", "cancelled"]
        pages = self._client.list_runs(execution_id=_number(execution), outcome=outcomes, order="oldest", limit=most)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(run: RunListItem) -> RunResult:
            async with slots:
                return await self._result(run)

        return await asyncio.gather(*map(one, (await pages.page()).data))

    async def progress(self, execution: str) -> Progress:
        """How far an execution is."""
        found = await self._client.get_execution(_number(execution))
        cost = None
        if found.status in _OVER:
            summary = await self._client.get_execution_summary(found.id)
            cost = float(summary.spent.get("total", {}).get("cost", 0.0))
        return _progress(execution, found.counts, over=found.status in _OVER, cost=cost)

    async def watch(self, execution: str) -> AsyncGenerator[Progress]:
        """How far it is, with each event."""
        async with aclosing(self._client.watch_execution(_number(execution))) as events:
            async for event in events:
                if (counts := event.data.get("counts")) is not None:
                    told = ExecutionCounts.model_validate(counts)
                    yield _progress(execution, told, over=False)
        yield await self.progress(execution)

    async def run_eval(self, name: str, max_cost: float | None, seed: int | None) -> str:
        """Launch an eval, whose runs the workers of the service carry out."""
        fields: dict[str, Any] = {"eval_id": name}
        fields |= {} if max_cost is None else {"budget": max_cost}
        fields |= {} if seed is None else {"seed": seed}
        return str((await self._client.create_execution(**fields)).id)

    async def run_suite(self, launch: SuiteLaunch) -> str:
        """Suites are files of this machine, which a service does not see."""
        raise ConfigurationError(
            "this server works with a service, which runs evals (run_eval); to run suite files of this machine start "
            "'duologue mcp' without --url"
        )

    async def rerun(self, execution: str, which: Which, max_cost: float | None) -> str:
        """Put runs into the queue again that ended in an error. The limit of the execution stays."""
        if which != "errors":
            raise ConfigurationError(
                "a service runs again what ended in an error (which='errors'); for all cases of an execution "
                "launch its eval with run_eval"
            )
        require_no_limit(max_cost, execution)
        done = await self._client.retry_execution(_number(execution))
        if not done.retried:
            raise ConfigurationError(f"no run of the execution {execution} ended in an error")
        return execution

    async def cancel(self, execution: str) -> str:
        """Cancel the runs of an execution that are not over."""
        done = await self._client.cancel_execution(_number(execution))
        return f"{done.cancelled} waiting runs are cancelled, {done.stopping} running ones are being stopped"

    async def compare(self, baseline: str, candidate: str) -> Mapping[str, Any]:
        """Compare two executions."""
        found = await self._client.compare_executions(first=_number(baseline), second=_number(candidate))
        return found.model_dump(mode="json")

    async def report(self, execution: str) -> str:
        """The report as Markdown."""
        return (await self._client.get_execution_report(_number(execution), format="md")).decode("utf-8", "replace")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _number(execution: str) -> int:
    if not execution.isdecimal():
        raise NotFoundError(f"there is no execution '{execution}'; a service numbers them: list_executions shows all")
    return int(execution)


def _read(events: Sequence[Mapping[str, Any]]) -> RunResult | None:
    """The run of a journal; None if it does not say what was run."""
    lines = [json.dumps({name: value for name, value in event.items() if name != "attempt"}) for event in events]
    with tempfile.TemporaryDirectory(prefix="duologue-") as name:
        path = Path(name) / "run.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        try:
            return run_of(read_journal(path))
        except JournalError:
            return None


def _without_journal(run: RunListItem | RunAnswer) -> RunResult:
    """What lists say of a run that never began, or whose journal cannot be read."""
    verdict = Verdict(run.outcome) if run.outcome in {"pass", "fail", "undecided"} else None
    return RunResult(
        case=TestCase(index=0, scenario=run.scenario, agent=run.agent, persona=run.persona, trial=run.trial),
        run_id=run.id,
        status=RunStatus(run.status),
        verdict=verdict,
        error=ErrorInfo(type="RunError", message=run.error) if run.error else None,
        reasoning=run.result.reason if run.result else None,
    )


def _progress(execution: str, counts: ExecutionCounts, *, over: bool, cost: float | None = None) -> Progress:
    outcomes = {word: count for name, word in _OUTCOMES.items() if (count := getattr(counts, name))}
    return Progress(id=execution, over=over, total=counts.total, outcomes=outcomes, running=counts.running, cost=cost)


def _execution_row(item: ExecutionAnswer) -> Row:
    outcomes = {word: count for name, word in _OUTCOMES.items() if (count := getattr(item.counts, name))}
    return {
        "execution": str(item.id),
        "name": item.name,
        "eval": item.eval_id,
        "status": item.status,
        "runs": item.counts.total,
        **outcomes,
        "pass_rate": item.pass_rate,
        "started_at": item.created_at.isoformat(timespec="seconds"),
    }


def _run_row(item: RunListItem) -> Row:
    return {
        "run": item.id,
        "case": item.title,
        "outcome": item.outcome or item.status,
        "score": item.result.score if item.result else None,
        "reason": item.error or (item.result.reason if item.result else None),
        "execution": None if item.execution_id is None else str(item.execution_id),
    }


_SHOWN = ("id", "name", "description", "version", "type", "base_url", "trials", "tags", "agent_id", "connector_id")
"""Fields of definitions that a list shows."""


def _defined(fields: Mapping[str, Any]) -> Row:
    row = {name: fields[name] for name in _SHOWN if name in fields}
    if "scenario_ids" in fields:
        row["scenarios"] = len(fields["scenario_ids"])
    return row
