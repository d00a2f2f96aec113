"""What happens beyond this machine: a discrete-event model of a store, its workers and the providers of models.

    python benchmarks/scale_model.py                      # a day of 1,000,000 runs on 200 workers, and the small end
    python benchmarks/scale_model.py --store URL          # costs measured on this database, such as PostgreSQL
    python benchmarks/scale_model.py --runs 2000000 --workers 400 --stall 120

The virtual clock is a heap of events. What the database takes for a claim, a flush of the journal, a heartbeat and the
end of a run, and what a worker's processor takes for a conversation, is measured on this machine first. The model then
says how long runs wait in the queue, what is used up first, and what the database does and keeps in a day. Nodes are
lost, the database stands still for a while, and a provider takes only so many requests a second.

Its small end is checked: the same load is carried out for real, on the same database, and both are printed.
Prints tables and one line of JSON, and exits with 1 if the check is out by more than a half.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from heapq import heapify, heappop, heappush, heapreplace
from pathlib import Path

from sqlalchemy import Column, Table, delete, func, insert, select

from duologue.runs.processor import RunProcessor
from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.database import schema
from duologue.runs.store.database.engine import Database
from duologue.runs.store.records import ClaimedRun, FinishedRun, NewExecution, NewRun, QueueStatus
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load

DAY = 86_400.0


@dataclass(frozen=True)
class Costs:
    """Seconds that the database is busy with one transaction, and what each further run in it adds; bytes kept.

    Attributes:
        transaction: of any transaction: begin, commit, the way there and back.
        claim, flush, heartbeat, finish: for each run in it.
        worker: of a worker for a turn.
        begin: of a worker for the beginning and the end of a run.
        event_bytes, result_bytes: what a turn and a result add to the database, indexes included.
    """

    transaction: float = 0.0008
    claim: float = 0.00012
    flush: float = 0.00008
    heartbeat: float = 0.00003
    finish: float = 0.0002
    worker: float = 0.0006
    begin: float = 0.0015
    event_bytes: float = 900.0
    result_bytes: float = 6_000.0


@dataclass(frozen=True)
class Load:
    """What is asked for.

    Attributes:
        runs: in ``seconds``; they arrive as people work, ``swing`` more at the height of the day than on average.
        at_once: all of them are there from the beginning.
        workers, slots: processes, and conversations in each.
        connections: of the database that work at once.
        turns, turn_seconds: of a conversation: how many, and the median of one (log-normal, ``spread``).
        poll: seconds after which a worker with free slots looks again by itself; a run that arrives wakes one.
        batch: a worker's writes within so many seconds share a transaction.
        beat, lease: seconds between heartbeats, and until a lease ends.
        provider_rate: requests a second that the provider takes; 0 for any number.
        lost: how many workers are lost in the time, each replaced after ``lease``.
        stall, stall_at: seconds during which the database answers nothing, and when it begins.
    """

    runs: int = 1_000_000
    seconds: float = DAY
    swing: float = 0.8
    at_once: bool = False
    workers: int = 200
    slots: int = 8
    connections: int = 8
    turns: int = 6
    turn_seconds: float = 6.0
    spread: float = 0.6
    poll: float = 1.0
    batch: float = 0.005
    beat: float = 10.0
    lease: float = 30.0
    provider_rate: float = 400.0
    lost: int = 40
    stall: float = 60.0
    stall_at: float = DAY / 2


@dataclass
class Found:
    """What the model saw."""

    waits: list[float] = field(default_factory=list)
    finished: int = 0
    again: int = 0
    ended_at: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    transactions: int = 0
    busy: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    longest_queue: int = 0
    provider_wait: float = 0.0
    worst_commit: float = 0.0


class Station:
    """So many servers with one queue: a request begins when one is free, and not while the station stands still."""

    def __init__(self, servers: int, still: tuple[float, float] = (math.inf, math.inf)) -> None:
        self.free = [0.0] * servers
        heapify(self.free)
        self.still = still
        self.busy = 0.0

    def done(self, now: float, seconds: float) -> float:
        """When a request that arrives now is answered."""
        begin = max(now, self.free[0])
        if self.still[0] <= begin < self.still[1]:
            begin = self.still[1]
        end = begin + seconds
        heapreplace(self.free, end)
        self.busy += seconds
        return end


class Rate:
    """Requests a second, in the order in which they come; as many as a second allows may come at once."""

    def __init__(self, per_second: float) -> None:
        self.gap = 1 / per_second if per_second else 0.0
        self.next = 0.0

    def begins(self, now: float) -> float:
        """When a request that is made now may go out."""
        if not self.gap:
            return now
        begin = max(now, self.next)
        self.next = max(self.next, now - 1.0) + self.gap
        return begin


@dataclass(slots=True)
class Conversation:
    """A claimed run."""

    worker: int
    life: int
    turn: int = 0


class Model:
    """One day.

    Args:
        load: what is asked for.
        costs: what things take.
        seed: of all random choices.
    """

    def __init__(self, load: Load, costs: Costs, seed: int = 1) -> None:
        self.load, self.costs = load, costs
        self.random = random.Random(seed)
        self.found = Found()
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self.number = 0
        self.queue: deque[float] = deque()
        self.database = Station(load.connections, (load.stall_at, load.stall_at + load.stall))
        self.cpu = [Station(1) for _ in range(load.workers)]
        self.free = [load.slots] * load.workers
        self.life = [0] * load.workers
        self.down_until = [0.0] * load.workers
        self.claiming = [False] * load.workers
        self.batches = [(0.0, 0.0)] * load.workers
        self.running = [0] * load.workers
        self.median = math.log(load.turn_seconds)
        self.provider = Rate(load.provider_rate)
        self.idle = deque(range(load.workers))
        self.waiting_idle = set(range(load.workers))

    def at(self, when: float, what: Callable[..., None], *args: object) -> None:
        """Let something happen then."""
        self.number += 1
        heappush(self.events, (when, self.number, what, args))

    def run(self) -> Found:
        """Until every run is finished."""
        load = self.load
        self._arrivals()
        for _ in range(load.lost):
            self.at(self.random.uniform(0, load.seconds), self._lose, self.random.randrange(load.workers))
        self.at(load.beat, self._beat)
        events = self.events
        while events and self.found.finished < load.runs:
            self.now, _, what, args = heappop(events)
            what(*args)
        self.found.ended_at = self.now
        self.found.busy["database"] = self.database.busy / load.connections
        self.found.busy["workers' processors"] = sum(cpu.busy for cpu in self.cpu) / load.workers
        return self.found

    # --- arrivals ------------------------------------------------------------------------------------------------

    def _arrivals(self) -> None:
        load = self.load
        if load.at_once:
            self.queue.extend([0.0] * load.runs)
            self.found.longest_queue = load.runs
            for worker in range(load.workers):
                self.waiting_idle.discard(worker)
                self._claim(worker)
            return
        self.at(0.0, self._arrive, 0)

    def _arrive(self, count: int) -> None:
        load = self.load
        self.queue.append(self.now)
        self.found.longest_queue = max(self.found.longest_queue, len(self.queue))
        self._wake()
        if count + 1 < load.runs:
            rate = load.runs / load.seconds * (1 - load.swing * math.cos(2 * math.pi * self.now / load.seconds))
            self.at(self.now + self.random.expovariate(max(rate, 1e-9)), self._arrive, count + 1)

    def _wake(self) -> None:
        """Tell one worker that has nothing to wait for but this."""
        while self.idle:
            worker = self.idle.popleft()
            if worker in self.waiting_idle:
                self.waiting_idle.discard(worker)
                self._claim(worker)
                return

    # --- a worker ------------------------------------------------------------------------------------------------

    def _rest(self, worker: int) -> None:
        if worker not in self.waiting_idle:
            self.waiting_idle.add(worker)
            self.idle.append(worker)

    def _claim(self, worker: int) -> None:
        if self.claiming[worker] or not self.free[worker] or self.now < self.down_until[worker]:
            return
        if not self.queue:
            self._rest(worker)
            return
        count = min(self.free[worker], len(self.queue))
        arrived = [self.queue.popleft() for _ in range(count)]
        self.claiming[worker] = True
        self.free[worker] -= count
        self._count("claim", count)
        answered = self._transaction(self.now, self.costs.claim * count)
        self.at(answered, self._claimed, worker, self.life[worker], arrived)

    def _claimed(self, worker: int, life: int, arrived: list[float]) -> None:
        if life != self.life[worker]:  # lost meanwhile: the leases end, and the runs are claimed again
            self.at(self.now + self.load.lease, self._return, len(arrived))
            return
        self.claiming[worker] = False
        for instant in arrived:
            self.found.waits.append(self.now - instant)
            self._turn(Conversation(worker, life))
        self.running[worker] += len(arrived)
        self._claim(worker)

    def _turn(self, run: Conversation) -> None:
        """The journal is flushed, then the agent is asked; after the last turn, the end is recorded."""
        worker = run.worker
        if run.life != self.life[worker]:
            return
        costs, load = self.costs, self.load
        last = run.turn >= load.turns
        ready = self.cpu[worker].done(self.now, costs.worker + (0.0 if run.turn else costs.begin))
        answered = self._written(worker, ready, costs.finish if last else costs.flush)
        self.found.operations["finish" if last else "flush"] += 1
        if last:
            self.at(answered, self._finished, run)
            return
        run.turn += 1
        begin = self.provider.begins(answered)
        self.found.operations["request"] += 1
        self.found.provider_wait += begin - answered
        seconds = self.random.lognormvariate(self.median, load.spread)
        self.found.busy["slot seconds"] += begin + seconds - self.now
        self.at(begin + seconds, self._turn, run)

    def _written(self, worker: int, ready: float, seconds: float) -> float:
        """When it is committed: with what the worker writes already, if that has not begun."""
        begins, ends = self.batches[worker]
        if ready <= begins:
            self.database.busy += seconds
            self.batches[worker] = begins, ends + seconds
            return ends + seconds
        begins = max(ready + self.load.batch, self.database.free[0])
        ends = self._transaction(ready + self.load.batch, seconds)
        self.batches[worker] = begins, ends
        return ends

    def _finished(self, run: Conversation) -> None:
        worker = run.worker
        if run.life != self.life[worker]:  # it was not recorded: the token is another's
            return
        self.running[worker] -= 1
        self.found.finished += 1
        self.free[worker] += 1
        self.waiting_idle.discard(worker)
        self._claim(worker)

    # --- what goes wrong -----------------------------------------------------------------------------------------

    def _lose(self, worker: int) -> None:
        """The worker is gone; its runs are claimed again once their leases are over, and so is its place."""
        self.life[worker] += 1
        self.down_until[worker] = self.now + self.load.lease
        lost, self.running[worker], self.claiming[worker] = self.running[worker], 0, False
        self.found.again += lost
        self.free[worker] = self.load.slots
        self.waiting_idle.discard(worker)
        self.at(self.now + self.load.lease, self._return, lost)
        self.at(self.now + self.load.lease, self._claim, worker)

    def _return(self, count: int) -> None:
        """So many runs are in the queue again, before all others; they wait from now on."""
        self.queue.extendleft([self.now] * count)
        self._wake()

    def _beat(self) -> None:
        """Each worker with runs renews their leases; the beats of a period are one request to the station."""
        alive = [held for held in self.running if held]
        if alive:
            self._count("heartbeat", len(alive))
            self.found.transactions += len(alive) - 1
            self._transaction(self.now, (len(alive) - 1) * self.costs.transaction + sum(alive) * self.costs.heartbeat)
        self.at(self.now + self.load.beat, self._beat)

    def _transaction(self, when: float, seconds: float) -> float:
        self.found.transactions += 1
        answered = self.database.done(when, self.costs.transaction + seconds)
        self.found.worst_commit = max(self.found.worst_commit, answered - when)
        return answered

    def _count(self, kind: str, count: int) -> None:
        self.found.operations[kind] += count


# --- what things take here -------------------------------------------------------------------------------------------

PROJECT = "scale-model"
_SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {{name: scale}}
spec:
  defaults: {{seed: 1}}
  agents: [{{name: agent, target: "given:agent"}}]
  scenarios:
    - name: order
      description: Somebody orders something to eat.
      turns: [{turns}]
      checks: [{{type: contains, params: {{patterns: [certainly]}}}}]
"""


