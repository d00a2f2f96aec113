"""Kills workers again and again, and counts what is lost or done twice.

    python benchmarks/durability.py
    python benchmarks/durability.py --store postgresql --workers 8 --kills 20 --runs 2000

Worker processes carry out the runs of one queue: conversations of several turns with an agent behind a URL, which
counts how often it is asked each turn of each run, and by which worker. Workers are killed with SIGKILL at random
numbers of calls, and replaced. In the end every run must be recorded once, with a conversation that is whole; and what
the agent was asked twice must have been asked first by a worker that was killed with the answer in its hands: at most
one call for each run that the worker had. Prints a table and one line of JSON, and exits with 1 if anything is wrong.

``--store`` is ``sqlite``, ``postgresql`` (a private server, which needs its programs), or the URL of a scratch
database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import func, insert, select

from duologue.runs.processor import RunProcessor
from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import projects, results, runs
from duologue.runs.store.records import NewExecution, NewRun, QueueStatus
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

TURNS = 2
WORKER = "DUOLOGUE_BENCHMARK_WORKER"
LEASE = 5.0
"""Seconds after which the runs of a dead worker go to others."""
OVER = {QueueStatus.COMPLETED, QueueStatus.ERROR, QueueStatus.CANCELLED}


class Agent:
    """Answers after some milliseconds, and notes who asks what.

    Attributes:
        asked: the workers that have asked each turn of each run, in their order.
        open: calls that are being answered, by worker.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.calls = seconds, 0
        self.asked: dict[tuple[str, int], list[str]] = {}
        self.open: Counter[str] = Counter()
        self.progress = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):  # the asker was killed
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                worker = headers["x-worker"]
                users = [message["content"] for message in body["messages"] if message["role"] == "user"]
                self.calls += 1
                self.asked.setdefault((users[0].split()[1], len(users)), []).append(worker)
                self.progress.set()
                self.open[worker] += 1
                await asyncio.sleep(self.seconds * random.uniform(0.5, 1.5))
                self.open[worker] -= 1
                answer = {"choices": [{"message": {"role": "assistant", "content": f"yes {len(users)}"}}]}
                data = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                writer.write(b"content-length: %d\r\n\r\n" % len(data) + data)
        writer.close()


def suite(url: str, count: int) -> dict[str, Any]:
    """Runs that tell the agent which one they are, and which worker asks."""
    first = {"content": "run {n} begins", "perturbations": {"n": [str(number) for number in range(count)]}}
    turns = [first, *({"content": f"go on {number}"} for number in range(1, TURNS))]
    check = {"type": "contains", "params": {"patterns": ["yes"]}}
    agent = {"name": "bot", "http": {"url": url, "headers": {"x-worker": f"${{{WORKER}:-nobody}}"}}}
    return {
        "apiVersion": "duologue/v1",
        "kind": "Suite",
        "metadata": {"name": "kills"},
        "spec": {
            "agents": [agent],
            "scenarios": [{"name": "talk", "turns": turns, "checks": [check]}],
            "defaults": {"seed": 1},
        },
    }


async def work(where: str, concurrent: int) -> None:
    """A worker, until every run is over."""
    async with Database.open(where, lease=LEASE) as database:
        processor = RunProcessor(database, max_concurrent=concurrent, poll_interval=1.0)
        await processor.start()
        while not set(await database.queue.counts()) <= OVER:  # noqa: ASYNC110 -- others end them
            await asyncio.sleep(0.5)
        await processor.stop()


class Workers:
    """Worker processes, which are replaced when they are killed."""

    def __init__(self, where: str, concurrent: int) -> None:
        self.where, self.concurrent, self.started = where, concurrent, 0
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.killed: list[str] = []

    async def start(self) -> None:
        self.started += 1
        name = f"worker-{self.started}"
        command = [sys.executable, __file__, "--work", self.where, "--concurrent", str(self.concurrent)]
        self.running[name] = await asyncio.create_subprocess_exec(*command, env={**os.environ, WORKER: name})

    async def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        await process.wait()
        self.killed.append(name)

    async def wait(self) -> list[int]:
        return [await process.wait() for process in self.running.values()]


