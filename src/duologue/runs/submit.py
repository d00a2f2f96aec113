"""Puts the plan of a suite into the queue: its test cases are runs then, which any worker may carry out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.database.engine import Database
from duologue.runs.store.records import Enqueued, NewExecution, NewRun
from duologue.suites.execution.engine import Engine, new_execution_id
from duologue.suites.plan.build import Plan
from duologue.suites.results.execution import Allowance
from duologue.suites.runner.definition import RunOptions


async def submit_suite(
    database: Database,
    project_id: str,
    engine: Engine,
    plan: Plan,
    options: RunOptions | None = None,
    *,
    in_place: bool = False,
    priority: int = 0,
    max_attempts: int = 3,
) -> Enqueued:
    """Put the test cases of a plan into the queue, as one execution.

    Args:
        database: that has the queue.
        project_id: whose runs they are.
        engine: of the suite, with its response file if models are mocked.
        plan: which test cases.
        options: how they are run.
        in_place: the suite has code of its own, which stays in its folder: only workers that see this folder can carry
            the runs out.
        priority: higher ones are claimed first.
        max_attempts: after so many workers have died with a run, it is set aside as an error.

    Raises:
        SnapshotError: something of the suite cannot travel to other workers; the error says what to do.
        StoreError: the runs could not be put into the queue.
    """
    suite, chosen = engine.suite, (options or RunOptions())
    snapshot = take_snapshot(suite, chosen, mocks=engine.mocks, mocking=engine.mocking, in_place=in_place)
    name = chosen.execution_id or new_execution_id(engine.clock)
    runs = [
        NewRun(id=case.run_id(name), snapshot=snapshot.digest, case=case, priority=priority, max_attempts=max_attempts)
        for case in plan.cases
    ]
    facts = _facts(engine, plan, chosen.over(suite.defaults))
    if b'"pass_threshold"' in snapshot.data:
        facts["thresholds"] = await engine.thresholds(plan, chosen)
    execution = NewExecution(name=name, data=facts)
    return await database.queue.enqueue(project_id, runs, snapshots=[snapshot], execution=execution)


def _facts(engine: Engine, plan: Plan, options: RunOptions) -> dict[str, Any]:
    """What is known of the execution beside its runs."""
    return {
        "suite": engine.suite.name,
        "path": engine.path,
        "seed": plan.seed,
        "allowance": asdict(
            Allowance(
                undecided=None if options.allow_undecided == "all" else int(options.allow_undecided or 0),
                errors=None if options.allow_errors == "all" else int(options.allow_errors or 0),
                pass_rate=options.pass_rate,
            )
        ),
        "metrics_threshold": engine.suite.defaults.metrics_threshold,
    }
