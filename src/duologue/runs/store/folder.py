"""Writes an execution into a folder while it runs, so that a killed process loses nothing that was finished.

What the folder holds is described in :mod:`duologue.runs.store.encoding`. A launch that was interrupted has no index,
or one that says so; :func:`duologue.runs.store.reader.unfinished` says what of it can be kept. One execution writes
at a time: whoever does holds the folder until it is done, or has ended.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Event

from duologue.config.files import REPLACED, keep_copy
from duologue.context import SystemClock
from duologue.errors import ConfigurationError, ResultsError
from duologue.journal.artifacts import JOURNALS
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS, encoded, encoded_run, index_of, replace_bytes
from duologue.runs.store.ownership import Deaths, Definition, LaunchFile, Selection, make_way_for_index, write_launch
from duologue.suites.execution.launch import Observer
from duologue.suites.plan.build import Plan
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no such locks: there, two executions are not kept apart
    fcntl = None


_AGAIN = 0.05
"""Seconds between two attempts to hold a folder."""


@contextmanager
def claimed(folder: Path, *, patience: float = 0.0) -> Generator[None]:
    """Hold a folder that exists. A process that is killed gives it back.

    Args:
        folder: of results.
        patience: seconds to wait for another that holds it: one that was killed right now takes a moment.

    Raises:
        ConfigurationError: another execution holds it.
    """
    if fcntl is None or not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder, patience)
        yield
    finally:
        os.close(descriptor)


def is_being_written(folder: Path) -> bool:
    """Whether an execution holds the folder right now. Where there are no locks, none ever does."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int, folder: Path, patience: float) -> None:
    assert fcntl is not None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        if patience > 0:
            Event().wait(_AGAIN)
            _lock(descriptor, folder, patience - _AGAIN)
            return
        raise ConfigurationError(
            f"{folder} is being written by another 'duologue run'; wait until it is over, or choose another folder "
            "with --out"
        ) from error
    except OSError:  # a file system without locks
        return


