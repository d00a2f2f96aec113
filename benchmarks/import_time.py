"""What importing the library costs: seconds and memory of a fresh process, against a bare interpreter.

    python benchmarks/import_time.py

Prints a table and one JSON line. Each figure is the median of several processes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

REPEATS = 9
STATEMENTS = {
    "python itself": "pass",
    "import pydantic.BaseModel": "from pydantic import BaseModel",
    "import duologue": "import duologue",
    "duologue with engine, simulators and judge": (
        "from duologue import run, arun, AgentAdapter, UserSimulatorAgent, AgendaUser, JudgeAgent"
    ),
}


def measure(statement: str) -> tuple[float, float]:
    """Seconds and MB of one process."""
    code = f"{statement}\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return time.perf_counter() - began, int(done.stdout) / 1024


def main() -> None:
    """All statements, in turns, so that a noisy moment falls on all of them."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in STATEMENTS}
    for _ in range(REPEATS):
        for name, statement in STATEMENTS.items():
            figures[name].append(measure(statement))
    print(f"{'statement':<46} {'seconds':>8} {'MB':>6}")
    rows = []
    for name, values in figures.items():
        seconds = statistics.median(value[0] for value in values)
        megabytes = statistics.median(value[1] for value in values)
        rows.append({"statement": name, "seconds": seconds, "mb": megabytes})
        print(f"{name:<46} {seconds:>8.3f} {megabytes:>6.1f}")
    print(json.dumps({"benchmark": "import_time", "rows": rows}))


if __name__ == "__main__":
    main()
