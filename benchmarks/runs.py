"""The run store and the processor: what an operation costs as runs pile up, and how many runs a worker gets done.

    python benchmarks/runs.py
    python benchmarks/runs.py --store sqlite --parts instant hot
    python benchmarks/runs.py --store postgresql://me@host/scratch --parts operations

Four parts. ``instant``: 200 runs of one agent call each, which answers at once, through a processor with its defaults.
``operations``: one operation at a time with 0 to 100,000 runs stored, and with as many queued. ``hot``: claim,
heartbeat, events and finish of 2,000 runs, beside the raw driver that executes the same statements in the same
batches. ``many``: 20,000 queued runs with agents of 100 ms, 500 at once in one worker.

A private PostgreSQL server is started with its defaults but for the place, which needs its programs; ``fsync`` stays
on. The tables of a database that is given by its URL are made, and filled. Prints a table and one line of JSON for each
part.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, bindparam, insert, text, update

from duologue import AgentAdapter, AgentInput
from duologue.runs.processor import RunProcessor
from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.database import postgres_statements as sql
from duologue.runs.store.database import sqlite as sqlite_statements
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import RunFilter, count_runs, get_run, list_runs
from duologue.runs.store.database.schema import executions, projects, runs
from duologue.runs.store.records import ClaimedRun, FinishedRun, NewExecution, NewRun, QueueStatus, Snapshot
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load
from duologue.suites.plan.build import TestCase

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: orders}
spec:
  agents:
    - {name: bot, target: "given:bot"}
  scenarios:
    - name: order
      description: Somebody orders a pizza.
      turns:
        - {content: hello, checks: [{type: contains, params: {patterns: [ok]}}]}
  defaults: {seed: 7}
"""
SNAPSHOT = Snapshot(digest="sha256:benchmark", data=b"{}")
PASSED = FinishedRun(
    status=QueueStatus.COMPLETED, outcome="pass", score=1.0, messages=[{"role": "user", "content": "x" * 200}]
)
LINE = (
    b'{"run_id":"r","seq":1,"at":0.0,"type":"message_added","message":{"role":"assistant","content":"'
    + b"x" * 200
    + b'"}}\n'
)
BATCH = 100
EVENTS = 4
"""Lines of the journal of one run."""


class Bot(AgentAdapter):
    """Answers after so many seconds, and counts."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.calls = seconds, 0

    async def call(self, input: AgentInput) -> str:
        self.calls += 1
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return "ok"


# --- databases --------------------------------------------------------------------------------------------------------


@contextmanager
def servers(stores: list[str]) -> Iterator[Callable[[str], str]]:
    """A function that gives the address of an empty database of a store."""
    folder = Path(tempfile.mkdtemp(prefix="duologue-bench-"))
    folder.chmod(0o755)
    server: Any = None
    if "postgresql" in stores:
        from postgres_server import PostgresServer, find_programs

        place = folder / "pg"
        place.mkdir()
        server = PostgresServer(place, find_programs(), settings="max_connections = 100\n")
    count = 0

    def empty(store: str) -> str:
        nonlocal count
        count += 1
        if store == "sqlite":
            return str(folder / f"{count}.db")
        return server.new_database() if store == "postgresql" else store

    try:
        yield empty
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def opened(where: str) -> AsyncIterator[Database]:
    """A database with a project ``p``."""
    async with Database.open(where, create=True) as database:
        row = {"id": "p", "name": "p", "settings": {}, "created_at": 0.0, "updated_at": 0.0}
        await database.write(lambda connection: connection.execute(insert(projects).values(**row)))
        yield database


async def put(database: Database, names: list[str]) -> None:
    new = [NewRun(id=name, snapshot=SNAPSHOT.digest, case=TestCase(index=0, scenario=name)) for name in names]
    await database.queue.enqueue("p", new, snapshots=[SNAPSHOT])


FILL = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
    INSERT INTO runs (id, project_id, execution_id, eval_id, scenario_id, snapshot, identity, trial, test_case, status,
                      outcome, created_at, updated_at)
    SELECT 'filled' || i || '-' || :owner, 'p', :owner, 'e' || (i % 10), 's' || (i % 7), :snapshot, 'i' || i, 1, :case,
           :status, 'pass', 0.0, 0.0 FROM n
"""


