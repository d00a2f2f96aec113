"""Runs that tests put into a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, update

from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import projects, workers
from duologue.runs.store.records import FinishedRun, NewRun, QueueStatus, Snapshot
from duologue.suites.plan.build import TestCase

SNAPSHOT = Snapshot(digest="of the suite", data=b"{}")
PASSED = FinishedRun(status=QueueStatus.COMPLETED, outcome="pass", score=1.0)


def new_runs(*ids: str, **given: Any) -> list[NewRun]:
    return [
        NewRun(id=name, snapshot=SNAPSHOT.digest, case=TestCase(index=index, scenario=name), **given)
        for index, name in enumerate(ids)
    ]


async def put(database: Database, *ids: str, project: str = "p", **given: Any) -> None:
    await database.queue.enqueue(project, new_runs(*ids, **given), snapshots=[SNAPSHOT])


async def claimed(database: Database, slots: int = 1, worker: str = "w") -> list[str]:
    return [run.id for run in await database.queue.claim(worker, slots)]


async def end_lease(database: Database, worker: str) -> None:
    """As if the worker had been silent for long."""
    ended = update(workers).where(workers.c.id == worker).values(lease_until=0.0)
    await database.write(lambda connection: connection.execute(ended))


async def add_projects(database: Database, *names: str, max_concurrency: int | None = None) -> None:
    await database.write(
        lambda connection: connection.execute(
            insert(projects),
            [
                {
                    "id": name,
                    "name": name,
                    "settings": {},
                    "max_concurrency": max_concurrency,
                    "created_at": 0.0,
                    "updated_at": 0.0,
                }
                for name in names
            ],
        )
    )
