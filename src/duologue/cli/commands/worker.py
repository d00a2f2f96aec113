"""``duologue worker``, ``workers`` and ``runs process``: processes that carry out the runs of a database."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.exit_codes import ExitCode, worst_of
from duologue.cli.interruption import Stopping
from duologue.cli.output import echo, print_json, print_table, terminal
from duologue.cli.store_options import AllowEnvOption, AllowPrivateOption, ConcurrencyOption, ProjectsOption
from duologue.config.processes import kill_all_groups
from duologue.context import SystemClock
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.runs.processor import RunProcessor
    from duologue.runs.store.database.engine import Database
    from duologue.runs.store.records import ClaimedRun, FinishedRun, WorkerRecord
    from duologue.suites.results.execution import ExecutionResult

_OUTCOMES = ("pass", "fail", "undecided", "error", "cancelled")


def worker(
    store: DatabaseOption = None,
    concurrency: ConcurrencyOption = None,
    project: ProjectsOption = [],  # noqa: B006 - typer's way
    poll: Annotated[
        float, typer.Option(min=0.05, help="Seconds between two looks at the queue when nothing wakes the worker.")
    ] = 5.0,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that runs under way may take to finish once the worker is stopped.")
    ] = 30.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no line for each run.")] = False,
    allow_env: AllowEnvOption = [],  # noqa: B006 - typer's way
    allow_private_addresses: AllowPrivateOption = None,
    guarded: Annotated[bool | None, typer.Option("--guarded/--not-guarded", hidden=True)] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> int:
    """Carry out queued runs until stopped. Any number of workers, on any hosts, may share one database.

    Ctrl-C or SIGTERM lets the runs under way finish, for --grace seconds at most. A second one gives them back at
    once, and other workers continue them. Exit code 0: the worker has stopped in good order.
    """
    from duologue.runs.processor import RunProcessor
    from duologue.runs.project_access import UsualPolicy

    if with_parent:
        _hold_given()
        _end_with_parent()
    processor = RunProcessor(
        store,
        max_concurrent=concurrency,
        projects=project,
        poll_interval=poll,
        stop_timeout=grace,
        on_run_end=None if quiet else _run_printer(),
        policy=UsualPolicy(
            variables=tuple(allow_env) or None, private_addresses=allow_private_addresses, guarded=guarded
        ),
    )
    asyncio.run(_serve(processor))
    return ExitCode.PASSED


def _hold_given() -> None:
    """Take what the environment does not have from the first line of standard input."""
    from duologue.config.own_variables import hold

    hold(json.loads(sys.stdin.buffer.readline() or b"{}"))


def _end_with_parent() -> None:
    """Stop when whoever has started this process is gone: then its end of standard input is closed."""

    def watch() -> None:
        while sys.stdin.buffer.read(1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="duologue-parent", daemon=True).start()


async def _serve(processor: RunProcessor) -> None:
    over = asyncio.Event()

    async def stop(timeout: float | None) -> None:
        await processor.stop(timeout)
        over.set()

    with _stopping(stop).installed():
        await processor.start()
        record = processor.record
        assert record is not None
        echo(f"{record.id} on {one_line(record.host)} carries out {record.capacity} runs at once", err=True)
        await over.wait()
    echo(f"{record.id} has stopped: {totals_of(processor.outcomes)}", err=True)


def process_queue(
    store: str | None, concurrency: int | None, projects: Sequence[str], *, quiet: bool, as_json: bool
) -> int:
    """Carry out what is queued, and end when nothing is left."""
    from duologue.runs.processor import RunProcessor
    from duologue.runs.store.database.engine import Database

    told = _Ended(None if quiet or as_json else _run_printer())

    async def work() -> tuple[RunProcessor, int | None, dict[int, ExecutionResult]]:
        async with Database.open(store, create=False) as database:
            processor = RunProcessor(database, max_concurrent=concurrency, projects=projects, on_run_end=told)
            stopped_by = await _drain(processor)
            return processor, stopped_by, await _judged(database, told.executions)

    processor, stopped_by, executions = asyncio.run(work())
    outcomes = processor.outcomes
    if as_json:
        codes = {str(number): execution.exit_code for number, execution in executions.items()}
        counts = {word: outcomes[word] for word in _OUTCOMES}
        print_json({"runs": outcomes.total(), **counts, "executions": codes})
    else:
        for number, execution in executions.items():
            if line := _by_thresholds(number, execution):
                echo(line)
        echo(totals_of(outcomes))
    if stopped_by is not None:
        return stopped_by
    return worst_of([_exit_code(told.alone), *(execution.exit_code for execution in executions.values())])


class _Ended:
    """Knows which executions had runs here, and what the runs came to that belong to none.

    Args:
        printer: is told of each run; None for nobody.
    """

    def __init__(self, printer: Callable[[ClaimedRun, FinishedRun], None] | None) -> None:
        self.executions: set[int] = set()
        self.alone: Counter[str] = Counter()
        self._printer = printer

    def __call__(self, run: ClaimedRun, end: FinishedRun) -> None:
        if run.execution_id is None:
            self.alone[end.outcome] += 1
        else:
            self.executions.add(run.execution_id)
        if self._printer is not None:
            self._printer(run, end)


async def _judged(database: Database, numbers: Iterable[int]) -> dict[int, ExecutionResult]:
    """Executions by number, as far as their runs are over, whoever has carried them out."""
    from duologue.runs.store.database.execution_result import execution_so_far

    found = {number: await execution_so_far(database, number) for number in sorted(numbers)}
    return {number: execution for number, execution in found.items() if execution is not None}


def _by_thresholds(number: int, execution: ExecutionResult) -> str:
    """What an execution comes to; '' where it has no thresholds, so that the outcomes of its runs say it all."""
    allowed, totals = execution.allowance, execution.totals
    asked = [
        "" if allowed.pass_rate is None else f"{allowed.pass_rate:.0%} have to pass",
        "" if allowed.undecided == 0 else f"{_allowed(allowed.undecided)} may be undecided",
        "" if allowed.errors == 0 else f"{_allowed(allowed.errors)} may be errors",
        "checks have shares of their own" if execution.thresholds else "",
        "" if execution.metrics_threshold is None else f"metrics have to reach {execution.metrics_threshold:g}",
    ]
    if not any(asked):
        return ""
    word = "enough" if execution.ok else "not enough"
    return (
        f"execution {number}: {totals.passed:,} of {totals.cases:,} passed, {word} ({', '.join(filter(None, asked))})"
    )


def _allowed(number: int | None) -> str:
    return "all" if number is None else f"{number:,}"


async def _drain(processor: RunProcessor) -> int | None:
    """Returns 128 and the number of the signal that stopped it; None if it came to its end."""
    stopping = _stopping(processor.stop)
    with stopping.installed():
        await processor.drain()
    return stopping.exit_code


def _stopping(stop: Callable[[float | None], Coroutine[Any, Any, None]]) -> Stopping:
    """How signals stop a processor: first once its runs are over, then at once."""
    loop = asyncio.get_running_loop()
    steps: list[asyncio.Task[None]] = []

    def step() -> None:
        steps.append(loop.create_task(stop(0.0 if steps else None)))

    return Stopping(
        lambda: loop.call_soon_threadsafe(step),
        clock=SystemClock().monotonic,
        hint="Ended at once. Other workers continue the runs when the lease of this one is over.",
        leave=kill_all_groups,
        patient=True,
    )


def _exit_code(outcomes: Mapping[str, int]) -> ExitCode:
    """As that of ``duologue run``: a failure outweighs what is open."""
    if outcomes["fail"]:
        return ExitCode.FAILED
    open_ = outcomes["undecided"] + outcomes["error"] + outcomes["cancelled"]
    return ExitCode.UNCERTAIN if open_ else ExitCode.PASSED


def totals_of(outcomes: Mapping[str, int]) -> str:
    """How many runs came to what, as a sentence."""
    told = [f"{outcomes[word]:,} {word}" for word in _OUTCOMES if outcomes.get(word)]
    return ", ".join(told) or "no run was carried out"


def _run_printer() -> Callable[[ClaimedRun, FinishedRun], None]:
    """Prints a line for each run that is over."""
    from duologue.reports.progress import RunLines

    lines = RunLines()

    def told(run: ClaimedRun, end: FinishedRun) -> None:
        if end.result is not None:
            echo(lines.line(end.result))
        else:
            echo(f"{end.outcome} {one_line(run.case.title)}  {one_line(end.error or '')}")

    return told


def workers(
    store: DatabaseOption = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that have stopped or are lost.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Show the workers of a database, and how many runs each has."""
    from duologue.runs.store.database.engine import Database

    async def work() -> list[WorkerRecord]:
        async with Database.open(store, create=False) as database:
            return await database.queue.workers()

    found = [item for item in asyncio.run(work()) if every or item.state in {"running", "stopping"}]
    if as_json:
        print_json([asdict(item) for item in found])
    elif not found:
        echo("no worker is running")
    else:
        _print_workers(found)
    return ExitCode.PASSED


def _print_workers(found: Sequence[WorkerRecord]) -> None:
    from rich.table import Table

    table = Table("worker", "host", "process", "runs", "state", "since", "seen", header_style="bold")
    now = SystemClock().now()
    for item in found:
        cells = (item.id, item.host, str(item.pid), f"{item.active} of {item.capacity}", item.state)
        since, seen = (f"{max(0.0, now - at):,.0f} s ago" for at in (item.started_at, item.last_seen))
        table.add_row(*map(one_line, cells), since, seen)
    print_table(terminal(), table)
