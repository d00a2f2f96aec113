"""A single run, found by its journal, its result, or its name in the folder of an execution."""

from __future__ import annotations

from pathlib import Path

from duologue.config.problems import similar_file
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS
from duologue.journal.jsonl import JournalFile, read_journal
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS
from duologue.runs.store.from_journals import run_of
from duologue.runs.store.ownership import read_launch
from duologue.runs.store.reader import find_execution, holds_results, read_index, read_run_file
from duologue.suites.results.run import RunResult
from duologue.vocabulary import Verdict


@frozen
class LocatedRun:
    """A run that was recorded.

    Attributes:
        run: its result.
        journal: all that happened in it.
        suite: the main file of its suite, as it was named when it was run; '' where no file says so.
    """

    run: RunResult
    journal: JournalFile
    suite: str = ""


def locate_run(path: Path) -> LocatedRun:
    """The run that a path names.

    Args:
        path: a journal (``.jsonl``), the result of a run (``.json``), the folder of an execution in which one run did
            not pass, or ``FOLDER/RUN_ID``.

    Raises:
        ConfigurationError: there is no such run, or it has no journal.
        JournalError: its journal cannot be read.
    """
    if path.is_dir():
        return _only_failed(path)
    if not path.exists():
        found = _by_id(path)
        if found is None:
            raise ConfigurationError(
                f"{path} does not exist; expected a journal, the result of a run, or FOLDER/RUN_ID{similar_file(path)}"
            )
        path = found
    if path.suffix == ".json":
        return _of_result(path)
    journal = read_journal(path)
    folder = path.parent.parent if path.parent.name == JOURNALS else path.parent
    result = folder / RUNS / f"{path.stem}.json"
    run = read_run_file(result) if result.is_file() else run_of(journal)
    return LocatedRun(run=run, journal=journal, suite=suite_of(folder))


def suite_of(folder: Path) -> str:
    """The main file of the suite of an execution, as it was named when it was run; '' where no file says so."""
    if (folder / LAUNCH).is_file():
        return read_launch(folder).path
    return str(read_index(folder).get("path", "")) if (folder / INDEX).is_file() else ""


def _by_id(path: Path) -> Path | None:
    places = [path.parent / RUNS / f"{path.name}.json", path.parent / JOURNALS / f"{path.name}.jsonl"]
    return next((place for place in places if place.is_file()), None)


def _of_result(path: Path) -> LocatedRun:
    run = read_run_file(path)
    folder = path.parent.parent
    journal = folder / (run.journal or f"{JOURNALS}/{run.run_id}.jsonl")
    if not journal.is_file():
        raise ConfigurationError(
            f"{path}: the run {run.run_id} has no journal ({journal}); run it again without --no-journals"
        )
    return LocatedRun(run=run, journal=read_journal(journal), suite=suite_of(folder))


def _only_failed(folder: Path) -> LocatedRun:
    found = find_execution(folder)
    runs = [run for run in found.execution.runs if run.verdict is not Verdict.PASS] or list(found.execution.runs)
    if len(runs) != 1:
        names = ", ".join(f"{found.folder / run.run_id}" for run in runs[:5])
        raise ConfigurationError(
            f"{folder} holds {len(runs)} runs that did not pass; name one of them, such as {names}"
        )
    if holds_results(found.folder):
        return locate_run(found.folder / RUNS / f"{runs[0].run_id}.json")
    return locate_run(found.folder / (runs[0].journal or ""))
