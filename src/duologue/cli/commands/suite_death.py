"""What is left to do when the process that ran a suite ended unexpectedly; see :mod:`duologue.cli.supervision`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL, SIGTERM

from duologue.cli.output import echo
from duologue.cli.supervision import Death, Supervised
from duologue.errors import DuologueError
from duologue.runs.store.encoding import RUNS
from duologue.runs.store.folder import write_index, write_run
from duologue.runs.store.ownership import Deaths, LaunchFile, read_launch, write_launch
from duologue.suites.execution.engine import Engine
from duologue.suites.execution.launch import Observer
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import RunOptions
from duologue.vocabulary import RunStatus, Termination

_FROM_OUTSIDE = {SIGKILL, SIGTERM}
_NAMED = 5


class Witness(Observer):
    """Tells the supervising process which runs are under way, unless others run them, whose code cannot end it."""

    def __init__(self, parent: Supervised, folder: Path, path: str, *, runs_here: bool = True) -> None:
        self._parent = parent
        self._runs_here = runs_here
        self._id = ""
        parent.runs(str(folder), path)

    def started(self, plan: Plan, execution_id: str) -> None:
        """Runs are told by their ids."""
        self._id = execution_id

    def run_started(self, case: TestCase) -> None:
        """One is under way."""
        if self._runs_here:
            self._parent.begun(case.run_id(self._id))

    def run_finished(self, result: RunResult) -> None:
        """One is over."""
        if self._runs_here:
            self._parent.over(result.run_id)


def record_death(death: Death, engines: Mapping[str, Engine], settings: RunOptions) -> None:
    """Write the index of what there is, remember which runs were under way, and say how to go on."""
    echo(f"\nError: the process that ran the suite ended unexpectedly ({death.how}).", err=True)
    if not death.folder:
        return
    from duologue.runs.store.reader import find_execution

    folder = Path(death.folder)
    try:
        launch = read_launch(folder)
        write_launch(folder, _with_deaths(launch, death, engines[death.path], settings))
        execution, results = _kept(find_execution(folder, ended=True).execution, folder)
        write_index(execution, folder)
    except DuologueError as error:
        echo(f"{error}", err=True)
        return
    titles = [case.title for case in launch.plan.cases if case.run_id(launch.id) in death.running]
    if titles:
        more = f" and {len(titles) - _NAMED} more" if len(titles) > _NAMED else ""
        echo(f"Under way and without a result: {', '.join(titles[:_NAMED])}{more}.", err=True)
    echo(f"{results} of {len(launch.plan)} runs have results, in {folder}.", err=True)
    command = f"duologue run {shlex.quote(death.path)} --resume {shlex.quote(death.folder)}"
    echo(f"go on: {command} (runs that were under way come last, one at a time)", err=True)


def _kept(execution: ExecutionResult, folder: Path) -> tuple[ExecutionResult, int]:
    """The execution with a file for each run that its index will name, and how many of them have a result.

    A run that only its journal tells of is written as one that was cut off, as Ctrl-C leaves it: a resumed execution
    continues it, and one whose end is in the journal is only read. A result that is to be replaced stays where it is.
    """
    runs: list[RunResult] = []
    results = 0
    for run in execution.runs:
        path = folder / RUNS / f"{run.run_id}.json"
        if not path.exists():
            run = replace(
                run,
                status=RunStatus.CANCELLED,
                verdict=None,
                termination=Termination.CANCELLED,
                error=None,
                reasoning="The process ended before there was a result.",
            )
            write_run(run, folder)
        elif _read(path) != run:
            continue
        elif run.status is not RunStatus.CANCELLED:
            results += 1
        runs.append(run)
    return replace(execution, runs=tuple(runs)), results


def _read(path: Path) -> RunResult | None:
    from duologue.runs.store.reader import read_run_file

    try:
        return read_run_file(path)
    except DuologueError:  # it is damaged; a resumed execution keeps it under another name
        return None


def _with_deaths(launch: LaunchFile, death: Death, engine: Engine, settings: RunOptions) -> LaunchFile:
    deaths = dict(launch.deaths)
    for case in launch.plan.cases:
        run_id = case.run_id(launch.id)
        if run_id not in death.running:
            continue
        definition = dict(engine.definition(case, settings))
        before = deaths.get(run_id)
        same = before is not None and dict(before.definition) == definition
        deaths[run_id] = Deaths(
            count=(before.count if before and same else 0) + 1,
            how=death.how,
            killed=death.signal in _FROM_OUTSIDE,
            definition=definition,
        )
    return replace(launch, deaths=deaths)
