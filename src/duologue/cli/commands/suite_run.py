"""``duologue run SUITE``: plan, execute, keep the results, show progress and write the reports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from duologue.cli.commands.planned_execution import PlannedExecution
from duologue.cli.commands.suite_executor import ExecutorRequest, use_workers
from duologue.cli.exit_codes import exit_code_for, worst_of
from duologue.cli.interruption import Stopping
from duologue.cli.output import as_shown, echo, print_json
from duologue.config.files import make_results_folder
from duologue.config.processes import kill_all_groups
from duologue.errors import ConfigurationError, DuologueError, ExecutorError, JournalError, ResultsError
from duologue.frozen import frozen
from duologue.runs.store.encoding import index_of
from duologue.runs.store.folder import ResultFolder, claimed
from duologue.runs.store.ownership import Selection, clear, require_free
from duologue.suites.execution.engine import Engine, new_execution_id
from duologue.suites.execution.launch import Observer
from duologue.suites.manifests.loader import usable, validate
from duologue.suites.plan.build import Filters
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import TOO_MANY
from duologue.suites.runner.definition import DEFAULT_CONCURRENCY, RunOptions
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.cli.supervision import Supervised


@frozen
class Shown:
    """What the command line shows.

    Attributes:
        ci: plain lines; the report in the summary of the job, where ``GITHUB_STEP_SUMMARY`` names one; and annotations
            in GitHub Actions.
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
    request.executor.require_possible()
    paths = suites_in(Path(target))
    if len(paths) > 1 and (request.resume or request.failed_in):
        raise ConfigurationError("--resume and --failed-in need a single suite; name its file")
    engines = {path: _engine(path, request) for path in paths}
    parent = None
    if any(engine.suite.runs_python or engine.suite.starts_programs for engine in engines.values()):
        from duologue.cli.commands.suite_death import record_death
        from duologue.cli.supervision import supervised

        parent = supervised(lambda death: record_death(death, engines, request.settings))
    if parent is None:
        return _all(engines, request, shown, None)
    try:
        return parent.ends(_all(engines, request, shown, parent))
    except (DuologueError, BrokenPipeError) as error:
        parent.ends(exit_code_for(error))
        raise


def _engine(path: str, request: Request) -> Engine:
    """The engine of a suite. Where its files are wrong, what else is missing is told at once."""
    found = validate(path)
    if not found.ok and request.preflight:
        from duologue.suites.execution.preflight import looked_up

        found = looked_up(found, mocking=request.mock is not None, dial=True)
    suite = usable(found)
    return Engine(suite=suite.within(suite.folder.absolute()), path=path)


def _all(engines: Mapping[str, Engine], request: Request, shown: Shown, parent: Supervised | None) -> int:
    if len(engines) > 1:
        return _several(engines, request, shown, parent)
    [(path, engine)] = engines.items()
    done = _one(path, engine, request, shown, parent)
    if shown.as_json:
        print_json(_as_json(done))
    return done.exit_code


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


def _several(engines: Mapping[str, Engine], request: Request, shown: Shown, parent: Supervised | None) -> int:
    names = _names_of(list(engines))
    for name in names if request.out else ():
        assert request.out is not None
        require_free(request.out / name, overwrite=request.overwrite)
    every: list[Done] = []
    for path, name in zip(engines, names, strict=True):
        out = request.out / name if request.out else None
        done = _one(path, engines[path], replace(request, out=out), shown, parent)
        every.append(done)
        if done.execution.interrupted:
            break
    if shown.as_json:
        print_json([_as_json(done) for done in every])
    if every[-1].execution.interrupted:
        return every[-1].exit_code
    return worst_of(done.exit_code for done in every)


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


def _one(path: str, engine: Engine, request: Request, shown: Shown, parent: Supervised | None) -> Done:
    done = run_suite(path, request, _observers(shown), engine=engine, parent=parent)
    if shown.ci and os.environ.get("GITHUB_STEP_SUMMARY"):
        done = _with_job_summary(done)
    if not shown.as_json:
        _print(done, request)
        if shown.ci and os.environ.get("GITHUB_ACTIONS") == "true":
            from duologue.reports.annotations import print_annotations

            print_annotations(done.execution)
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

    print_execution(done.execution, folder=done.folder, files=done.files, mock=request.mock)


