"""What it costs to keep the journals of runs in a database, relative to files.

    .venv/bin/python benchmarks/journal_store.py [--store URL] [--runs N] [--concurrency N] [--rounds N]

The transitions of one conversation of three turns with a judge are written again and again, flush by flush as the
engine does it, by so many runs at once: into a file for each run, and into a database. What is compared is the time for
all of them, and the processor time of this process: a conversation waits for its agent most of the time, so that is
what journals cost a busy worker. One run alone (``--concurrency 1``) waits for a transaction with each flush.

Then whole conversations are played, with a scripted user, agent and judge that answer at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import duologue
from duologue.journal import FolderArtifacts, JsonlJournal, JsonlSink
from duologue.journal.events import Transition
from duologue.journal.journal import JournalSink
from duologue.journal.run_journal import RunJournal
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import DatabaseSink, Journals
from duologue.runs.store.records import ClaimedRun, NewRun, Snapshot, WorkerRecord
from duologue.suites.plan.build import TestCase
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "fakes"))
from stored_runs import project_in

ANSWER = "Your order left our warehouse this morning and will arrive tomorrow between nine and twelve. " * 3


def conversation(journal: RunJournal | None = None, sinks: Sequence[JournalSink] = ()) -> duologue.ScenarioExecutor:
    """Three turns with a judge."""
    agents = [
        ScriptedUserAgent(["Where is my order?"], repeat=True),
        ScriptedAgent([ANSWER], repeat=True),
        ScriptedJudge([None, None, True]),
    ]
    return duologue.ScenarioExecutor("s", "d", agents, recorded_in=journal, sinks=sinks, verbose=False)


class Took(NamedTuple):
    """Seconds: how long something took, and how much of a processor this process used for it."""

    time: float
    processor: float


class Flushes:
    """A sink that remembers what each flush wrote."""

    def __init__(self) -> None:
        self.flushes: list[list[Transition]] = []

    async def write(self, transitions: Sequence[Transition]) -> None:
        """Remember them."""
        self.flushes.append(list(transitions))

    async def close(self) -> None:
        """Nothing."""


async def at_once(works: Sequence[Callable[[], Awaitable[object]]], concurrency: int) -> Took:
    """What it takes to do all of them."""
    waiting = iter(works)

    async def work() -> None:
        for item in waiting:
            await item()

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return Took(time.perf_counter() - began, time.process_time() - used)


async def claimed(database: Database, count: int) -> list[ClaimedRun]:
    """Runs that this process may write."""
    project = await project_in(database)
    snapshot = Snapshot(digest="0", data=b"{}")
    new = [
        NewRun(id=f"run-{time.monotonic_ns()}-{index}", snapshot="0", case=TestCase(index=index, scenario="s"))
        for index in range(count)
    ]
    await database.queue.enqueue(project, new, snapshots=[snapshot])
    await database.queue.register(WorkerRecord(id="w", host="h", pid=1, version="0", capacity=count))
    return await database.queue.claim("w", count)


async def written(sink: JournalSink, flushes: Sequence[Sequence[Transition]]) -> None:
    """Write all of a run."""
    for flush in flushes:
        await sink.write(flush)
    await sink.close()


async def measured(where: str, runs: int, concurrency: int) -> tuple[dict[str, Took], int]:
    """What one round took, and how many transactions wrote the journals."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = FolderArtifacts(folder / "artifacts")
        remembered = Flushes()
        await conversation(sinks=[remembered]).run()
        flushes = remembered.flushes
        found: dict[str, Took] = {}
        async with Database.open(where or folder / "runs.db", create=True, upgrade=True) as database:
            journals = Journals(database, store)
            claims = await claimed(database, runs)
            files = [JsonlSink(folder / "a" / f"{run.id}.jsonl") for run in claims]
            found["sinks: files"] = await at_once([lambda s=s: written(s, flushes) for s in files], concurrency)
            rows = [DatabaseSink(database.writer, run, 1, artifacts=store) for run in claims]
            before = database.writer.batches
            found["sinks: database"] = await at_once([lambda s=s: written(s, flushes) for s in rows], concurrency)
            transactions = database.writer.batches - before
            claims = await claimed(database, runs)

            async def in_file(run: ClaimedRun) -> None:
                await conversation(JsonlJournal(folder / "b" / f"{run.id}.jsonl")).run()

            async def in_database(run: ClaimedRun) -> None:
                await conversation(await journals.open(run)).run()

            async def nowhere(run: ClaimedRun) -> None:
                await conversation().run()

            for title, play in (("nowhere", nowhere), ("files", in_file), ("database", in_database)):
                works = [lambda run=run, play=play: play(run) for run in claims]
                found[f"runs: {title}"] = await at_once(works, concurrency)
        return found, transactions


async def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="", help="URL of a database; default: a new SQLite file")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rounds = [await measured(given.store, given.runs, given.concurrency) for _ in range(given.rounds)]
    best = {name: Took(*(min(found[name][place] for found, _ in rounds) for place in (0, 1))) for name in rounds[0][0]}
    print(f"{given.runs} runs, {given.concurrency} at once, best of {given.rounds} rounds; microseconds a run")
    print(f"{'':16} {'time':>10} {'processor':>10}")
    for name, took in best.items():
        print(f"{name:16} {took.time / given.runs * 1e6:10.0f} {took.processor / given.runs * 1e6:10.0f}")
    print(f"transactions for all journals of a round: {statistics.median(count for _, count in rounds):.0f}")
    told: dict[str, float] = {}
    for what in ("sinks", "runs"):
        database, files = best[f"{what}: database"], best[f"{what}: files"]
        told |= {f"{what}_time": database.time / files.time, f"{what}_processor": database.processor / files.processor}
        print(f"database / files, {what}: {told[f'{what}_time']:.2f} time, {told[f'{what}_processor']:.2f} processor")
    kind = given.store.partition(":")[0] or "sqlite"
    print(json.dumps({"benchmark": "journal_store", "store": kind, "concurrency": given.concurrency, **told}))


if __name__ == "__main__":
    asyncio.run(main())