class ResultFolder(Observer):
    """Writes everything about one execution into a folder.

    Args:
        folder: it is made if need be.
        suite, path: name and main file of what is run.
        resuming: the folder holds the same execution already.
        selection: how the plan was chosen from the suite.
        outdated: definitions of results in the folder that no longer hold, by run id: each stays until there is a new
            one, and then is kept beside it.
        damaged: ids of runs whose results cannot be read; they are kept beside the new ones, too.
        moved: ids of results of earlier sessions that are written again: their place in the plan is another now.
        deaths: of runs during which the process ended, by run id.

    Raises:
        ConfigurationError: the folder holds another execution.
    """

    keeps = True

    def __init__(
        self,
        folder: Path,
        *,
        suite: str,
        path: str,
        resuming: bool = False,
        selection: Selection | None = None,
        outdated: Mapping[str, Definition] | None = None,
        damaged: Collection[str] = (),
        moved: Collection[str] = (),
        deaths: Mapping[str, Deaths] | None = None,
    ) -> None:
        self.folder = folder
        self._suite = suite
        self._path = path
        self._selection = selection
        self._outdated = outdated or {}
        self._damaged = frozenset(damaged)
        self._moved = frozenset(moved)
        self._deaths = deaths or {}
        self._prepared: ExecutionResult | None = None
        self._launch: LaunchFile | None = None
        self._results: list[RunResult] = []
        self._withheld: set[str] = set()
        self._vanished = False
        if resuming:
            make_way_for_index(folder)
        else:
            refuse_used(folder)

    def prepared(self, execution: ExecutionResult) -> None:
        """Take in the plan, its limits, and the results that are there already."""
        self._prepared = execution
        self._results = list(execution.runs)

    def started(self, plan: Plan, execution_id: str) -> None:
        """Write down what is being run. An index of before says nothing about it any more, and goes."""
        prepared, now = self._prepared, datetime.fromtimestamp(SystemClock().now(), UTC)
        self._launch = LaunchFile(
            id=execution_id,
            suite=self._suite,
            path=self._path,
            plan=plan,
            selection=self._selection,
            started_at=prepared.started_at if prepared else now,
            session_at=now,
            earlier_seconds=prepared.seconds if prepared else 0.0,
            allowance=prepared.allowance if prepared else Allowance(),
            thresholds=prepared.thresholds if prepared else {},
            outdated=self._outdated,
            deaths=self._deaths,
        )
        write_launch(self.folder, self._launch)
        (self.folder / INDEX).unlink(missing_ok=True)
        for run in self._results:
            if run.run_id in self._moved:
                write_run(run, self.folder)

    def run_finished(self, result: RunResult) -> None:
        """Write the run. What was there before it under that name is kept beside it."""
        run_id = result.run_id
        if run_id in self._outdated and result.status is RunStatus.CANCELLED:
            self._withheld.add(run_id)  # the result of before stays until there is a new one
            return
        self._results.append(result)
        if not os.path.exists(self._launch_path):  # noqa: PTH110 - once for each run
            self._write_again()
        if run_id in self._outdated:
            keep_copy(_file_of(result, self.folder), REPLACED)
        elif run_id in self._damaged:
            keep_copy(_file_of(result, self.folder), "unreadable")
        write_run(result, self.folder)

    def finished(self, execution: ExecutionResult) -> None:
        """Write the index.

        Raises:
            ResultsError: the folder, or a part of it, has disappeared meanwhile. The results are there again; journals
                are lost.
        """
        if self._withheld:
            execution = replace(
                execution, runs=tuple(run for run in execution.runs if run.run_id not in self._withheld)
            )
        there = set(_names(self.folder / RUNS))
        if not os.path.exists(self._launch_path) or any(f"{run.run_id}.json" not in there for run in execution.runs):  # noqa: PTH110
            self._write_again()
        write_index(execution, self.folder)
        if self._vanished:
            kept = set(_names(self.folder / JOURNALS))
            lost = sum(run.journal is not None and f"{run.run_id}.jsonl" not in kept for run in execution.runs)
            raise ResultsError(
                f"{self.folder} was removed, or lost files, while the suite ran. All {len(execution.runs)} results "
                f"were written again, but the journals of {lost} runs are lost"
            )

    @cached_property
    def _launch_path(self) -> str:
        return str(self.folder / LAUNCH)

    def _write_again(self) -> None:
        """Somebody has removed the folder, or files of it: whatever is known is written once more."""
        self._vanished = True
        if self._launch is not None:
            write_launch(self.folder, self._launch)
        there = set(_names(self.folder / RUNS))
        for run in self._results:
            if f"{run.run_id}.json" not in there:
                write_run(run, self.folder)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names only, of many files
    except OSError:
        return []


def refuse_used(folder: Path) -> None:
    """Raise ConfigurationError if the folder holds an execution."""
    for name in (INDEX, LAUNCH):
        if (folder / name).exists():
            raise ConfigurationError(
                f"{folder} holds the results of an execution; choose another folder with --out, go on with it with "
                "--resume, or say --overwrite"
            )


def write_run(run: RunResult, folder: Path) -> Path:
    """Write one run; its file is there whole or not at all.

    Args:
        run: the run.
        folder: of the execution. ``runs/`` in it is made if need be.

    Returns:
        The file: ``folder/runs/<run id>.json``.
    """
    path = _file_of(run, folder)
    replace_bytes(path, encoded_run(run))
    return path


def _file_of(run: RunResult, folder: Path) -> Path:
    return folder.joinpath(RUNS, f"{run.run_id}.json")


def write_index(execution: ExecutionResult, folder: Path) -> Path:
    """Write the index of an execution; the files of its runs are already there."""
    path = folder / INDEX
    replace_bytes(path, encoded(index_of(execution)))
    return path


def write_execution(execution: ExecutionResult, folder: Path) -> Path:
    """Write all runs and the index; the index last, so that all that it names is there."""
    for run in execution.runs:
        write_run(run, folder)
    return write_index(execution, folder)
