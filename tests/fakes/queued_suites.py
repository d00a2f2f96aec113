"""Runs in a database, made of a small suite whose agent a test hands over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import insert

from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import projects
from duologue.runs.store.records import NewExecution, NewRun
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load

SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {{name: orders}}
spec:
  agents:
    - {{name: bot, target: "{target}"}}
  scenarios:
    - name: order
      description: Somebody orders a pizza.
      turns:
{turns}
  defaults: {{seed: 7}}
"""


async def add_project(database: Database, name: str, max_concurrency: int | None = None) -> None:
    """A project whose id is its name."""
    row = {"id": name, "name": name, "settings": {}, "max_concurrency": max_concurrency}
    times = {"created_at": 0.0, "updated_at": 0.0}
    await database.write(lambda connection: connection.execute(insert(projects).values(**row, **times)))


def suite_of(folder: Path, turns: int = 1, target: str = "given:bot") -> Suite:
    """A suite in which the user says ``1``, ``2`` and so on, and the agent has to answer with an ``ok``."""
    lines = "\n".join(
        f"        - {{content: '{number}', checks: [{{type: contains, params: {{patterns: [ok]}}}}]}}"
        for number in range(1, turns + 1)
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "orders.yaml"
    path.write_text(SUITE.format(turns=lines, target=target))
    return load(path).within(folder)


async def enqueue(
    database: Database,
    folder: Path,
    count: int = 1,
    *,
    turns: int = 1,
    project: str = "p",
    target: str = "given:bot",
    priority: int = 0,
    max_attempts: int = 3,
) -> Sequence[str]:
    """Put trials of the only test case into the queue, as one execution; their ids."""
    suite = suite_of(folder, turns, target)
    snapshot = take_snapshot(suite, in_place=target != "given:bot")
    plan = Engine(suite=suite).generate_plan(trials=count)
    name = database.context.ids.new("execution")
    runs = [
        NewRun(id=case.run_id(name), snapshot=snapshot.digest, case=case, priority=priority, max_attempts=max_attempts)
        for case in plan.cases
    ]
    made = await database.queue.enqueue(project, runs, snapshots=[snapshot], execution=NewExecution(name=name))
    return made.ids