@frozen
class Request:
    """What the command line asks for.

    Attributes:
        filters: which test cases.
        settings: how they are run.
        mock: a response file; '' for mock mode without a file; None for real models.
        trials, seed: of the plan.
        until_decided: trials of every case end when they decide about it.
        out: the folder of the results; None for what the suite says, or a new one.
        overwrite: results of an earlier execution in the folder may be replaced.
        resume: the folder of an execution that is taken up again.
        retry_errors: with ``resume``, runs that ended in an error are run again.
        failed_in: the folder of an execution whose cases that did not pass are run again.
        formats: reports beside the JSON files.
        record: keep journals.
        preflight: look for what the cases need before the first of them begins.
        executor: who runs the cases.
    """

    filters: Filters
    settings: RunOptions
    mock: str | None = None
    trials: int | None = None
    until_decided: bool = False
    seed: int | None = None
    out: Path | None = None
    overwrite: bool = False
    resume: Path | None = None
    retry_errors: bool = False
    failed_in: Path | None = None
    formats: Sequence[str] = ()
    record: bool = True
    preflight: bool = True
    executor: ExecutorRequest = field(default_factory=ExecutorRequest)


@frozen
class Done:
    """An execution that is over, and the folder and files that it left."""

    execution: ExecutionResult
    folder: Path
    files: Sequence[Path]
    signal_code: int | None = None

    @property
    def exit_code(self) -> int:
        """What the process exits with: 128 and the number of the signal that stopped it, if one did."""
        if self.execution.interrupted and self.signal_code is not None:
            return self.signal_code
        return self.execution.exit_code


def run_suite(
    path: str,
    request: Request,
    observers: Sequence[Observer],
    *,
    engine: Engine | None = None,
    parent: Supervised | None = None,
) -> Done:
    """Run one suite.

    Args:
        path: its main file.
        request: what is asked for.
        observers: are told of everything.
        engine: of the suite; None to read the file.
        parent: the process that supervises this one.

    Raises:
        SuiteError: the files of the suite are wrong.
        ConfigurationError: what is asked for cannot be done.
    """
    try:
        return asyncio.run(_run(path, request, observers, engine or Engine.from_file(path), parent))
    except (ResultsError, JournalError, ExecutorError) as error:
        error.add_note(_advice(error))
        raise
    finally:
        for observer in observers:
            observer.close()


def _advice(error: DuologueError) -> str:
    """What to do about results that cannot be written."""
    if TOO_MANY in str(error):
        return f"Too many files are open. {_FEWER}, and continue with --resume."
    if isinstance(error, ExecutorError):
        return "Results that were written stay. Continue with --resume."
    return "Results that were written stay. Make room or mend the folder, and continue with --resume."


async def _run(
    path: str, request: Request, observers: Sequence[Observer], engine: Engine, parent: Supervised | None
) -> Done:
    async with engine:
        if request.mock is not None:
            engine.enable_mock_mode(request.mock or None)
            _tell_of_idle_answers(engine)
        from duologue.reports.formats import remove_reports, renew_reports, write_reports

        with ExitStack() as held:
            if request.resume is not None:
                held.enter_context(claimed(request.resume, patience=1.0))
            planned = _planned(engine, request)
            plan, settings = planned.plan, planned.settings
            formats, names = await _looked_over(engine, request, planned)
            folder = (shown := _folder(engine, request, settings)).absolute()  # an agent may change the current folder
            _require_room(folder, formats, names)
            use_workers(engine, request.executor, settings, folder, request.resume or request.failed_in)
            if request.resume is None:
                make_results_folder(folder)
                held.enter_context(claimed(folder, patience=0.2))  # somebody may be looking whether it is held
                if request.overwrite:
                    clear(folder)
            # They tell of other results, or of earlier ones: at the end they are there again.
            stale = remove_reports(folder, names) if request.overwrite or request.resume else []
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
                deaths=planned.deaths,
            )
            told: list[Observer] = [keeper, *_witnesses(parent, folder, path, request), *observers]
            stopping = _stopping(engine, observers, f"duologue run {quote(path)} --resume {quote(str(shown))}")
            with stopping.installed():
                _allow_files(settings.concurrency or engine.suite.defaults.concurrency)
                execution = await engine.execute(plan, settings, observers=told)
                stopping.over = True
                if any(run.lacked_files for run in execution.runs):
                    echo(f"Note: too many files were open. {_FEWER}, and continue with --resume.", err=True)
                files = write_reports(execution, folder, formats, names=names)
                earlier = stale if request.resume else []
                files += renew_reports(execution, folder, names, earlier=earlier, but=files)
                await engine.close()
            return Done(
                execution=execution, folder=shown, files=as_shown(files, folder, shown), signal_code=stopping.exit_code
            )


def _witnesses(parent: Supervised | None, folder: Path, path: str, request: Request) -> list[Observer]:
    """Tells the supervising process which runs are under way. Only suites that run Python code have one."""
    if parent is None:
        return []
    from duologue.cli.commands.suite_death import Witness

    return [Witness(parent, folder, path, runs_here=request.executor.is_local)]


