"""Time a suite from the start of its process to the end, with mock models only.

    python benchmarks/suite.py [--runs 1 1000 10000] [--repeat N]

One scenario of three scripted turns with four checks of turns and one of the conversation, run against a native agent
with a mock model that answers from a file. ``duologue run`` runs it as anybody would, with JSON results, in a process
of its own: with journals, which are written event by event, and without. Prints, for each number of runs, the best
wall time of N, CPU time, resident memory and what each run adds to a single one, and one JSON line.
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

SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: pizza}
spec:
  models:
    - {name: clerk-model, provider: mock, model: tiny, mock_file: answers.yaml}
  agents:
    - {name: clerk, model: clerk-model}
  prompts:
    - name: support
      system_template: You answer for {{company}}.
      variables: [{name: company, default: Acme}]
  scenarios:
    - name: order
      description: Somebody orders a pizza.
      prompt: support
      turns:
        - content: I want a pizza.
          checks:
            - {type: contains, params: {patterns: [pizza]}}
            - {type: max_length, params: {max: 200}}
        - content: A large one.
          checks:
            - {type: contains, params: {patterns: [large]}}
        - content: Thanks!
          checks:
            - {type: regex, params: {pattern: "welcome"}}
      checks:
        - {type: content_excludes, params: {patterns: [stupid]}}
  defaults: {seed: 7}
"""
ANSWERS = """\
scenarios:
  order:
    turns:
      1: Which size of pizza would you like?
      2: A large pizza, ready in 20 minutes.
      3: You are welcome!
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One number of runs: seconds of the fastest repetition, and the memory of the largest."""

    runs: int
    journals: bool
    wall: float
    user: float
    system: float
    megabytes: float


def run(folder: Path, runs: int, *, journals: bool) -> Measured:
    """Run the suite in a new process."""
    with tempfile.TemporaryDirectory() as out:
        kept = "--journals" if journals else "--no-journals"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-m", "duologue", "run", str(folder), "--trials", str(runs), "--format", "json"]
        began = time.perf_counter()
        process = subprocess.Popen([*command, "--out", f"{out}/results", "--ci", kept], **quiet)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the suite ended with exit code {process.returncode}; expected 0")
        written = len(list(Path(out, "results", "runs").iterdir()))
    if written != runs:
        raise SystemExit(f"{written} results were written; expected {runs}")
    return Measured(
        runs=runs,
        journals=journals,
        wall=wall,
        user=used.ru_utime,
        system=used.ru_stime,
        megabytes=used.ru_maxrss / 1024,
    )


def best(folder: Path, runs: int, repeat: int, *, journals: bool) -> Measured:
    """The fastest of several repetitions: what disturbs only ever adds."""
    return min((run(folder, runs, journals=journals) for _ in range(repeat)), key=lambda measured: measured.wall)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 1000, 10_000])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "suite.yaml").write_text(SUITE)
        (folder / "answers.yaml").write_text(ANSWERS)
        run(folder, 1, journals=True)  # so that no measurement writes bytecode
        table = [
            best(folder, runs, options.repeat, journals=journals) for journals in (False, True) for runs in options.runs
        ]
    print(f"{'runs':>7} {'journals':>9} {'wall s':>8} {'user s':>8} {'system s':>9} {'MB':>6} {'ms per run':>11}")
    first = table[0]
    for row in table:
        each = f"{(row.wall - first.wall) / (row.runs - first.runs) * 1000:.2f}" if row.runs > first.runs else ""
        cells = f"{row.wall:8.2f} {row.user:8.2f} {row.system:9.2f} {row.megabytes:6.0f} {each:>11}"
        print(f"{row.runs:7} {'yes' if row.journals else 'no':>9} {cells}")
    print(json.dumps({"benchmark": "suite", "rows": [asdict(row) for row in table]}))


if __name__ == "__main__":
    main()