def fill(count: int, status: str) -> Callable[[Any], None]:
    """Many runs at once, made by the database itself."""

    def work(connection: Any) -> None:
        execution = insert(executions).values(project_id="p", name=f"{status} {count}", data={}, created_at=0.0)
        owner = connection.execute(execution).inserted_primary_key[0]
        case = json.dumps(TestCase(index=0, scenario="s").as_data()).encode()
        values = {"count": count, "owner": owner, "case": case, "status": status, "snapshot": SNAPSHOT.digest}
        filling = text(FILL).bindparams(bindparam("owner", type_=BigInteger), bindparam("case", type_=LargeBinary))
        connection.execute(filling, values)

    return work


# --- operations -------------------------------------------------------------------------------------------------------


async def operations(where: str, levels: list[int], repeat: int) -> list[dict[str, Any]]:
    """Milliseconds of each operation, the median of many, by how many runs are stored and queued."""
    table: list[dict[str, Any]] = []
    async with opened(where) as database:
        await put(database, ["first"])
        for status in ("completed", "queued"):
            stored = 0
            for level in levels:
                if level > stored:
                    await database.write(fill(level - stored, status), timeout=600)
                    stored = level
                if database.dialect == "postgresql":  # as its autovacuum would do soon
                    await database.outside_transaction("ANALYZE", timeout=600)
                table.append({status: level, **await measured(database, repeat, f"{status}{level}")})
    return table


async def measured(database: Database, repeat: int, prefix: str) -> dict[str, float]:
    times: dict[str, list[float]] = {}

    async def timed(name: str, work: Awaitable[Any]) -> Any:
        began = time.perf_counter()
        result = await work
        times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return result

    for number in range(repeat + 3):
        if number == 3:  # what is done for the first time prepares statements
            times.clear()
        name = f"{prefix}-{number}"
        await timed("create", put(database, [name]))
        (run,) = await timed("claim", database.queue.claim("w", 1))
        changed = update(runs).where(runs.c.id == name).values(reason="seen")
        await timed("update", database.write(lambda connection, changed=changed: connection.execute(changed)))
        await timed("get", get_run(database, name))
        await timed("heartbeat", database.queue.heartbeat("w", [run]))
        await timed("append", database.writer.append(run, 1, [(0, LINE)]))
        await timed("finish", database.queue.finish(run, PASSED))
        await timed("list page", list_runs(database, RunFilter(project_id="p"), limit=50, descending=True))
        middle = run.number // 2
        await timed("page in the middle", list_runs(database, RunFilter(project_id="p"), limit=50, after=middle))
        await timed("list by eval", list_runs(database, RunFilter(eval_id="e3"), limit=50, descending=True))
        await timed(
            "list by status", list_runs(database, RunFilter(project_id="p", status=QueueStatus.RUNNING), limit=50)
        )
    for _ in range(5):
        await timed("count", count_runs(database, RunFilter(project_id="p")))
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


# --- the hot path beside the raw driver -------------------------------------------------------------------------------


async def hot(empty: Callable[[], str], count: int, repeat: int) -> dict[str, Any]:
    """Seconds for the hot path of so many runs, by the store and by the raw driver alone, best of several."""
    ours, raw = [], []
    for _ in range(repeat):
        ours.append(await hot_by_store(empty(), count))
        raw.append(await hot_by_driver(empty(), count))
    best = {name: min(result[name] for result in ours) for name in ours[0]}
    bare = {name: min(result[name] for result in raw) for name in raw[0]}
    rows = {name: {"store": best[name], "driver": bare[name], "ratio": best[name] / bare[name]} for name in best}
    return {"runs": count, **rows}


async def hot_by_store(where: str, count: int) -> dict[str, float]:
    times: dict[str, float] = {}
    async with opened(where) as database:
        await put(database, [f"r{number}" for number in range(count)])
        await database.queue.heartbeat("w", [])
        gc.collect()
        for _ in range(0, count, BATCH):
            with stopwatch(times, "claim"):
                claimed = await database.queue.claim("w", BATCH)
            with stopwatch(times, "heartbeat"):
                await database.queue.heartbeat("w", claimed)
            with stopwatch(times, "events, end"):
                await asyncio.gather(*(life_of(database, run) for run in claimed))
    return {**times, "all": sum(times.values())}


