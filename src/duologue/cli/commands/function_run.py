"""``duologue run FILE.py::function``: run the scenarios of a function and show their results."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from types import ModuleType
from typing import NoReturn, cast

from duologue.cli.exit_codes import ExitCode, exit_code_for, exit_code_of
from duologue.cli.interruption import exit_code, once_per_press, raise_errors
from duologue.cli.output import as_json, as_shown, echo, print_json, totals
from duologue.cli.supervision import Death, supervised
from duologue.config.files import REPLACED, make_results_folder, set_aside
from duologue.config.problems import similar_file
from duologue.config.tracebacks import describe
from duologue.context import Context, SystemClock
from duologue.conversation.earlier_runs import EarlierRuns
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.observers import add_observer, remove_observer
from duologue.conversation.result import ScenarioResult, result_of
from duologue.conversation.setup import taking_up
from duologue.conversation.threads import ThreadBlocked, WorkerPool, in_worker_thread, with_runs_in_worker_thread
from duologue.errors import ConfigurationError, DuologueError, JournalError, TargetError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS
from duologue.journal.journal import Journal
from duologue.journal.jsonl import read_journal
from duologue.reports.formats import format_named, remove_reports, renew_reports, write_reports
from duologue.reports.terminal import print_execution
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS
from duologue.runs.store.folder import claimed, write_execution
from duologue.runs.store.from_journals import claims_to_be_journal, execution_of, holds_journals, recorded_runs, take_in
from duologue.runs.store.ownership import LaunchFile, read_launch, write_launch
from duologue.settings import ScenarioConfig
from duologue.suites.plan.build import Plan
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.media import with_media_files
from duologue.vocabulary import RunStatus

DEFAULT_OUT = Path("duologue-runs")


@frozen
class FunctionRequest:
    """What the command line asks for.

    Attributes:
        out: folder for the results; each launch gets one of its own.
        as_json: print the results as JSON, and nothing else.
        quiet: print no transcript.
        seed: every random choice derives from it.
        max_turns: turns after which a conversation ends.
        formats: reports beside the JSON files.
        resume: the folder of an earlier launch that is taken up again.
        failed_in: the folder of a launch whose runs that did not pass are played again.
        retry_errors: with ``resume``, runs that ended in an error are played again.
    """

    out: Path
    as_json: bool = False
    quiet: bool = False
    seed: int | None = None
    max_turns: int | None = None
    formats: Sequence[str] = ()
    resume: Path | None = None
    failed_in: Path | None = None
    retry_errors: bool = False


def run_function(target: str, request: FunctionRequest) -> int:
    """Play the scenarios of a function: those that it runs itself, or those that it returns, prepared.

    Raises:
        TargetError: there is no such function, or it plays nothing.
        ConfigurationError: what is asked for cannot be done.
    """
    folder = _folder(target, request)
    parent = supervised(_say_death)
    raise_errors()
    if parent is None:
        return _run(target, request, folder)
    parent.runs(str(folder), target)
    try:
        return parent.ends(exit_code(_run(target, request, folder)))
    except (DuologueError, BrokenPipeError) as error:
        parent.ends(exit_code_for(error))
        raise
    except KeyboardInterrupt:
        echo(f"Interrupted. Results so far: {folder}. Continue with: {_continuation(target, folder)}", err=True)
        parent.ends(exit_code(ExitCode.INTERRUPTED))
        raise


def _folder(target: str, request: FunctionRequest) -> Path:
    if request.resume is None:
        return request.out / Context().ids.new("exec")
    launch = read_launch(request.resume)
    if launch.plan.cases:
        raise ConfigurationError(f"{request.resume} holds results of the suite {launch.path}, and {target} is none")
    if launch.suite != _name(target):
        raise ConfigurationError(f"{request.resume} holds results of {launch.suite}; found {target}. Name the same")
    return request.resume


def _name(target: str) -> str:
    """What is run, wherever the file lies: ``refunds.py::scenarios``."""
    file, separator, function = target.partition(SEPARATOR)
    return f"{Path(file).name}{separator}{function}"


def _continuation(target: str, folder: Path) -> str:
    return f"duologue run {quote(target)} --resume {quote(str(folder))}"


def _say_death(death: Death) -> None:
    echo(f"\nError: the process that ran {death.path} ended unexpectedly ({death.how}).", err=True)
    if death.folder and death.path:
        again = _continuation(death.path, Path(death.folder))
        echo(f"Runs that had come to their end are recorded in {death.folder}. Continue with: {again}", err=True)


def _run(target: str, request: FunctionRequest, folder: Path) -> int:
    shown, folder = folder, folder.absolute()  # code of the function may change the current folder
    earlier = _earlier(request)
    function = load_target(target)
    formats = [format_named(name) for name in request.formats]
    verbose = False if request.quiet or request.as_json else 1
    journals = folder / JOURNALS
    make_results_folder(folder)
    with claimed(folder, patience=0.2), _configured(journals, verbose, request):
        stale = remove_reports(folder, {}) if request.resume else []
        (folder / INDEX).unlink(missing_ok=True)
        _write_launch(target, request, folder)
        with taking_up(earlier.journal_for if earlier else None):
            results, failure = _play(function)
        results = [*_repeated(journals, results), *results]
        if not results:
            _nothing_to_show(target, folder, failure, earlier)
        for result in results:  # the function may record elsewhere
            if result.journal and result.run_id and not (earlier and result.run_id in earlier.kept):
                take_in(result.journal, folder, result.run_id)
        execution = _keep(target, folder)
        files = write_reports(execution, folder, formats)
        files += renew_reports(execution, folder, {}, earlier=stale, but=files)
    if request.as_json:
        runs = [as_json(item) for item in results]
        journals = shown / JOURNALS
        print_json({"totals": totals(results), "journals": str(journals), "folder": str(shown), "runs": runs})
    else:
        print_execution(execution, folder=shown, files=as_shown(files, folder, shown))
    if failure is None:
        return exit_code_of(results)
    ended = getattr(failure, "result", None)
    if ended is None or ended.status is RunStatus.CANCELLED:  # no run says why
        told = str(failure) if isinstance(failure, TargetError) else f"the function ended with {describe(failure)}"
        echo(f"\nError: {told}", err=True)
    if isinstance(failure, ConfigurationError):
        return ExitCode.USAGE
    if isinstance(failure, AssertionError):
        return ExitCode.FAILED
    return exit_code_of(results) or ExitCode.UNCERTAIN


@contextmanager
def _configured(journals: Path, verbose: bool | int, request: FunctionRequest) -> Generator[None]:
    """Put what was asked for over the process-wide defaults, and take it back."""
    before = ScenarioConfig.default_config
    ScenarioConfig.configure(record=journals, verbose=verbose, seed=request.seed, max_turns=request.max_turns)
    try:
        yield
    finally:
        ScenarioConfig.default_config = before


def _earlier(request: FunctionRequest) -> EarlierRuns | None:
    """The runs of an earlier launch that this one takes up."""
    if request.resume is not None:
        earlier = EarlierRuns((request.resume / JOURNALS).absolute(), retry_errors=request.retry_errors)
        for path in filter(claims_to_be_journal, earlier.unread):  # its run is played from its beginning
            set_aside(path, "unreadable")
        return earlier
    if request.failed_in is None:
        return None
    if not holds_journals(request.failed_in):
        raise ConfigurationError(f"--failed-in: {request.failed_in} holds no journals of runs")
    return EarlierRuns(recorded_runs(request.failed_in.absolute()).journals, only_problems=True)


def _write_launch(target: str, request: FunctionRequest, folder: Path) -> None:
    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    name = _name(target)
    plan = Plan(suite=name, cases=(), seed=request.seed or 0)  # what is played is known when it has been
    write_launch(folder, LaunchFile(id=folder.name, suite=name, path=target, plan=plan, started_at=now, session_at=now))


def _repeated(journals: Path, played: Sequence[ScenarioResult]) -> list[ScenarioResult]:
    """The results of runs that had come to their end before, and so were only read."""
    seen = {result.run_id for result in played}
    paths = sorted(journals.glob("*.jsonl"))
    found: list[ScenarioResult] = []
    for path in paths:
        with suppress(JournalError):  # there is no run in it
            if path.stem not in seen:
                found.append(result_of(read_journal(path).view, path))
    return [result for result in found if result.run_id not in seen]


def _nothing_to_show(target: str, folder: Path, failure: Exception | None, earlier: EarlierRuns | None) -> NoReturn:
    (folder / LAUNCH).unlink(missing_ok=True)
    with suppress(OSError):  # somebody has put something into it
        folder.rmdir()
    if failure is not None:
        raise failure
    if earlier is not None and earlier.kept:
        raise ConfigurationError(f"every run of {target} had passed; there is nothing to run again")
    raise TargetError(f"{target} ran no scenario: it must call duologue.run(…), or return duologue.prepare(…)")


def _keep(target: str, folder: Path) -> ExecutionResult:
    """Write the results of the runs next to their journals, as for a suite."""
    execution, _ = execution_of(folder, name=_name(target), path=target)
    execution = replace(execution, runs=tuple(with_media_files(run, folder) for run in execution.runs))
    ids = {run.run_id for run in execution.runs}
    for path in (folder / RUNS).glob("*.json"):  # of runs that others have taken the place of
        if path.stem not in ids:
            set_aside(path, REPLACED)
    write_execution(execution, folder)
    return execution


def _play(function: Callable[[], object]) -> tuple[list[ScenarioResult], Exception | None]:
    """All results, also of runs that raised; and what the function itself raised in the end."""
    results: list[ScenarioResult] = []

    def observe(result: ScenarioResult, journal: Journal) -> None:
        results.append(result)

    add_observer(observe)
    try:
        asyncio.run(_called(function))
    except (AssertionError, DuologueError) as error:
        return results, error
    except Exception as error:  # noqa: BLE001 - whatever the function raised, its runs have results
        if getattr(error, "result", None) is None:
            return results, _of_target(f"the function raised {type(error).__name__}: {error}", error)
        return results, error
    except SystemExit as error:
        return results, _of_target(f"the function called sys.exit({error.code!r}); it must return", error)
    finally:
        remove_observer(observe)
    return results, None


def _of_target(message: str, cause: BaseException) -> TargetError:
    error = TargetError(message)
    error.__cause__ = cause
    return error


async def _called(function: Callable[[], object]) -> None:
    with once_per_press(Context().clock.monotonic):
        await _call(function)


async def _call(function: Callable[[], object]) -> None:
    value = function()
    if inspect.isawaitable(value):
        try:
            await with_runs_in_worker_thread(lambda: _awaited(value))
        except ThreadBlocked as blocked:
            did = "blocks the event loop" if blocked.own else "cancelled all tasks of the event loop"
            echo(f"\nError: a run {did} of the function, which was left there; see its reason. {_UNBEGUN}", err=True)
            raise blocked.error from None
        return
    executors = _executors(value)
    await _in_thread(executors)
    _check(executors)


async def _awaited(value: Awaitable[object]) -> None:
    """Await what the function gave, and play what that gives: it may belong to this event loop."""
    try:
        executors = _executors(await value)
    except (SystemExit, KeyboardInterrupt) as error:  # on this thread, nobody has pressed Ctrl-C
        raise TargetError(f"the function raised {describe(error)}; it must return") from error
    for executor in executors:
        await executor.perform()
    _check(executors)


_UNBEGUN = "Runs that had not begun by then have no result."


def _executors(value: object) -> list[ScenarioExecutor]:
    prepared = [value] if isinstance(value, ScenarioExecutor) else value
    if not isinstance(prepared, (list, tuple)):
        return []
    return [item for item in cast("Iterable[object]", prepared) if isinstance(item, ScenarioExecutor)]


def _check(executors: Iterable[ScenarioExecutor]) -> None:
    for executor in executors:
        if isinstance(executor.failure, ConfigurationError):
            raise executor.failure


async def _in_thread(executors: Iterable[ScenarioExecutor]) -> None:
    """Play them on one other event loop, so that an agent that blocks its thread for ever ends its own run only."""
    pool = WorkerPool(1, idle_seconds=None)
    try:
        for executor in executors:
            try:
                await in_worker_thread(executor.perform, executor.give_up, pool)
            except ThreadBlocked as blocked:
                await executor.give_up(blocked.error)
    finally:
        await pool.close()


SEPARATOR = "::"


def load_target(target: str) -> Callable[[], object]:
    """The function that ``FILE.py::function`` names; it takes no arguments.

    Raises:
        TargetError: there is no such file or function, the file cannot be imported, or the function needs arguments.
    """
    file, _, name = target.partition(SEPARATOR)
    module = _module(Path(file))
    functions = {
        key: value
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_")
    }
    if not name:
        example = f"{file}::{next(iter(functions), 'function')}"
        raise TargetError(f"name a function of {file}, such as {example}. {_there(functions)}")
    function = functions.get(name)
    if function is None:
        near = get_close_matches(name, functions, 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise TargetError(f"{file} has no function '{name}'.{hint} {_there(functions)}")
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    if needed:
        raise TargetError(
            f"{target} takes arguments ({', '.join(needed)}); 'duologue run' calls a function without any. "
            "If they are pytest fixtures, run it with pytest."
        )
    return function


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"{path} does not exist; expected FILE.py::function{similar_file(path)}")
    name = f"duologue_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path} is not a Python file; expected FILE.py::function")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise TargetError(f"{path}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        line = _line_in(error, path)
        raise TargetError(f"{path}{line} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _line_in(error: BaseException, path: Path) -> str:
    """Where in that file the error arose."""
    traceback, line = error.__traceback__, None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f", line {line}," if line else ""


def _there(functions: Mapping[str, object]) -> str:
    return f"It has: {', '.join(sorted(functions))}." if functions else "It has no functions."
