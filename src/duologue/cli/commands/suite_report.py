"""What ``duologue run SUITE`` shows: progress while it goes on, and what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duologue.cli.commands.suite_run import Done, Request, run_suite
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import print_json, terminal
from duologue.errors import ConfigurationError
from duologue.runs.store.encoding import index_of
from duologue.suites.execution.observers import Observer

_WORST_FIRST = (ExitCode.INTERRUPTED, ExitCode.USAGE, ExitCode.FAILED, ExitCode.UNCERTAIN)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How the command line wants it.

    Attributes:
        ci: plain lines; and the report in the summary of the job, where ``GITHUB_STEP_SUMMARY`` names one.
        tui: a live page.
        as_json: the index as JSON, and nothing else.
        quiet: no progress.
    """

    ci: bool = False
    tui: bool = False
    as_json: bool = False
    quiet: bool = False


def run_and_show(target: str, request: Request, shown: Shown) -> int:
    """Run a suite, or all suites of a folder one after the other; the worst of their exit codes."""
    paths = suites_in(Path(target))
    if len(paths) > 1:
        return _several(paths, request, shown)
    done = _one(paths[0], request, shown)
    if shown.as_json:
        print_json(_as_json(done))
    return done.execution.exit_code


def suites_in(path: Path) -> list[str]:
    """The suite that a path names, or all suites of a folder that holds several.

    A folder with a suite of its own is that suite; otherwise every suite in it and in the folders right below counts.
    """
    from duologue.suites.manifests.loading import main_files

    if not path.is_dir() or len(main_files(path)) == 1:
        return [str(path)]
    found = main_files(path)
    for folder in sorted(item for item in path.iterdir() if item.is_dir() and not item.name.startswith(".")):
        found += main_files(folder)
    return [str(item) for item in found] or [str(path)]


def _several(paths: Sequence[str], request: Request, shown: Shown) -> int:
    """All of them, once it is known that nothing is wrong with the files of any."""
    from duologue.suites.manifests.loading import load

    if request.resume or request.failed_in:
        raise ConfigurationError("--resume and --failed-in go with one suite; name its file")
    for path in paths:
        load(path)
    every: list[Done] = []
    for path, name in zip(paths, _names_of(paths), strict=True):
        done = _one(path, replace(request, out=request.out / name if request.out else None), shown)
        every.append(done)
        if done.execution.interrupted:
            break
    if shown.as_json:
        print_json([_as_json(done) for done in every])
    codes = [done.execution.exit_code for done in every]
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.PASSED)


def _names_of(paths: Sequence[str]) -> list[str]:
    """A folder for the results of each; those that would be called alike are numbered."""
    names: list[str] = []
    for path in map(Path, paths):
        word = path.stem.partition(".")[0]
        name = path.parent.name if word in {"suite", "config", "arena", "duologue"} else path.stem
        number = 1
        while (fresh := name if number == 1 else f"{name}-{number}") in names:
            number += 1
        names.append(fresh)
    return names


def _one(path: str, request: Request, shown: Shown) -> Done:
    done = run_suite(path, request, _observers(shown))
    if shown.ci and os.environ.get("GITHUB_STEP_SUMMARY"):
        done = _with_job_summary(done)
    if not shown.as_json:
        _print(done, request)
    return done


def _with_job_summary(done: Done) -> Done:
    """Append the report to the summary of the job. Where that cannot be done, the results count all the same."""
    from duologue.reports.markdown import append_job_summary

    try:
        return replace(done, files=[*done.files, append_job_summary(done.execution)])
    except ConfigurationError as error:
        print(f"Note: {error}", file=sys.stderr)
        return done


def _as_json(done: Done) -> dict[str, Any]:
    return {**index_of(done.execution), "folder": str(done.folder)}


def _observers(shown: Shown) -> list[Observer]:
    if shown.as_json or shown.quiet:
        return []
    from duologue.reports.progress import progress

    return [progress(live=shown.tui, plain=shown.ci)]


def _print(done: Done, request: Request) -> None:
    from duologue.reports.terminal import print_execution

    console = terminal()
    print_execution(done.execution, folder=done.folder, files=done.files, console=console, mock=request.mock)