async def play(where: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run everything once."""
    chance = random.Random(options.seed)
    agent = Agent(options.agent)
    server = await asyncio.start_server(agent.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    (folder / "suite.yaml").write_text(json.dumps(suite(url, options.runs)))
    workers = Workers(where, options.concurrent)
    async with server, Database.open(where, create=True) as database:
        await enqueue(database, folder)
        began = time.perf_counter()
        for _ in range(options.workers):
            await workers.start()
        last = int(0.9 * TURNS * options.runs)
        open_calls = 0
        for calls in sorted(chance.sample(range(20, last), options.kills)):
            while agent.calls < calls:
                agent.progress.clear()
                await agent.progress.wait()
            busy = [name for name in workers.running if agent.open[name]] or list(workers.running)
            victim = chance.choice(busy)
            open_calls += agent.open[victim]
            await workers.kill(victim)
            await workers.start()
        codes = await workers.wait()
        seconds = time.perf_counter() - began
        return {
            "runs": options.runs,
            "workers": options.workers,
            "kills": options.kills,
            "seconds": round(seconds, 1),
            "calls": agent.calls,
            "calls in flight of killed workers": open_calls,
            **await judged(database, agent, workers, options, codes),
        }


async def enqueue(database: Database, folder: Path) -> None:
    row = {"id": "p", "name": "p", "settings": {}, "created_at": 0.0, "updated_at": 0.0}
    await database.write(lambda connection: connection.execute(insert(projects).values(**row)))
    loaded = load(folder / "suite.yaml").within(folder)
    snapshot = take_snapshot(loaded)
    cases = Engine(suite=loaded).generate_plan().cases
    new = [NewRun(id=case.run_id("e"), snapshot=snapshot.digest, case=case, max_attempts=1000) for case in cases]
    await database.queue.enqueue("p", new, snapshots=[snapshot], execution=NewExecution(name="e"))


async def judged(
    database: Database, agent: Agent, workers: Workers, options: argparse.Namespace, codes: list[int]
) -> dict[str, Any]:
    """What went wrong, in words."""
    wrong: list[str] = []
    statuses = dict(await database.queue.counts())
    if statuses != {QueueStatus.COMPLETED: options.runs}:
        wrong.append(f"statuses: {statuses}")
    outcomes = Counter(
        await database.read(lambda connection: connection.execute(select(runs.c.outcome)).scalars().all())
    )
    if outcomes != {"pass": options.runs}:
        wrong.append(f"outcomes: {dict(outcomes)}")
    kept = await database.read(lambda connection: connection.execute(select(results.c.messages)).scalars().all())
    broken = sum(len(from_json(messages)) < 2 * TURNS for messages in kept)
    if len(kept) != options.runs or broken:
        wrong.append(f"{len(kept)} results, {broken} of them not whole")
    if len(agent.asked) != TURNS * options.runs:
        wrong.append(f"{len(agent.asked)} turns were played; expected {TURNS * options.runs}")
    again = {key: who for key, who in agent.asked.items() if len(who) > 1}
    by_the_living = {key: who for key, who in again.items() if not set(who[:-1]) <= set(workers.killed)}
    if by_the_living:
        wrong.append(f"asked again although the worker lived: {dict(list(by_the_living.items())[:5])}")
    in_hand = Counter(name for who in again.values() for name in who[:-1])
    if any(count > options.concurrent for count in in_hand.values()):
        wrong.append(f"asked again after the death of one worker: {in_hand}")
    attempts = await database.read(lambda connection: connection.execute(select(func.sum(runs.c.attempts))).scalar())
    if any(codes):
        wrong.append(f"exit codes: {codes}")
    return {
        "asked again": sum(len(who) - 1 for who in again.values()),
        "claims": int(attempts or 0),
        "wrong": wrong,
    }


@contextmanager
def store(name: str, folder: Path) -> Iterator[str]:
    """The address of an empty database."""
    if name == "sqlite":
        yield str(folder / "durability.db")
        return
    if name != "postgresql":
        yield name
        return
    from postgres_server import PostgresServer, find_programs

    programs = find_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed; on Debian and Ubuntu: apt-get install postgresql")
    place = folder / "pg"
    place.mkdir()
    server = PostgresServer(place, programs, settings="max_connections = 200\n")
    try:
        yield server.new_database()
    finally:
        server.stop()


def main() -> None:
    """Play, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--concurrent", type=int, default=20, help="runs at once in each worker")
    parser.add_argument("--agent", type=float, default=0.03, help="seconds that an answer takes")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        asyncio.run(work(options.work, options.concurrent))
        return
    failed = False
    for name in options.store:
        for workers in options.workers:
            folder = Path(tempfile.mkdtemp(prefix="duologue-bench-"))
            folder.chmod(0o755)
            try:
                with store(name, folder) as where:
                    one = argparse.Namespace(**{**vars(options), "workers": workers})
                    found = {"store": name.partition(":")[0], **asyncio.run(play(where, folder, one))}
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            print("  ".join(f"{key}: {value}" for key, value in found.items()))
            print(json.dumps({"benchmark": "durability", **found}), flush=True)
            failed = failed or bool(found["wrong"])
    sys.exit(failed)


if __name__ == "__main__":
    main()
