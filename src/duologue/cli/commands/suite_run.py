"""``duologue run SUITE``: plan, execute, keep the results, show progress and write the reports."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json, terminal
from duologue.config.files import make_private_folder
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.store.encoding import LAUNCH, index_of
from duologue.runs.store.folder import ResultFolder
from duologue.runs.store.folder_lock import claimed
from duologue.runs.store.launch_file import Definition, Selection
from duologue.runs.store.ownership import clear, require_free
from duologue.suites.execution.engine import Engine, new_execution_id
from duologue.suites.execution.observers import Observer
from duologue.suites.plan.build import Filters
from duologue.suites.plan.cases import Plan
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.runner.options import RunOptions
from duologue.terminal_text import one_line

_WORST_FIRST = (ExitCode.INTERRUPTED, ExitCode.USAGE, ExitCode.FAILED, ExitCode.UNCERTAIN)


@frozen
class Shown:
    """What the command line shows.

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
    from duologue.suites.manifests.loader import main_files

    if not path.is_dir() or len(main_files(path)) == 1:
        return [str(path)]
    found = main_files(path)
    for folder in sorted(item for item in path.iterdir() if item.is_dir() and not item.name.startswith(".")):
        found += main_files(folder)
    return [str(item) for item in found] or [str(path)]


def _several(paths: Sequence[str], request: Request, shown: Shown) -> int:
    """All of them, once it is known that nothing is wrong with the files of any."""
    from duologue.suites.manifests.loader import load

    if request.resume or request.failed_in:
        raise ConfigurationError("--resume and --failed-in need a single suite; name its file")
    for path in paths:
        load(path)
    names = _names_of(paths)
    for name in names if request.out else ():
        assert request.out is not None
        require_free(request.out / name, overwrite=request.overwrite)
    every: list[Done] = []
    for path, name in zip(paths, names, strict=True):
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
        echo(f"Note: {error}", err=True)
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


@frozen
class Request:
    """What the command line asks for.

    Attributes:
        filters: which test cases.
        settings: how they are run.
        mock: a response file; '' for mock mode without a file; None for real models.
        trials, seed: of the plan.
        out: the folder of the results; None for what the suite says, or a new one.
        overwrite: results of an earlier execution in the folder may be replaced.
        resume: the folder of an execution that is taken up again.
        failed_in: the folder of an execution whose cases that did not pass are run again.
        formats: reports beside the JSON files.
        record: keep journals.
    """

    filters: Filters
    settings: RunOptions
    mock: str | None = None
    trials: int | None = None
    seed: int | None = None
    out: Path | None = None
    overwrite: bool = False
    resume: Path | None = None
    failed_in: Path | None = None
    formats: Sequence[str] = ()
    record: bool = True


@frozen
class Done:
    """An execution that is over, and the folder and files that it left."""

    execution: ExecutionResult
    folder: Path
    files: Sequence[Path]


def run_suite(path: str, request: Request, observers: Sequence[Observer]) -> Done:
    """Run one suite.

    Raises:
        SuiteError: the files of the suite are wrong.
        ConfigurationError: what is asked for cannot be done.
    """
    try:
        return asyncio.run(_run(path, request, observers))
    finally:
        for observer in observers:
            observer.close()


async def _run(path: str, request: Request, observers: Sequence[Observer]) -> Done:
    engine = Engine.from_file(path)
    async with engine:
        if request.mock is not None:
            engine.enable_mock_mode(request.mock or None)
            _tell_of_idle_answers(engine)
        with ExitStack() as held:
            if request.resume is not None:
                held.enter_context(claimed(request.resume))
            planned = _planned(engine, request)
            plan, settings = planned.plan, planned.settings
            formats, names = _formats(engine, request)
            folder = _folder(engine, request, settings)
            _require_room(folder, formats, names)
            if request.resume is None:
                _make(folder)
                held.enter_context(claimed(folder))
                if request.overwrite:
                    _clear(folder, names)
            if request.record:
                engine.enable_recording(folder)
            keeper = ResultFolder(
                folder,
                suite=engine.suite.name,
                path=path,
                resuming=request.resume is not None,
                selection=planned.selection,
                outdated=planned.outdated,
                damaged=planned.damaged,
                moved=planned.moved,
            )
            with _interruptible(engine, observers):
                execution = await engine.execute(plan, settings, observers=[keeper, *observers])
            return Done(execution=execution, folder=folder, files=_reports(execution, folder, formats, names))


def _tell_of_idle_answers(engine: Engine) -> None:
    """What the response file has for scenarios, personas and judges that the suite does not have: mostly slips."""
    from duologue.suites.response_files import unused_answers

    file = engine.mocks
    for problem in (*file.problems, *unused_answers(file, engine.suite)) if file else ():
        echo(one_line(problem), err=True)


@frozen
class _Planned:
    """What is run, and what :class:`ResultFolder` has to know of it."""

    plan: Plan
    settings: RunOptions
    selection: Selection | None
    outdated: Mapping[str, Definition] = field(default_factory=dict[str, Definition])
    damaged: Sequence[str] = ()
    moved: Sequence[str] = ()


