"""A worker that is killed in the middle of its work: ``one_worker.py DATABASE CALLS SECONDS_OF_LEASE``."""

from __future__ import annotations

import asyncio
import os
import random
import sys

from duologue.errors import LeaseLostError
from duologue.runs.store.database.engine import Database
from duologue.runs.store.records import ClaimedRun, FinishedRun, QueueStatus


async def main(where: str, calls: str, lease: float) -> None:
    file = os.open(calls, os.O_WRONLY | os.O_APPEND)
    async with Database.open(where, lease=lease) as database:
        queue, worker = database.queue, f"w{os.getpid()}"

        async def carry_out(run: ClaimedRun) -> None:
            for turn in range(2):
                await database.writer.append(run, run.attempts, [(turn, b"turn")])
                os.write(file, f"{run.id} {turn} {run.token}\n".encode())  # the agent is asked
                await asyncio.sleep(random.random() * 0.05)
            await queue.finish(run, FinishedRun(status=QueueStatus.COMPLETED, outcome="pass", reason=str(run.token)))

        while True:
            await queue.recover()
            runs = await queue.claim(worker, 5)
            working = [asyncio.create_task(carry_out(run)) for run in runs]
            while any(not task.done() for task in working):
                await asyncio.wait(working, timeout=lease / 4)
                await queue.heartbeat(worker, runs)
            for task in working:
                if not isinstance(task.exception(), LeaseLostError):
                    task.result()
            counts = await queue.counts()
            if set(counts) <= {QueueStatus.COMPLETED}:
                return
            if not runs:
                await database.wakeup.wait(0.1)


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