async def life_of(database: Database, run: ClaimedRun) -> None:
    """What a run writes, one thing after the other."""
    for seq in range(EVENTS):
        await database.writer.append(run, 1, [(seq, LINE)])
    await database.queue.finish(run, PASSED)


async def hot_by_driver(where: str, count: int) -> dict[str, float]:
    """The same statements in the same batches, and nothing else: no threads, no checks, no values of ours."""
    async with opened(where) as database:
        await put(database, [f"r{number}" for number in range(count)])
    gc.collect()
    return raw_sqlite(where, count) if not where.startswith("postgresql") else await raw_postgres(where, count)


def raw_sqlite(where: str, count: int) -> dict[str, float]:  # noqa: PLR0915 -- statement by statement
    import sqlite3

    times: dict[str, float] = {}
    statements = sqlite_statements
    db = sqlite3.connect(where, isolation_level=None, cached_statements=256)
    statements.configure(db.execute)
    messages, now = b"[]", 0.0
    worker = ("w", "h", 1, "v", 1, 1, "running", now, now, 1e12, "")
    end = ("completed", "pass", 1.0, None, None, None, "{}", None, None, now, now)
    for _ in range(0, count, BATCH):
        with stopwatch(times, "claim"):
            db.execute("BEGIN IMMEDIATE")
            db.execute(statements._NEXT_DUE).fetchone()
            group = db.execute(statements._FIRST_GROUP).fetchone()
            db.execute(statements._NEXT_GROUP, group).fetchone()
            rows = db.execute(statements._CANDIDATES, (*group, BATCH, None)).fetchall()
            db.executemany(statements._TAKE, [("w", now, now, row[0]) for row in rows])
            taken = [db.execute(statements._TAKEN, (row[0],)).fetchone() for row in rows]
            db.execute(statements._WORKER, worker)
            db.execute("COMMIT")
        for seq in range(EVENTS):
            with stopwatch(times, "events, end"):
                db.execute("BEGIN IMMEDIATE")
                db.execute(statements._OWNED, (str([row[1] for row in taken]),)).fetchall()
                db.executemany(statements._EVENTS, [(row[1], 1, seq, LINE) for row in taken])
                db.execute("COMMIT")
        with stopwatch(times, "heartbeat"):
            db.execute("BEGIN IMMEDIATE")
            db.execute(statements._WORKER, worker)
            db.execute(statements._HELD, ("w",)).fetchall()
            db.execute("COMMIT")
        with stopwatch(times, "events, end"):
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            db.execute(statements._OWNED, (str([row[1] for row in taken]),)).fetchall()
            db.executemany(statements._END, [(*end, row[1]) for row in taken])
            db.executemany(statements._RESULTS, [(row[1], messages, b"") for row in taken])
            db.execute("COMMIT")
            db.execute("PRAGMA synchronous = NORMAL")
    db.close()
    return {**times, "all": sum(times.values())}


async def raw_postgres(where: str, count: int) -> dict[str, float]:
    import asyncpg

    times: dict[str, float] = {}
    db = await asyncpg.connect(where)
    worker = ("w", "h", 1, "v", 1, 1, "running", 30.0)
    end = ["completed", "pass", 1.0, None, None, None, "{}", None, None]
    none: list[list[Any]] = [[] for _ in range(8)]
    for _ in range(0, count, BATCH):
        with stopwatch(times, "claim"):
            (state,) = await db.fetch(sql.STATE)
            taken = await db.fetch(sql.TAKE_FIRST, [state[2]], [state[3]], [BATCH], *worker, None)
        numbers, tokens = [row[1] for row in taken], [row[2] for row in taken]
        for seq in range(EVENTS):
            with stopwatch(times, "events, end"):
                events = [numbers, tokens, [1] * BATCH, [seq] * BATCH, [LINE] * BATCH]
                await db.fetch(sql.WRITE_EVENTS, numbers, *events)
        with stopwatch(times, "heartbeat"):
            async with db.transaction():
                await db.execute(sql.WORKER, *worker)
                await db.fetch(sql.HELD, "w")
        with stopwatch(times, "events, end"):
            ends = [[value] * BATCH for value in end]
            results = [numbers, tokens, [b"[]"] * BATCH, [b""] * BATCH]
            await db.fetch(sql.WRITE_ENDS, numbers, *none[:5], *ends, numbers, tokens, *results, *none)
    await db.close()
    return {**times, "all": sum(times.values())}


