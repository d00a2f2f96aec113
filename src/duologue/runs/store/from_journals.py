"""Runs that Python code has played, read as one execution from the journals that they left in a folder.

``duologue.run(record=FOLDER)``, pytest with ``--duologue-record`` and ``duologue run FILE.py::function`` have no plan
that is known beforehand: the journals say what was played. Runs of the same scenario with the same agent are trials of
one test case, in the order in which they began. Everything that reads results can so read these, whichever process
wrote them, and also while others are being written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from duologue.config.files import make_private_folder, write_atomic
from duologue.conversation.earlier_runs import agent_of
from duologue.errors import ConfigurationError, JournalError, ResultsError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS, MEDIA, folders_beside
from duologue.journal.events import RunStarted
from duologue.journal.journal import RunView
from duologue.journal.jsonl import JournalFile, read_journal
from duologue.runs.store.encoding import decoded_case
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.blame import blame
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.from_journal import run_result
from duologue.suites.results.run import RunResult
from duologue.suites.runner.earlier import spent_in_journals
from duologue.vocabulary import RunStatus, Termination, Verdict

UNFINISHED = "The run has not come to its end."
"""What is said of a run whose journal has no end."""


@frozen
class RecordedRuns:
    """What the journals of a folder hold.

    Attributes:
        runs: in the order in which they began.
        problems: what could not be read, one sentence each.
        journals: the folder that holds them.
    """

    runs: tuple[RunResult, ...]
    problems: tuple[str, ...]
    journals: Path


def holds_journals(folder: Path) -> bool:
    """Whether there is a journal right in the folder, or in its folder for journals."""
    return any(True for _ in _journals_in(folder))


def recorded_runs(folder: Path) -> RecordedRuns:
    """The runs of a folder of journals.

    Args:
        folder: it, or its folder ``journals``, holds one file for each run. Other files, such as cassettes, are passed
            over.
    """
    files: list[tuple[JournalFile, RunView, RunStarted]] = []
    problems: list[str] = []
    paths = list(_journals_in(folder))
    for path in paths:
        try:
            file = read_journal(path)
        except JournalError as error:
            if claims_to_be_journal(path):
                problems.append(f"left out: {error}")
            continue
        view = file.view
        if view.started is not None:
            files.append((file, view, view.started))
    files.sort(key=lambda item: (item[1].started_at or 0.0, item[0].path.name))
    cases = _cases([started for _, _, started in files])
    runs = tuple(_run(case, file, view, folder) for case, (file, view, _) in zip(cases, files, strict=True))
    return RecordedRuns(runs=runs, problems=tuple(problems), journals=paths[0].parent if paths else folder)


def execution_of(
    folder: Path,
    *,
    id: str | None = None,
    name: str | None = None,
    path: str = "",
    running: bool = False,
    interrupted: bool | None = None,
) -> tuple[ExecutionResult, tuple[str, ...]]:
    """The runs of a folder of journals as an execution, and what could not be read.

    Args:
        folder: see :func:`recorded_runs`.
        id: of the execution; None for the name of the folder.
        name: of what was run; None for the name of the folder.
        path: the function that was run, if one was.
        running: somebody may still be playing them.
        interrupted: whether they were stopped before all had been played; None if a run without an end says so.

    Raises:
        ConfigurationError: there is no journal of a run.
    """
    found = recorded_runs(folder)
    if not found.runs:
        why = "; ".join(found.problems)
        raise ConfigurationError(f"{folder} holds no journal of a run{f': {why}' if why else ''}")
    runs = found.runs
    title = name or folder.resolve().name
    began, seconds = _time_of(runs)
    seeds = {run.case.seed for run in runs}
    cut_off = any(run.status is RunStatus.CANCELLED for run in runs)
    execution = ExecutionResult(
        id=id or folder.resolve().name,
        suite=title,
        path=path,
        plan=Plan(suite=title, cases=tuple(run.case for run in runs), seed=seeds.pop() if len(seeds) == 1 else 0),
        runs=runs,
        started_at=began,
        seconds=seconds,
        interrupted=not running and (cut_off if interrupted is None else interrupted),
        running=running,
        earlier=spent_in_journals(found.journals, {_name(run) for run in runs}),
    )
    return execution, found.problems


def take_in(journal: Path, folder: Path, run_id: str) -> None:
    """Copy a journal that lies elsewhere, with the pictures and sound that it names, to the others of a folder.

    Raises:
        ResultsError: it cannot be copied.
    """
    target = folder / JOURNALS / f"{run_id}.jsonl"
    try:
        if target.exists() or not journal.exists():
            return
        make_private_folder(target.parent)
        data = journal.read_bytes()
        media = next((found for found in folders_beside(journal) if found.is_dir()), None)
        for file in media.iterdir() if media else ():
            copy = folder / MEDIA / file.name
            if file.is_file() and file.stem.encode() in data and not copy.exists():
                make_private_folder(copy.parent)
                write_atomic(copy, file.read_bytes(), permissions=0o600)
        write_atomic(target, data, permissions=0o600)
    except OSError as error:
        raise ResultsError(f"cannot copy {journal} into {folder}: {error.strerror or error}") from error


def _journals_in(folder: Path) -> Iterator[Path]:
    inner = folder / JOURNALS
    yield from sorted(inner.glob("*.jsonl") if inner.is_dir() else folder.glob("*.jsonl"))


def claims_to_be_journal(path: Path) -> bool:
    """Whether a file that cannot be read begins as a journal does, or is empty: no other file of ours is."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return True
    return not start.strip() or b"run_started" in start