def _planned(engine: Engine, request: Request) -> _Planned:
    if request.resume is not None:
        _refuse_planning(request)
        from duologue.cli.commands.suite_resume import resumed_plan

        resumed = resumed_plan(request.resume, engine, request.settings)
        echo(f"Resuming {one_line(request.resume)}: {one_line(resumed.said)}", err=True)
        return _Planned(
            plan=resumed.plan,
            settings=resumed.settings,
            selection=resumed.selection,
            outdated=resumed.outdated,
            damaged=resumed.damaged,
            moved=resumed.moved,
        )
    seed = request.seed
    failed: set[str] | None = None
    if request.failed_in is not None:
        seed, failed = _failed(request.failed_in, request.seed)
    plan = engine.generate_plan(request.filters, trials=request.trials, seed=seed)
    settings = replace(request.settings, execution_id=new_execution_id(engine.clock))
    selection = Selection(
        filters=request.filters, trials=request.trials, groups=None if failed is None else tuple(sorted(failed))
    )
    if failed is None:
        return _Planned(plan=plan, settings=settings, selection=selection)
    cases = [case for case in plan.cases if case.group in failed]
    if not cases:
        raise ConfigurationError(
            f"every test case of {request.failed_in} passed, or the suite no longer has any of the others"
        )
    plan = replace(plan, cases=tuple(replace(case, index=index) for index, case in enumerate(cases)))
    return _Planned(plan=plan, settings=settings, selection=selection)


def _refuse_planning(request: Request) -> None:
    """A resumed execution runs what was asked for when it began."""
    given = {"filters": any(vars(request.filters).values()), "--failed-in": request.failed_in, "--out": request.out}
    given |= {"--trials": request.trials, "--seed": request.seed is not None, "--overwrite": request.overwrite}
    extra = [name for name, value in given.items() if value]
    if extra:
        raise ConfigurationError(
            f"--resume continues the original plan in its own folder; remove {' and '.join(extra)}"
        )


def _failed(folder: Path, seed: int | None) -> tuple[int, set[str]]:
    """The seed of an earlier execution, and the test cases that did not pass in it."""
    earlier = unfinished_or_done(folder)
    passed = {group.case.group for group in earlier.groups if group.outcome == "pass"}
    every = {case.group for case in earlier.plan.cases}
    return earlier.plan.seed if seed is None else seed, every - passed


def unfinished_or_done(folder: Path) -> ExecutionResult:
    """The results of a folder, whether its execution came to its end or not."""
    from duologue.runs.store.encoding import INDEX
    from duologue.runs.store.reader import read_execution

    if (folder / INDEX).exists():
        return read_execution(folder)
    begun = (folder / LAUNCH).exists()
    why = "its execution was not finished; continue it with --resume" if begun else "it contains no results"
    raise ConfigurationError(f"{folder} has no {INDEX}: {why}")


def _folder(engine: Engine, request: Request, settings: RunOptions) -> Path:
    if request.resume is not None:
        return request.resume
    if request.out is not None:
        require_free(request.out, overwrite=request.overwrite)
        return request.out
    output = engine.suite.defaults.output
    base = engine.suite.path(output.dir) if output else Path("duologue-runs")
    return base / (settings.execution_id or "")


def _formats(engine: Engine, request: Request) -> tuple[list[str], Mapping[str, str]]:
    """The reports that are wanted, and names of their files; a wrong one is told before anything is run."""
    from duologue.reports.formats import format_named

    output = engine.suite.defaults.output
    names = output.files if output else {}
    for name in names:
        format_named(name)
    return [format_named(name) for name in request.formats or (output.formats if output else ())], names


def _clear(folder: Path, names: Mapping[str, str]) -> None:
    """Remove earlier results, and the reports on them."""
    from duologue.reports.formats import remove_reports

    clear(folder)
    remove_reports(folder, names)


def _require_room(folder: Path, formats: Sequence[str], names: Mapping[str, str]) -> None:
    """A report that would take the place of somebody else's file is refused before anything is run."""
    if formats:
        from duologue.reports.formats import report_paths

        report_paths(folder, formats, names=names)


def _reports(execution: ExecutionResult, folder: Path, formats: Sequence[str], names: Mapping[str, str]) -> list[Path]:
    from duologue.reports.formats import write_reports

    return write_reports(execution, folder, formats, names=names)


def _make(folder: Path) -> None:
    try:
        make_private_folder(folder)
    except OSError as error:
        raise ConfigurationError(
            f"cannot create the results folder {folder}: {error.strerror}. Choose another with --out"
        ) from error


@contextmanager
def _interruptible(engine: Engine, observers: Sequence[Observer]) -> Generator[None]:
    """Ctrl-C lets the runs that are under way finish; a second one cancels them."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        engine.stop()
        for observer in observers:
            observer.stopping()

    try:
        loop.add_signal_handler(signal.SIGINT, stop)
    except (NotImplementedError, RuntimeError, ValueError):  # no signals here: Windows, or not the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
