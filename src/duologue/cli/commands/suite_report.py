"""What ``duologue run SUITE`` shows: progress while it goes on, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from duologue.cli.commands.suite_run import Done, Request, run_suite
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import print_json, terminal
from duologue.errors import ConfigurationError
from duologue.reports.files import index_of
from duologue.suites.execution.observers import Observer

_WORST_FIRST = (ExitCode.INTERRUPTED, ExitCode.USAGE, ExitCode.FAILED, ExitCode.UNCERTAIN)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How the command line wants it.

    Attributes:
        ci: plain lines.
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
    return _one(paths[0], request, shown)


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
    if request.resume or request.failed_in:
        raise ConfigurationError("--resume and --failed-in go with one suite; name its file")
    codes: list[int] = []
    for path in paths:
        folder = request.out / _name_of(Path(path)) if request.out else None
        codes.append(_one(path, replace(request, out=folder), shown))
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.PASSED)


def _name_of(path: Path) -> str:
    return path.parent.name if path.stem.partition(".")[0] in {"suite", "config", "arena", "duologue"} else path.stem


def _one(path: str, request: Request, shown: Shown) -> int:
    done = run_suite(path, request, _observers(shown))
    if shown.as_json:
        print_json({**index_of(done.execution), "folder": str(done.folder)})
    else:
        _print(done, shown)
    return done.execution.exit_code


def _observers(shown: Shown) -> list[Observer]:
    if shown.as_json or shown.quiet:
        return []
    from duologue.reports.progress import progress

    return [progress(live=shown.tui, plain=shown.ci)]


def _print(done: Done, shown: Shown) -> None:
    from duologue.reports.terminal import print_execution

    print_execution(done.execution, folder=done.folder, files=done.files, console=terminal())
