"""Workers that are killed: every run is recorded once, and no run stays where it was."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

from queued_runs import put
from sqlalchemy import select

from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import events, runs
from duologue.runs.store.records import QueueStatus

WORKER = Path(__file__).with_name("one_worker.py")
RUNS, WORKERS, KILLS, LEASE = 50, 3, 2, 2.0


async def start(where: str, calls: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, WORKER, where, calls, str(LEASE))


async def test_runs_of_killed_workers_are_recorded_once(where: str, database: Database, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    await put(database, *(f"r{number}" for number in range(RUNS)), max_attempts=50)
    workers = [await start(where, calls) for _ in range(WORKERS)]
    try:
        for kill in range(KILLS):
            asked = 2 * RUNS * (kill + 1) // (KILLS + 2)
            while len(calls.read_text().splitlines()) < asked:
                await asyncio.sleep(0.01)
            victim = workers.pop(random.randrange(len(workers)))
            victim.kill()
            await victim.wait()
        assert [await worker.wait() for worker in workers] == [0] * len(workers)
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()

    assert dict(await database.queue.counts()) == {QueueStatus.COMPLETED: RUNS}
    asked = [line.split() for line in calls.read_text().splitlines()]
    by_turn = Counter((name, turn) for name, turn, _ in asked)
    assert len(by_turn) == 2 * RUNS
    assert len(asked) <= 2 * RUNS + 2 * 5 * KILLS  # as much as the killed ones had in hand
    recorded = {
        row.id: row.reason for row in await database.read(lambda connection: connection.execute(select(runs)).all())
    }
    newest = {name: token for name, _, token in asked}
    assert recorded == newest
    lines = await database.read(
        lambda connection: connection.execute(select(events.c.run, events.c.attempt, events.c.seq)).all()
    )
    assert len({(row.run, row.seq) for row in lines}) == 2 * RUNS
