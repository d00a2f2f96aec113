"""Runs in a database, for tests of whatever is stored with them."""

from __future__ import annotations

import itertools

from sqlalchemy import insert, select

from duologue.runs.store.database.schema import events, projects, runs
from duologue.runs.store.records import NewRun, Snapshot, WorkerRecord
from duologue.suites.plan.build import TestCase

_NUMBERS = itertools.count(1)


def worker_record(worker: str = "worker") -> WorkerRecord:
    """A worker that is registered."""
    return WorkerRecord(id=worker, host="here", pid=1, version="0", capacity=1000)


async def project_in(database, name: str = "tests") -> str:
    """The project of that name, which is made if need be."""

    def work(connection):
        found = connection.execute(select(projects.c.id).where(projects.c.name == name)).scalar()
        if found is None:
            found = name
            values = {"settings": {}, "created_at": 0.0, "updated_at": 0.0}
            connection.execute(insert(projects).values(id=found, name=name, **values))
        return found

    return await database.write(work)


async def queued(database, count: int = 1, *, project: str = "tests") -> list[str]:
    """Put runs into the queue; their ids."""
    project_id = await project_in(database, project)
    snapshot = Snapshot(digest="sha256:0", data=b"{}")
    new = [
        NewRun(id=f"run-{next(_NUMBERS)}", snapshot=snapshot.digest, case=TestCase(index=index, scenario="s"))
        for index in range(count)
    ]
    await database.queue.enqueue(project_id, new, snapshots=[snapshot])
    return [run.id for run in new]


async def claimed(database, count: int = 1, *, worker: str = "worker"):
    """Put runs into the queue and claim them."""
    await queued(database, count)
    await database.queue.register(worker_record(worker))
    return await database.queue.claim(worker, count)


async def claimed_again(database, run, *, worker: str = "another"):
    """The same run, claimed by a worker that takes the place of one that has died."""

    def work(connection):
        connection.execute(runs.update().where(runs.c.number == run.number).values(status="queued", owner=None))

    await database.write(work)
    await database.queue.register(worker_record(worker))
    [again] = await database.queue.claim(worker, 1)
    assert again.number == run.number
    return again


def rows_of(database, run, attempt: int | None = None):
    """The rows of the journals of a run."""
    asked = select(events.c.attempt, events.c.seq, events.c.line).where(events.c.run == run.number)
    asked = asked if attempt is None else asked.where(events.c.attempt == attempt)
    return database.read_now(
        lambda connection: connection.execute(asked.order_by(events.c.attempt, events.c.seq)).all()
    )
