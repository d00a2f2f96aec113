"""Keeps an execution in a folder while it goes on, so that a killed process loses nothing that was finished.

::

    FOLDER/launch.json           what is being run: id, suite, plan; written before the first run
    FOLDER/runs/<run id>.json    each run, as soon as it is over
    FOLDER/journals/             the journal of each run, event by event (written by the engine)
    FOLDER/index.json            what all of them came to; written last

A launch that was interrupted has no index, or one that says so; :func:`unfinished` tells what of it can be kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duologue.errors import ConfigurationError
from duologue.reports.encoding import SCHEMA_VERSION, decoded_case, encoded, require_version
from duologue.reports.files import INDEX, RUNS, read_run, write_index, write_run
from duologue.runs.store.writing import replace_bytes
from duologue.suites.execution.observers import Observer
from duologue.suites.plan.cases import Plan
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.suites.runner.media_files import MEDIA
from duologue.suites.runner.play import JOURNALS, PARTIAL
from duologue.vocabulary import RunStatus

LAUNCH = "launch.json"


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
        """Write down what is being run."""
        data = {
            "schema_version": SCHEMA_VERSION,
            "id": execution_id,
            "suite": self._suite,
            "path": self._path,
            "plan": {"suite": plan.suite, "seed": plan.seed, "cases": [case.as_data() for case in plan.cases]},
        }
        replace_bytes(self.folder / LAUNCH, encoded(data))

    def run_finished(self, result: RunResult) -> None:
        """Write the run."""
        write_run(result, self.folder)

    def finished(self, execution: ExecutionResult) -> None:
        """Write the index."""
        write_index(execution, self.folder)


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """An execution that can be taken up again.

    Attributes:
        id: of the execution.
        path: the main file of its suite.
        plan: all of it.
        known: the runs that are over and need not be run again.
    """

    id: str
    path: str
    plan: Plan
    known: tuple[RunResult, ...]


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
    for pattern in (f"{RUNS}/*.json", f"{JOURNALS}/*.jsonl", f"{JOURNALS}/*{PARTIAL}", f"{MEDIA}/*", INDEX, LAUNCH):
        for path in folder.glob(pattern):
            path.unlink()


def unfinished(folder: Path) -> Unfinished:
    """What was run in a folder, and what of it is over.

    Runs that were cancelled are run again. The journal of a run that is not over is put aside as ``….partial``.

    Raises:
        ConfigurationError: the folder holds no execution.
    """
    data = _launch(folder)
    plan = data["plan"]
    cases = tuple(decoded_case(case) for case in plan["cases"])
    known: list[RunResult] = []
    for case in cases:
        run_id = case.run_id(data["id"])
        path = folder / RUNS / f"{run_id}.json"
        run = read_run(folder, run_id) if path.exists() else None
        if run is not None and run.status is not RunStatus.CANCELLED:
            known.append(run)
        else:
            _put_aside(folder / JOURNALS / f"{run_id}.jsonl")
    return Unfinished(
        id=data["id"],
        path=data["path"],
        plan=Plan(suite=plan["suite"], cases=cases, seed=plan["seed"]),
        known=tuple(known),
    )


def _put_aside(journal: Path) -> None:
    if journal.exists():
        journal.replace(journal.with_name(journal.name + PARTIAL))


def _launch(folder: Path) -> dict[str, Any]:
    path = folder / LAUNCH
    try:
        data: Any = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigurationError(f"{folder} holds no execution: there is no {LAUNCH} in it") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    require_version(data, str(path))
    return data
