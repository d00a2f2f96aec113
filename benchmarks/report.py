"""What results and reports cost: seconds and bytes for 1,000 runs of 3 turns.

    python benchmarks/report.py [--runs N] [--growth]

Writes and reads the JSON files, and makes each report, of runs that are made by hand. The baseline is the standard
library: ``json.dumps(dataclasses.asdict(run))`` into plain files that are not replaced at once. With chromium and
playwright installed, also opens the web page. Prints a table and one JSON line; each figure is the best of three.
``--growth`` compares 8,000 trials of one test case with 2,000, in seconds of this process's processor time: a report
that is linear takes four times as long. It exits with 1 if a format takes more than five times as long.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from duologue.compat.promptkit.export import save_promptkit
from duologue.journal.events import CheckEvaluated, Usage
from duologue.messages import assistant_message, user_message
from duologue.reports.html import save_html
from duologue.reports.junit import save_junit
from duologue.reports.markdown import save_markdown
from duologue.runs.store.folder import write_execution
from duologue.runs.store.reader import read_execution
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import MessageResult, RunResult, Spent
from duologue.vocabulary import CheckStatus, RunStatus, Scope, Termination, Verdict

REPEATS = 3
TURNS = 3
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
SPENT = Spent(calls=1, usage=Usage(input_tokens=300, output_tokens=40), cost=0.001, seconds=0.7)


def check(name: str, turn: int, status: CheckStatus) -> CheckEvaluated:
    """A check of one answer."""
    said = "found 2 of 2 patterns"
    ids = [f"m{2 * turn + 2}"]
    return CheckEvaluated(name=name, kind=name, scope=Scope.TURN, turn=turn, status=status, explanation=said,
                          message_ids=ids)  # fmt: skip


def run_of(index: int, trials: int) -> RunResult:
    """One run; one in nine fails."""
    failed = index % 9 == 4
    case = TestCase(index=index, scenario=f"scenario-{index % 5}", agent=f"agent-{index // 5 % 4}",
                    trial=index // 20 + 1, trials=trials, seed=index)  # fmt: skip
    lines = [(turn, side) for turn in range(TURNS) for side in (0, 1)]
    messages = tuple(
        MessageResult(
            id=f"m{2 * turn + side + 1}",
            message=(user_message, assistant_message)[side](f"Turn {turn} of run {index}: " + 20 * "words "),
            turn=turn,
            spent=SPENT if side else None,
        )
        for turn, side in lines
    )
    names = ("contains", "latency_budget", "max_length")
    status = {True: CheckStatus.FAILED, False: CheckStatus.PASSED}
    return RunResult(
        case=case,
        run_id=case.run_id("bench"),
        status=RunStatus.COMPLETED,
        verdict=Verdict.FAIL if failed else Verdict.PASS,
        termination=Termination.SCRIPT_END,
        messages=messages,
        system_prompts=("You are the front desk of a hotel. " * 20,),
        checks=tuple(check(name, turn, status[failed and turn == 1]) for turn in range(TURNS) for name in names),
        agent=SPENT + SPENT + SPENT,
        started_at=STARTED,
        seconds=2.5,
        turns=TURNS,
    )


def execution_of(count: int) -> ExecutionResult:
    """All of them."""
    runs = tuple(run_of(index, max(1, count // 20)) for index in range(count))
    plan = Plan(suite="bench", cases=tuple(run.case for run in runs), seed=1)
    return ExecutionResult(id="bench", suite="bench", path="bench.yaml", plan=plan, runs=runs, started_at=STARTED,
                           seconds=60.0)  # fmt: skip


def write_plainly(execution: ExecutionResult, folder: Path) -> None:
    """The baseline."""
    folder.mkdir(exist_ok=True)
    for run in execution.runs:
        (folder / f"{run.run_id}.json").write_text(json.dumps(asdict(run), default=str), encoding="utf-8")


def best(action: Callable[[], object]) -> float:
    """Seconds of the fastest of some tries."""
    times: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def cpu_of(action: Callable[[], object]) -> float:
    """Seconds of processor time of the cheapest of some tries: what else the machine does changes little about it."""
    times: list[float] = []
    for _ in range(REPEATS):
        gc.collect()
        began = time.process_time()
        action()
        times.append(time.process_time() - began)
    return min(times)


def open_page(path: Path) -> None:
    """Open a page in a browser, which has been started before, until its heading is there."""
    page = BROWSER[0].new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("h1")
    page.close()


BROWSER: list = []


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def rows_of(
    execution: ExecutionResult, folder: Path, measure: Callable[[Callable[[], object]], float] = best
) -> list[tuple[str, float, int]]:
    """Name, seconds and bytes of everything that is measured."""
    kept = folder / "kept"
    tasks: list[tuple[str, Callable[[], object], Path]] = [
        ("json.dumps(asdict(run))", lambda: write_plainly(execution, folder / "plain"), folder / "plain"),
        ("write JSON files", lambda: write_execution(execution, kept), kept),
        ("read them back", lambda: read_execution(kept), kept),
        ("JUnit", lambda: save_junit(execution, folder / "junit.xml"), folder / "junit.xml"),
        ("Markdown", lambda: save_markdown(execution, folder / "report.md"), folder / "report.md"),
        ("HTML", lambda: save_html(execution, folder / "report.html", folder), folder / "report.html"),
        ("PromptKit", lambda: save_promptkit(execution, folder / "promptkit"), folder / "promptkit"),
    ]
    if BROWSER:
        tasks.append(("open the HTML in chromium", lambda: open_page(folder / "report.html"), folder / "report.html"))
    return [(name, measure(task), size_of(path)) for name, task, path in tasks]


def measured(execution: ExecutionResult) -> list[tuple[str, float, int]]:
    """All rows, with a browser if there is one."""
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder:
        try:
            from playwright.sync_api import sync_playwright
        except ImportError:
            chromium = None
        if chromium is None:
            return rows_of(execution, Path(folder))
        with sync_playwright() as playwright:
            BROWSER[:] = [playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])]
            return rows_of(execution, Path(folder))


def trials_of(count: int) -> ExecutionResult:
    """One test case, many trials."""
    made = [run_of(index, count) for index in range(count)]
    cases = [replace(run.case, scenario="one", agent="agent", trial=place, trials=count)
             for place, run in enumerate(made, 1)]  # fmt: skip
    runs = tuple(replace(run, case=case, run_id=case.run_id("b")) for run, case in zip(made, cases, strict=True))
    plan = Plan(suite="bench", cases=tuple(cases), seed=1)
    return ExecutionResult(id="b", suite="bench", path="bench.yaml", plan=plan, runs=runs, started_at=STARTED,
                           seconds=60.0)  # fmt: skip


MOST = 5.0
"""Times as long as 2,000 trials that 8,000 may take."""
FEW, MANY = 2000, 8000
FORMATS = ("write JSON files", "JUnit", "Markdown", "HTML", "PromptKit")


def growth() -> bool:
    """Print how much longer four times as many trials take; whether everything is linear."""
    seconds: dict[int, dict[str, float]] = {}
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            seconds[count] = {name: spent for name, spent, _ in rows_of(trials_of(count), Path(folder), cpu_of)}
    factors = {name: seconds[MANY][name] / few for name, few in seconds[FEW].items()}
    print(f"{'':<28} {FEW:>8,} {MANY:>8,} {'times':>6}")
    for name, factor in factors.items():
        print(f"{name:<28} {seconds[FEW][name]:>8.3f} {seconds[MANY][name]:>8.3f} {factor:>6.1f}")
    print(json.dumps({"benchmark": "report growth", "most": MOST, "factors": factors}))
    return all(factors[name] <= MOST for name in FORMATS)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--growth", action="store_true")
    asked = parser.parse_args()
    count = asked.runs
    if asked.growth:
        sys.exit(0 if growth() else 1)
    rows = measured(execution_of(count))
    baseline = rows[0][1]
    print(f"{count:,} runs of {TURNS} turns, Python {sys.version.split()[0]}")
    print(f"{'':<28} {'seconds':>8} {'MB':>7} {'of baseline':>12}")
    for name, seconds, size in rows:
        print(f"{name:<28} {seconds:>8.3f} {size / 1e6:>7.2f} {seconds / baseline:>11.0%}")
    figures = [{"what": name, "seconds": seconds, "bytes": size} for name, seconds, size in rows]
    print(json.dumps({"benchmark": "report", "runs": count, "rows": figures}))


if __name__ == "__main__":
    main()