@contextmanager
def stopwatch(times: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    times[name] = times.get(name, 0.0) + time.perf_counter() - began


# --- through the processor --------------------------------------------------------------------------------------------


async def processed(
    where: str, folder: Path, count: int, *, seconds: float, concurrent: int | None
) -> dict[str, float]:
    """Put so many runs into the queue, and let a processor carry them out."""
    async with opened(where) as database:
        (folder / "suite.yaml").write_text(SUITE)
        suite = load(folder / "suite.yaml").within(folder)
        snapshot = take_snapshot(suite)
        plan = Engine(suite=suite).generate_plan(trials=count)
        new = [NewRun(id=case.run_id(where), snapshot=snapshot.digest, case=case) for case in plan.cases]
        bot = Bot(seconds)
        began, used = time.perf_counter(), time.process_time()
        await database.queue.enqueue("p", new, snapshots=[snapshot], execution=NewExecution())
        put_in = time.perf_counter() - began
        processor = RunProcessor(database, agents={"bot": lambda: bot}, max_concurrent=concurrent)
        await processor.drain()
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        done = await database.queue.counts()
        if done != {QueueStatus.COMPLETED: count} or bot.calls != count or processor.outcomes != {"pass": count}:
            raise SystemExit(f"{dict(done)}, {bot.calls} calls, {processor.outcomes}; expected {count} of each")
    return {"runs": count, "seconds": wall, "cpu": cpu, "enqueue": put_in, "runs/s": count / wall}


# --- the table --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", nargs="+", default=["sqlite", "postgresql"], help="sqlite, postgresql, or URLs")
    parser.add_argument("--parts", nargs="+", default=["instant", "operations", "hot", "many"])
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1_000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=20_000, help="of the part 'many'")
    parser.add_argument("--concurrent", type=int, default=500, help="of the part 'many'")
    parser.add_argument("--repeat", type=int, default=50, help="of the part 'operations'")
    options = parser.parse_args()
    with servers(options.store) as empty, tempfile.TemporaryDirectory() as name:
        for store in options.store:
            for part in options.parts:
                report(
                    store, part, asyncio.run(one(store, part, options, lambda store=store: empty(store), Path(name)))
                )


async def one(store: str, part: str, options: argparse.Namespace, empty: Callable[[], str], folder: Path) -> Any:
    match part:
        case "instant":
            await processed(empty(), folder, 10, seconds=0, concurrent=None)  # imports, and files of bytecode
            return await processed(empty(), folder, 200, seconds=0, concurrent=None)
        case "operations":
            return await operations(empty(), options.levels, options.repeat)
        case "hot":
            return await hot(empty, 2_000, 3)
        case "many":
            return await processed(empty(), folder, options.runs, seconds=0.1, concurrent=options.concurrent)
        case _:
            raise SystemExit(f"there is no part {part!r}")


def report(store: str, part: str, measured: Any) -> None:
    """Print a table and a line of JSON."""
    store = store.partition(":")[0]
    print(f"--- {part}, {store}")
    if part == "operations":
        names = [name for name in measured[0] if name not in {"completed", "queued"}]
        print(
            f"{'stored':>10} {'queued':>10} "
            + " ".join(f"{name:>{max(8, len(name))}}" for name in names)
            + "   (ms, median)"
        )
        for row in measured:
            cells = " ".join(f"{row[name]:>{max(8, len(name))}.2f}" for name in names)
            print(f"{row.get('completed', 'all'):>10} {row.get('queued', 0):>10} {cells}")
    elif part == "hot":
        print(f"{'':>12} {'store s':>9} {'driver s':>9} {'ratio':>6}")
        for name, row in measured.items():
            if name != "runs":
                print(f"{name:>12} {row['store']:9.3f} {row['driver']:9.3f} {row['ratio']:6.2f}")
    else:
        print(" ".join(f"{name}: {value:.2f}" for name, value in measured.items()))
    print(json.dumps({"benchmark": "runs", "part": part, "store": store, "measured": measured}), flush=True)


if __name__ == "__main__":
    main()
