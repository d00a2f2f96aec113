"""What the engine itself costs, and how many conversations one process carries.

    python benchmarks/engine.py [--quick] [--reference PYTHON]

Prints a table and one JSON line. Three questions:

* cost: N scenarios x 5 turns of stub user, agent and judge in one process; CPU per turn, against a bare asyncio loop
  that makes the same calls, and, with ``--reference``, against langwatch-scenario in that interpreter;
* concurrency: conversations whose roles sleep, against the ideal wall time;
* latency: a scripted scenario of 15 steps with instant stubs.

Every figure is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

TURNS = 5


def stubs(seconds: float, others: float | None = None):
    """A user, an agent and a judge that passes in the last turn.

    Each call takes that many seconds; those of the user and the judge ``others``, if that is given.
    """
    others = seconds if others is None else others
    import duologue

    class User(duologue.AgentAdapter):
        role = duologue.AgentRole.USER

        async def call(self, input):
            if others:
                await asyncio.sleep(others)
            return "hello there"

    class Agent(duologue.AgentAdapter):
        async def call(self, input):
            if seconds:
                await asyncio.sleep(seconds)
            return "how can I help?"

    class Judge(duologue.AgentAdapter):
        role = duologue.AgentRole.JUDGE

        async def call(self, input):
            if others:
                await asyncio.sleep(others)
            if input.scenario_state.current_turn < TURNS - 1:
                return []
            return duologue.ScenarioResult(success=True, messages=input.messages, passed_criteria=["polite"])

    return User, Agent, Judge


def measure(body, warm_up=None) -> dict[str, float]:
    """Wall and CPU seconds of a coroutine function, and what the process held at most."""
    peak = [threading.active_count()]

    async def main() -> tuple[float, float]:
        if warm_up:
            await warm_up()
        wall, cpu = time.perf_counter(), time.process_time()
        await body(peak)
        return time.perf_counter() - wall, time.process_time() - cpu

    wall, cpu = asyncio.run(main())
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall, "cpu": cpu, "rss_mb": rss, "threads": peak[0]}


def duologue_case(n: int, seconds: float, api: str, others: float | None = None) -> dict[str, float]:
    import duologue

    play = duologue.run if api == "run" else duologue.arun

    async def one(roles) -> bool:
        result = await play("bench", "a benchmark", [role() for role in roles], max_turns=10, verbose=False)
        return result.success

    async def warm_up() -> None:
        assert await one(stubs(0))

    async def body(peak: list[int]) -> None:
        roles = stubs(seconds, others)
        done = await asyncio.gather(*(one(roles) for _ in range(n)))
        peak[0] = threading.active_count()
        assert all(done)

    return measure(body, warm_up)


def bare_case(n: int, seconds: float) -> dict[str, float]:
    """The same calls with nothing around them: what no engine can be faster than."""

    async def call(messages: list[dict[str, str]], role: str) -> str:
        if seconds:
            await asyncio.sleep(seconds)
        return "hello there"

    async def one() -> None:
        messages: list[dict[str, str]] = []
        for _ in range(TURNS):
            for role in ("user", "assistant", "judge"):
                text = await call(messages, role)
                if role != "judge":
                    messages.append({"role": role, "content": text})

    async def body(_: list[int]) -> None:
        await asyncio.gather(*(one() for _ in range(n)))

    return measure(body)


def latency_case(repeats: int) -> dict[str, float]:
    import duologue

    user, agent, _ = stubs(0)
    script = [step for _ in range(7) for step in (duologue.user("hello"), duologue.agent())] + [duologue.succeed()]

    async def main() -> list[float]:
        times: list[float] = []
        for _ in range(repeats):
            began = time.perf_counter()
            await duologue.arun("latency", "15 steps", [user(), agent()], script=script, verbose=False)
            times.append(time.perf_counter() - began)
        return times

    times = asyncio.run(main())
    return {"median_ms": statistics.median(times) * 1000, "max_ms": max(times[1:]) * 1000, "first_ms": times[0] * 1000}


REFERENCE = """
import asyncio, json, os, sys, time, resource
os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", SCENARIO_HEADLESS="1", LANGWATCH_ENDPOINT="http://127.0.0.1:9")
import scenario
n, seconds = int(sys.argv[1]), float(sys.argv[2])
class U(scenario.AgentAdapter):
    role = scenario.AgentRole.USER
    async def call(self, i):
        await asyncio.sleep(seconds); return "hello there"
