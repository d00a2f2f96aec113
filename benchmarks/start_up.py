"""What the command line takes to answer, in times of ``python -c "import typer"``.

    python benchmarks/start_up.py

Prints a table and one JSON line. Each figure is the least of several processes, which take turns, so that a noisy
moment falls on all of them; processor time, and time on the clock. Processes may write compiled files, as users' do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 9
SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: small}
spec:
  agents: [{name: echo, target: "agent.py:reply"}]
  scenarios:
    - name: hello
      turns: [{role: user, content: hello}]
      checks: [{type: contains, params: {patterns: [hello]}}]
"""
AGENT = "def reply(input):\n    return 'hello'\n"
MOST = {"--version": 1.6, "--help": 2.5, "validate": 4.0}
"""Times of importing typer that each may take."""


def measure(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds on the processor and on the clock of one process."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, timeout=120, check=True, env=environment)
    seconds, after = time.perf_counter() - began, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent, seconds


def main() -> None:
    """All commands, in turns."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder, "suite.yaml")
        suite.write_text(SUITE, encoding="utf-8")
        Path(folder, "agent.py").write_text(AGENT, encoding="utf-8")
        commands = {
            "import typer": ["-c", "import typer"],
            "--version": ["-m", "duologue", "--version"],
            "--help": ["-m", "duologue", "--help"],
            "validate": ["-m", "duologue", "validate", str(suite)],
        }
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for turn in range(REPEATS + 1):
            for name, arguments in commands.items():
                figure = measure(arguments, environment)
                if turn:  # the first one compiles
                    figures[name].append(figure)
    least = {name: [min(column) for column in zip(*values, strict=True)] for name, values in figures.items()}
    unit = least["import typer"]
    print(f"{'command':<14} {'processor':>9} {'clock':>7} {'ratios':>13} {'at most':>8}")
    rows = []
    for name, (processor, clock) in least.items():
        ratios = processor / unit[0], clock / unit[1]
        most = MOST.get(name)
        rows.append({"command": name, "processor": processor, "clock": clock, "ratios": ratios, "at_most": most})
        print(f"{name:<14} {processor:>9.3f} {clock:>7.3f} {ratios[0]:>6.2f} {ratios[1]:>6.2f} {most or '':>8}")
    print(json.dumps({"benchmark": "start_up", "rows": rows}))


if __name__ == "__main__":
    main()
