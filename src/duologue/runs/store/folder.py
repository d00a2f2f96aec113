"""Writes an execution into a folder while it runs, so that a killed process loses nothing that was finished.

What the folder holds is described in :mod:`duologue.runs.store.encoding`. A launch that was interrupted has no index,
or one that says so; :func:`duologue.runs.store.reader.unfinished` says what of it can be kept.
"""

from __future__ import annotations

from pathlib import Path

from duologue.errors import ConfigurationError
from duologue.journal.artifacts import JOURNALS, MEDIA
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS, SCHEMA_VERSION, encoded, encoded_run, index_of, plan_data
from duologue.runs.store.writing import replace_bytes
from duologue.suites.execution.observers import Observer
from duologue.suites.plan.cases import Plan
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.suites.runner.case_run import REPLACED


class ResultFolder(Observer):
    """Writes everything about one execution into a folder.

    Args:
        folder: it is made if need be.
        suite: name and main file of what is run.
        resuming: the folder holds the same execution already.

    Raises:
        ConfigurationError: the folder holds another execution.
    """

    keeps = True

    def __init__(self, folder: Path, *, suite: str, path: str, resuming: bool = False) -> None:
        self.folder = folder
        self._suite = suite
        self._path = path
        if not resuming:
            refuse_used(folder)

    def started(self, plan: Plan, execution_id: str) -> None:
        """Write down what is being run. An index of before says nothing about it any more, and goes."""
        (self.folder / INDEX).unlink(missing_ok=True)
        data = {
            "schema_version": SCHEMA_VERSION,
            "id": execution_id,
            "suite": self._suite,
            "path": self._path,
            "plan": plan_data(plan),
        }
        replace_bytes(self.folder / LAUNCH, encoded(data))

    def run_finished(self, result: RunResult) -> None:
        """Write the run."""
        write_run(result, self.folder)

    def finished(self, execution: ExecutionResult) -> None:
        """Write the index."""
        write_index(execution, self.folder)


def refuse_used(folder: Path) -> None:
    """Raise ConfigurationError if the folder holds an execution."""
    for name in (INDEX, LAUNCH):
        if (folder / name).exists():
            raise ConfigurationError(
                f"{folder} holds the results of an execution; choose another folder with --out, go on with it with "
                "--resume, or say --overwrite"
            )


def clear(folder: Path) -> None:
    """Remove the results of an execution from a folder, and nothing else."""
    for pattern in (f"{RUNS}/*.json", f"{JOURNALS}/*.jsonl", f"{JOURNALS}/*.jsonl.*", f"{MEDIA}/*", INDEX, LAUNCH):
        for path in folder.glob(pattern):
            path.unlink()


def withdraw(folder: Path, run_id: str) -> None:
    """Take back the result of a run that no longer holds; its journal stays beside the new one."""
    journal = folder / JOURNALS / f"{run_id}.jsonl"
    if journal.exists():
        journal.replace(journal.with_name(journal.name + REPLACED))
    (folder / RUNS / f"{run_id}.json").unlink(missing_ok=True)


def write_run(run: RunResult, folder: Path) -> Path:
    """Write one run; its file is there whole or not at all.

    Args:
        run: the run.
        folder: of the execution. ``runs/`` in it is made if need be.

    Returns:
        The file: ``folder/runs/<run id>.json``.
    """
    path = folder / RUNS / f"{run.run_id}.json"
    replace_bytes(path, encoded_run(run))
    return path


def write_index(execution: ExecutionResult, folder: Path) -> Path:
    """Write the index of an execution; the files of its runs stand beside it already."""
    path = folder / INDEX
    replace_bytes(path, encoded(index_of(execution)))
    return path


def write_execution(execution: ExecutionResult, folder: Path) -> Path:
    """Write all runs and the index; the index last, so that all that it names is there."""
    for run in execution.runs:
        write_run(run, folder)
    return write_index(execution, folder)