class Agent:
    """Answers after a while; how long is the same in every run of this program."""

    def __init__(self, median: float, spread: float) -> None:
        self.random, self.median, self.spread = random.Random(2), median, spread

    async def __call__(self, input: object) -> str:
        if self.median:
            await asyncio.sleep(self.random.lognormvariate(math.log(self.median), self.spread))
        return "Certainly. " + "Your order is on its way, and this is about as long as an answer is. " * 3


class Store:
    """The database that is measured, with nothing in it but what this program puts there."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def begin(self) -> None:
        """Make the project."""
        now = time.time()
        row = {"id": PROJECT, "name": PROJECT, "settings": {}, "created_at": now, "updated_at": now}
        await self.end()
        await self.database.write(lambda connection: connection.execute(insert(schema.projects), row))

    async def end(self) -> None:
        """Remove the project and all runs of it."""
        await self.database.write(
            lambda connection: connection.execute(delete(schema.projects).where(schema.projects.c.id == PROJECT))
        )

    async def enqueue(self, runs: int, turns: int) -> list[str]:
        """Put so many runs into the queue, of an execution of their own; returns their ids."""
        with tempfile.TemporaryDirectory() as folder:
            suite = _suite(Path(folder), turns)
        snapshot, plan = take_snapshot(suite), Engine(suite=suite).generate_plan(trials=runs)
        name = self.database.context.ids.new("scale")
        new = [NewRun(id=case.run_id(name), snapshot=snapshot.digest, case=case) for case in plan.cases]
        await self.database.queue.enqueue(PROJECT, new, snapshots=[snapshot], execution=NewExecution(name=name))
        return [run.id for run in new]

    async def carry_out(self, runs: int, turns: int, slots: int, agent: Agent) -> tuple[list[float], float]:
        """Carry them out for real.

        Returns:
            How long each waited in the queue, and how long all took, in seconds.
        """
        ids = await self.enqueue(runs, turns)
        processor = RunProcessor(self.database, max_concurrent=slots, agents={"agent": agent})
        began, asked_at = time.perf_counter(), time.time()
        await processor.drain()
        seconds = time.perf_counter() - began
        columns = schema.runs.c
        found = await self.database.read(
            lambda connection: (
                connection.execute(
                    select(columns.started_at, columns.outcome).where(
                        columns.project_id == PROJECT, columns.id.in_(ids)
                    )
                ).all()
                if len(ids) < 500
                else connection.execute(
                    select(columns.started_at, columns.outcome)
                    .where(columns.project_id == PROJECT)
                    .order_by(columns.number.desc())
                    .limit(len(ids))
                ).all()
            )
        )
        outcomes = Counter(outcome for _, outcome in found)
        if outcomes != {"pass": runs}:
            raise SystemExit(f"expected {runs} runs that pass, found {dict(outcomes)}")
        return [started - asked_at for started, _ in found], seconds

    async def costs(self, turns: int) -> Costs:
        """What the operations take, one transaction for one run against one for many."""
        claim = [await self._claims(1, 40), await self._claims(20, 10)]
        transaction, per_claim = _line(claim)
        flush, finish = await self._writes(transaction)
        _, long = await self.carry_out(300, turns, 20, Agent(0.0, 0.0))
        _, short = await self.carry_out(300, 1, 20, Agent(0.0, 0.0))
        worker = max(1e-5, (long - short) / 300 / (turns - 1))
        return Costs(
            transaction=transaction,
            claim=per_claim,
            flush=flush,
            heartbeat=flush / 2,
            finish=finish,
            worker=worker,
            begin=max(1e-5, short / 300 - 2 * worker),
            event_bytes=await self._bytes(schema.events, schema.events.c.line) * 1.4,
            result_bytes=await self._bytes(schema.results, schema.results.c.data) * 1.2,
        )

    async def _claims(self, slots: int, times: int) -> tuple[int, float]:
        await self.enqueue(slots * times, 1)
        began = time.perf_counter()
        claimed: list[ClaimedRun] = []
        for _ in range(times):
            claimed += await self.database.queue.claim("calibration", slots)
        seconds = (time.perf_counter() - began) / times
        for run in claimed:
            await self.database.queue.finish(run, FinishedRun(status=QueueStatus.CANCELLED, outcome="cancelled"))
        return slots, seconds

    async def _writes(self, transaction: float) -> tuple[float, float]:
        await self.enqueue(100, 1)
        claimed = await self.database.queue.claim("calibration", 100)
        writer, line = self.database.writer, b"x" * 700
        began = time.perf_counter()
        for seq in range(5):
            await asyncio.gather(*(writer.append(run, 1, [(seq, line)]) for run in claimed))
        flush = max(1e-6, ((time.perf_counter() - began) / 5 - transaction) / len(claimed))
        end = FinishedRun(
            status=QueueStatus.CANCELLED, outcome="cancelled", messages=[{"role": "user", "content": "hi"}]
        )
        began = time.perf_counter()
        await asyncio.gather(*(self.database.queue.finish(run, end) for run in claimed))
        finish = max(1e-6, (time.perf_counter() - began - transaction) / len(claimed))
        return flush, finish

    async def _bytes(self, table: Table, column: Column[bytes]) -> float:
        found = await self.database.read(
            lambda connection: connection.execute(select(func.avg(func.length(column))).select_from(table)).scalar()
        )
        return float(found or 0.0)


def _suite(folder: Path, turns: int) -> Suite:
    path = folder / "suite.yaml"
    path.write_text(_SUITE.format(turns=", ".join(["{content: What about my pizza?}"] * turns)))
    return load(path)


def _line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """What any transaction takes, and each run in it."""
    (few, short), (many, long) = points
    slope = max(1e-6, (long - short) / (many - few))
    return max(1e-5, short - slope * few), slope


# --- tables ----------------------------------------------------------------------------------------------------------


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def saturation(load: Load, found: Found) -> list[tuple[str, float]]:
    """For each resource, which share of it was used; the one that is used most is used up first."""
    span = found.ended_at
    slots = found.busy["slot seconds"] / (load.workers * load.slots * span)
    shares = [
        ("conversation slots of the workers", slots),
        ("database connections", found.busy["database"] / span),
        ("processors of the workers", found.busy["workers' processors"] / span),
    ]
    if load.provider_rate:
        shares.append(("requests to the provider", found.operations["request"] / span / load.provider_rate))
    return sorted(shares, key=lambda item: -item[1])


def report(load: Load, costs: Costs, found: Found) -> dict[str, object]:
    """Print what the model saw; returns it as plain data."""
    days = load.seconds / DAY
    shares = saturation(load, found)
    kept = found.finished * (load.turns * costs.event_bytes + costs.result_bytes)
    print(f"{found.finished:,} runs of {load.turns} turns in {found.ended_at / 3600:.1f} h on {load.workers} workers")
    print(f"  waited in the queue    p50 {quantile(found.waits, 0.5):.3f} s, p99 {quantile(found.waits, 0.99):.1f} s")
    print(
        f"  longest queue          {found.longest_queue:,} runs; carried out again after a lost worker: {found.again}"
    )
    print(f"  slowest commit         {found.worst_commit:.1f} s (the database stood still for {load.stall:.0f} s)")
    print(f"  waited for provider    {found.provider_wait / max(1, found.finished):.2f} s a run")
    print("  used on average:")
    for name, share in shares:
        peak = share * (1 + load.swing) if not load.at_once else share
        print(f"    {name:36}{share:7.1%}, at the height of the day {peak:7.1%}")
    first = shares[0]
    limit = found.finished / days / (first[1] * (1 + load.swing))
    print(f"  used up first: {first[0]}, at about {limit:,.0f} runs a day")
    print(f"  database: {found.transactions / days:,.0f} transactions a day, {kept / days / 1e9:.1f} GB a day")
    return {
        "finished": found.finished,
        "wait_p50": quantile(found.waits, 0.5),
        "wait_p99": quantile(found.waits, 0.99),
        "again": found.again,
        "longest_queue": found.longest_queue,
        "transactions_a_day": found.transactions / days,
        "bytes_a_day": kept / days,
        "first": first[0],
        "runs_a_day_at_most": limit,
    }


async def measured(where: str | None, turns: int, check: Load) -> tuple[Costs, dict[str, float]]:
    """The costs on this database, and the small end of the model beside the real thing."""
    async with AsyncExitStack() as stack:
        if where is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            database = await stack.enter_async_context(Database.open(Path(folder, "runs.db"), create=True))
        else:
            database = await stack.enter_async_context(Database.open(where, create=True))
        store = Store(database)
        await store.begin()
        try:
            costs = await store.costs(turns)
            agent = Agent(check.turn_seconds, check.spread)
            waits, seconds = await store.carry_out(check.runs, check.turns, check.slots, agent)
        finally:
            await store.end()
    model = Model(check, costs).run()
    print(f"{check.runs} runs at once, {check.slots} slots, {check.turns} turns of {check.turn_seconds} s:")
    print(f"  {'':18}{'model':>10}{'real':>10}{'ratio':>8}")
    rows = {
        "all of them": (model.ended_at, seconds),
        "waited, p50": (quantile(model.waits, 0.5), quantile(waits, 0.5)),
        "waited, p99": (quantile(model.waits, 0.99), quantile(waits, 0.99)),
    }
    for name, (said, was) in rows.items():
        print(f"  {name:18}{said:9.2f}s{was:9.2f}s{said / was:8.2f}")
    return costs, {name: said / was for name, (said, was) in rows.items()}


def main() -> int:
    """Measure, check, and tell what a day looks like."""
    day = Load()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="URL of a database to measure; its project 'scale-model' is made and removed")
    parser.add_argument("--runs", type=int, default=day.runs)
    parser.add_argument("--workers", type=int, default=day.workers)
    parser.add_argument("--slots", type=int, default=day.slots)
    parser.add_argument("--turn-seconds", type=float, default=day.turn_seconds)
    parser.add_argument("--provider-rate", type=float, default=day.provider_rate)
    parser.add_argument("--connections", type=int, default=None, help="that work at once: 1 for SQLite, else 8")
    parser.add_argument("--lost", type=int, default=day.lost)
    parser.add_argument("--stall", type=float, default=day.stall)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    connections = asked.connections or (8 if asked.store else 1)
    check = Load(
        runs=1_000, at_once=True, seconds=1.0, workers=1, slots=100, connections=connections, turns=4,
        turn_seconds=0.2, spread=0.4, provider_rate=0, lost=0, stall=0, batch=0.0, swing=0.0,
    )  # fmt: skip
    costs, ratios = asyncio.run(measured(asked.store, day.turns, check))
    print(
        "costs in ms: " + ", ".join(f"{name} {value * 1e3:.3f}" for name, value in asdict(costs).items() if value < 1)
    )
    load = replace(
        day,
        runs=asked.runs,
        workers=asked.workers,
        slots=asked.slots,
        turn_seconds=asked.turn_seconds,
        provider_rate=asked.provider_rate,
        connections=connections,
        lost=asked.lost,
        stall=asked.stall,
    )
    told = report(load, costs, Model(load, costs, asked.seed).run())
    print(json.dumps({"costs": asdict(costs), "check": ratios, "day": told}))
    return 0 if all(0.5 <= ratio <= 1.5 for ratio in ratios.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
