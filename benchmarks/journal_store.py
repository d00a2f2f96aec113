"""What it costs to keep the journals of runs in a database, relative to files.

    .venv/bin/python benchmarks/journal_store.py [--store URL] [--runs N] [--concurrency N] [--rounds N]

The transitions of one conversation of three turns with a judge are written again and again, flush by flush as the
engine does it, by so many runs at once: into a file for each run, and into a database. What is compared is the time for
all of them. A conversation waits for its agent most of the time, so this is what journals cost a process that is busy.

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


class Flushes:
    """A sink that remembers what each flush wrote."""

    def __init__(self) -> None:
        self.flushes: list[list[Transition]] = []

    async def write(self, transitions: Sequence[Transition]) -> None:
        """Remember them."""
        self.flushes.append(list(transitions))

    async def close(self) -> None:
        """Nothing."""


async def at_once(works: Sequence[Callable[[], Awaitable[object]]], concurrency: int) -> float:
    """Seconds for all of them."""
    waiting = iter(works)

    async def work() -> None:
        for item in waiting:
            await item()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return time.perf_counter() - began


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


async def measured(where: str, runs: int, concurrency: int) -> dict[str, float]:
    """Seconds of one round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = FolderArtifacts(folder / "artifacts")
        remembered = Flushes()
        await conversation(sinks=[remembered]).run()
        flushes = remembered.flushes
        found: dict[str, float] = {}
        async with Database.open(where or folder / "runs.db", create=True, upgrade=True) as database:
            journals = Journals(database, store)
            claims = await claimed(database, runs)
            files = [JsonlSink(folder / "a" / f"{run.id}.jsonl") for run in claims]
            found["sinks: files"] = await at_once([lambda s=s: written(s, flushes) for s in files], concurrency)
            rows = [DatabaseSink(database.writer, run, 1, artifacts=store) for run in claims]
            before = database.writer.batches
            found["sinks: database"] = await at_once([lambda s=s: written(s, flushes) for s in rows], concurrency)
            found["transactions"] = database.writer.batches - before
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
        return found


async def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="", help="URL of a database; default: a new SQLite file")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rounds = [await measured(given.store, given.runs, given.concurrency) for _ in range(given.rounds)]
    median = {name: statistics.median(item[name] for item in rounds) for name in rounds[0]}
    for name, value in median.items():
        shown = f"{value:8.0f}" if name == "transactions" else f"{value / given.runs * 1e6:8.0f} µs a run"
        print(f"{name:18} {shown}")
    ratios = {
        "journals": statistics.median(item["sinks: database"] / item["sinks: files"] for item in rounds),
        "runs": statistics.median(item["runs: database"] / item["runs: files"] for item in rounds),
    }
    print(f"database / files: {ratios['journals']:.2f} for journals alone, {ratios['runs']:.2f} for whole runs")
    print(json.dumps({"benchmark": "journal_store", "store": given.store or "sqlite", **median, **ratios}))


if __name__ == "__main__":
    asyncio.run(main())
