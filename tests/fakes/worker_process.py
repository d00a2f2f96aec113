"""A worker as a process of its own, which can be killed.

Run as a program it carries out the runs of a database whose agent ``bot`` is behind a URL: ``worker_process.py DATABASE
URL``. It goes on until it is ended.
"""

from __future__ import annotations

import asyncio
import sys

from duologue import HttpAgent
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.engine import Database


async def main(where: str, url: str) -> None:
    """Carry out runs until somebody ends the process."""
    async with Database.open(where) as database:
        worker = RunProcessor(database, agents={"bot": lambda: HttpAgent(url, name="bot")}, max_concurrent=10)
        await worker.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