def _tell_of_idle_answers(engine: Engine) -> None:
    """What the response file has for scenarios, personas and judges that the suite does not have: mostly slips."""
    from duologue.suites.manifests.validate import unused_answers

    file = engine.mocks
    for problem in (*file.problems, *unused_answers(file, engine.suite)) if file else ():
        echo(one_line(problem), err=True)


def _planned(engine: Engine, request: Request) -> PlannedExecution:
    if request.resume is not None:
        _refuse_planning(request)
        from duologue.cli.commands.suite_resume import resumed_plan

        resumed = resumed_plan(request.resume, engine, request.settings, retry_errors=request.retry_errors)
        echo(f"Resuming {one_line(request.resume)}: {one_line(resumed.summary)}", err=True)
        return resumed
    seed = request.seed
    failed: set[str] | None = None
    if request.failed_in is not None:
        from duologue.cli.commands.suite_failed import failed_cases

        seed, failed = failed_cases(request.failed_in, request.seed)
    plan = engine.generate_plan(request.filters, trials=request.trials, seed=seed, until_decided=request.until_decided)
    settings = replace(request.settings, execution_id=new_execution_id(engine.clock))
    selection = Selection(
        filters=request.filters,
        trials=request.trials,
        groups=None if failed is None else tuple(sorted(failed)),
        until_decided=request.until_decided,
    )
    if failed is None:
        return PlannedExecution(plan=plan, settings=settings, selection=selection)
    cases = [case for case in plan.cases if case.group in failed]
    if not cases:
        raise ConfigurationError(
            f"every test case of {request.failed_in} passed, or the suite no longer has any of the others"
        )
    plan = replace(plan, cases=tuple(replace(case, index=index) for index, case in enumerate(cases)))
    return PlannedExecution(plan=plan, settings=settings, selection=selection)


def _refuse_planning(request: Request) -> None:
    """A resumed execution runs what was asked for when it began."""
    given = {"filters": any(vars(request.filters).values()), "--failed-in": request.failed_in, "--out": request.out}
    given |= {"--trials": request.trials, "--seed": request.seed is not None, "--overwrite": request.overwrite}
    given |= {"--until-decided": request.until_decided, "--pass-threshold": request.settings.pass_threshold is not None}
    extra = [name for name, value in given.items() if value]
    if extra:
        raise ConfigurationError(
            f"--resume continues the original plan in its own folder; remove {' and '.join(extra)}"
        )


def _folder(engine: Engine, request: Request, settings: RunOptions) -> Path:
    if request.resume is not None:
        return request.resume
    if request.out is not None:
        require_free(request.out, overwrite=request.overwrite)
        return request.out
    output = engine.suite.defaults.output
    base = engine.suite.path(output.dir) if output else Path("duologue-runs")
    return base / (settings.execution_id or "")


async def _looked_over(
    engine: Engine, request: Request, planned: PlannedExecution
) -> tuple[list[str], Mapping[str, str]]:
    """The reports that are wanted, once nothing is missing that the cases need."""
    if request.preflight:
        await engine.preflight(planned.plan, planned.settings)
    return _formats(engine, request)


def _formats(engine: Engine, request: Request) -> tuple[list[str], Mapping[str, str]]:
    """The reports that are wanted, and names of their files; a wrong one is told before anything is run."""
    from duologue.reports.formats import format_named

    output = engine.suite.defaults.output
    names = output.files if output else {}
    for name in names:
        format_named(name)
    return [format_named(name) for name in request.formats or (output.formats if output else ())], names


def _require_room(folder: Path, formats: Sequence[str], names: Mapping[str, str]) -> None:
    """A report that would take the place of somebody else's file is refused before anything is run."""
    if formats:
        from duologue.reports.formats import report_paths

        report_paths(folder, formats, names=names)


_FEWER = "Run fewer cases at once (--jobs), or allow more files ('ulimit -n 8192')"
_FILES_OF_A_RUN = 4
"""Its journal, a connection to the agent, one to a model, and one to spare."""
_OTHER_FILES = 256


def _allow_files(concurrency: int | None) -> None:
    """Allow this process as many open files as its runs may need, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = (concurrency or DEFAULT_CONCURRENCY) * _FILES_OF_A_RUN + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _stopping(engine: Engine, observers: Sequence[Observer], command: str) -> Stopping:
    """How signals stop the execution; whoever insists is told the command that goes on with it."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        engine.stop()
        for observer in observers:
            observer.stopping()

    return Stopping(
        lambda: loop.call_soon_threadsafe(stop),
        clock=engine.clock.monotonic,
        hint=f"Ended at once. Continue with: {command}",
        leave=kill_all_groups,
    )
