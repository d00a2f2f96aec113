"""A suite on worker processes and on a Dask cluster: the same cases, the same number of workers, one after the other.

    python benchmarks/executors.py [--cases 2000] [--workers 2] [--jobs 100] [--seconds 0.2] [--repeat 3]

Each case is one call of an agent that waits. ``duologue run`` runs the suite as anybody would, with journals and
results, on one process, on ``--executor processes`` and on ``--executor dask``. Prints for each the wall time of the
whole command and the CPU time of all of its processes, in the best of some rounds, and how far that is from what the
waiting alone takes; then the ratio of Dask to processes, and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

AGENT = """\
import asyncio

async def answer(input):
    await asyncio.sleep({seconds})
    return "yes"
"""
SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {{name: waiting}}
spec:
  agents:
    - {{name: bot, target: "agent.py:answer"}}
  scenarios:
    - name: question
      trials: {cases}
      turns: [{{content: "Are you there?"}}]
      checks: [{{type: contains, params: {{patterns: ["yes"]}}}}]
  defaults: {{seed: 7}}
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One executor: seconds of the whole command and of all processors, and runs that were recorded as passed."""

    executor: str
    wall: float
    cpu: float
    passed: int


def measure(folder: Path, executor: str, options: argparse.Namespace) -> Measured:
    """Run the suite in a new process."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "duologue", "run", str(folder), "--out", f"{out}/results", "--ci"]
        command += ["--executor", executor, "-j", str(options.jobs)]
        command += [] if executor == "local" else ["-w", str(options.workers)]
        began, used = time.perf_counter(), os.times()
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{executor} ended with exit code {done.returncode}; expected 0:\n{done.stdout[-2000:]}")
        wall, now = time.perf_counter() - began, os.times()
        index = json.loads(Path(out, "results", "index.json").read_text())
        journals = len(list(Path(out, "results", "journals").iterdir()))
    passed = sum(line["outcome"] == "pass" for line in index["runs"])
    if not passed == journals == options.cases:
        raise SystemExit(f"{executor}: {passed} passed and {journals} journals; expected {options.cases}")
    cpu = sum(now[2:4]) - sum(used[2:4])
    return Measured(executor=executor, wall=wall, cpu=cpu, passed=passed)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--executors", nargs="+", default=["local", "processes", "dask"])
    options = parser.parse_args()
    ideal = options.cases * options.seconds / options.jobs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "agent.py").write_text(AGENT.format(seconds=options.seconds))
        (folder / "suite.yaml").write_text(SUITE.format(cases=options.cases))
        rounds = [[measure(folder, executor, options) for executor in options.executors] for _ in range(options.repeat)]
    table = [min(rows, key=lambda row: row.wall) for rows in zip(*rounds, strict=True)]  # what disturbs only adds
    print(f"{options.cases} cases of {options.seconds:g} s, {options.jobs} at once on {options.workers} workers")
    print(f"{'executor':<12}{'wall s':>9}{'CPU s':>9}{'of ideal':>10}")
    for row in table:
        print(f"{row.executor:<12}{row.wall:>9.2f}{row.cpu:>9.2f}{row.wall / ideal:>10.2f}")
    walls = {row.executor: row.wall for row in table}
    ratio = walls["dask"] / walls["processes"] if {"dask", "processes"} <= walls.keys() else None
    if ratio is not None:
        print(f"dask / processes: {ratio:.2f}")
    print(json.dumps({"ideal": ideal, "ratio": ratio, "rows": [asdict(row) for row in table]}))


if __name__ == "__main__":
    main()