def _cases(started: Sequence[RunStarted]) -> list[TestCase]:
    """What was played, in this order; a case of a suite says itself which it is."""
    given = [case_of_suite(item) for item in started]
    keys = [(item.scenario.name, agent_of(item)) for item in started]
    total = Counter(key for key, case in zip(keys, given, strict=True) if case is None)
    seen: dict[tuple[str, str | None], int] = defaultdict(int)
    cases: list[TestCase] = []
    for index, (item, key, case) in enumerate(zip(started, keys, given, strict=True)):
        if case is not None:
            cases.append(replace(case, index=index))
            continue
        seen[key] += 1
        cases.append(
            TestCase(index=index, scenario=key[0], agent=key[1], trial=seen[key], trials=total[key], seed=item.seed)
        )
    return cases


def case_of_suite(started: RunStarted) -> TestCase | None:
    """The test case that a journal of a suite names; None for a run of other code."""
    data: object = started.scenario.metadata.get("case")
    try:
        return decoded_case(cast("dict[str, Any]", data)) if isinstance(data, dict) else None
    except (TypeError, ValueError, AttributeError):
        return None


def _run(case: TestCase, file: JournalFile, view: RunView, folder: Path) -> RunResult:
    said = view.started.scenario.description if view.started else ""
    where = file.path.relative_to(folder).as_posix()
    run = run_result(case, file.entries, view, journal=where, description=said)
    if not file.complete:
        return cut_off(run)
    return run if run.verdict is Verdict.PASS else replace(run, blame=blame(run))


def run_of(file: JournalFile) -> RunResult:
    """The run that a single journal holds.

    Raises:
        JournalError: it holds no beginning of a run.
    """
    view = file.view
    if view.started is None:
        raise JournalError(f"{file.path} does not say which scenario was played; expected it in the first line")
    [case] = _cases([view.started])
    return _run(case, file, view, file.path.parent)


def cut_off(run: RunResult) -> RunResult:
    """What there is of a run whose journal has no end: it counts as cancelled."""
    return replace(
        run,
        status=RunStatus.CANCELLED,
        verdict=None,
        termination=Termination.CANCELLED,
        error=None,
        reasoning=UNFINISHED,
    )


def _name(run: RunResult) -> str:
    return Path(run.journal or "").stem


def _time_of(runs: Iterable[RunResult]) -> tuple[datetime, float]:
    """When the first run began, and for how long any was under way; what lies between two launches does not count."""
    spans = sorted((run.started_at, timedelta(seconds=run.seconds)) for run in runs if run.started_at)
    if not spans:
        return datetime.fromtimestamp(0, UTC), 0.0
    over, total = spans[0][0], timedelta()
    for began, lasted in spans:
        end = began + lasted
        total += max(timedelta(), end - max(over, began))
        over = max(over, end)
    return spans[0][0], total.total_seconds()