class A(scenario.AgentAdapter):
    async def call(self, i):
        await asyncio.sleep(seconds); return "how can I help?"
class J(scenario.AgentAdapter):
    role = scenario.AgentRole.JUDGE
    async def call(self, i):
        await asyncio.sleep(seconds)
        if i.scenario_state.current_turn < 4: return []
        return scenario.ScenarioResult(success=True, messages=i.messages)
async def one():
    return await scenario.arun("bench", "a benchmark", [U(), A(), J()], max_turns=10, verbose=False)
async def main():
    await one()
    w, c = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one() for _ in range(n)))
    return time.perf_counter() - w, time.process_time() - c
wall, cpu = asyncio.run(main())
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"wall": wall, "cpu": cpu, "rss_mb": rss, "threads": 0}))
sys.stdout.flush(); os._exit(0)
"""


def case(kind: str, n: int, seconds: float, api: str = "arun") -> dict[str, float]:
    """One measurement in a fresh process."""
    command = [sys.executable, __file__, "--case", kind, str(n), str(seconds), api]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    return json.loads(done.stdout)


def reference(python: str, n: int, seconds: float) -> dict[str, float] | None:
    done = subprocess.run(
        [python, "-c", REFERENCE, str(n), str(seconds)], capture_output=True, text=True, timeout=900, check=False
    )
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def row(label: str, n: int, figures: dict[str, float], ideal: float = 0.0) -> dict[str, float | str]:
    turns = n * TURNS
    ratio = f"{figures['wall'] / ideal:5.2f} x ideal" if ideal else ""
    print(
        f"{label:<38} {n:>6} {figures['wall']:>8.2f} {1e6 * figures['cpu'] / turns:>12.1f} "
        f"{figures['rss_mb']:>8.0f} {figures['threads']:>8.0f}  {ratio}"
    )
    return {"label": label, "n": n, "us_per_turn": 1e6 * figures["cpu"] / turns, "ideal": ideal, **figures}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--reference", metavar="PYTHON", help="an interpreter with langwatch-scenario installed")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        kind, n, seconds, api = args.case[0], int(args.case[1]), float(args.case[2]), args.case[3]
        cases = {
            "bare": lambda: bare_case(n, seconds),
            "latency": lambda: latency_case(n),
            "duologue": lambda: duologue_case(n, seconds, api),
            "slow_agent": lambda: duologue_case(n, seconds, api, others=0.0),
        }
        print(json.dumps(cases[kind]()))
        return
    sizes = [10, 1000] if args.quick else [10, 1000, 10_000]
    print(f"{'case':<38} {'N':>6} {'wall s':>8} {'CPU us/turn':>12} {'RSS MB':>8} {'threads':>8}")
    rows = []
    for n in sizes:
        rows.append(row("bare asyncio loop, no sleep", n, case("bare", n, 0)))
        rows.append(row("duologue arun, no sleep", n, case("duologue", n, 0)))
        if args.reference and n <= 1000 and (figures := reference(args.reference, n, 0)):
            rows.append(row("langwatch-scenario arun, no sleep", n, figures))
    rows.append(row("duologue arun, each role 50 ms", 500, case("duologue", 500, 0.05), 0.05 * 3 * TURNS))
    rows.append(row("duologue run, each role 50 ms", 500, case("duologue", 500, 0.05, "run"), 0.05 * 3 * TURNS))
    if args.reference and (figures := reference(args.reference, 500, 0.05)):
        rows.append(row("langwatch-scenario, each role 50 ms", 500, figures, 0.05 * 3 * TURNS))
    if not args.quick:
        rows.append(row("duologue arun, agent 1 s", 10_000, case("slow_agent", 10_000, 1.0), TURNS))
    latency = case("latency", 50, 0)
    print(f"\n15 scripted steps, instant stubs: median {latency['median_ms']:.2f} ms, worst {latency['max_ms']:.2f} ms")
    print(json.dumps({"benchmark": "engine", "python": platform.python_version(), "rows": rows, "latency": latency}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
    main()
