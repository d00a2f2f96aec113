"""``duologue run FILE.py::function``: run the scenarios of a function and show their results."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import cast

from duologue.cli.exit_codes import ExitCode, exit_code_for, exit_code_of
from duologue.cli.interruption import exit_code, once_per_press, raise_errors
from duologue.cli.output import as_json, echo, print_json, print_reasons, results_table, say, terminal, totals
from duologue.cli.supervision import Death, supervised
from duologue.context import Context
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.observers import add_observer, remove_observer
from duologue.conversation.result import ScenarioResult
from duologue.conversation.threads import ThreadBlocked, WorkerPool, in_worker_thread
from duologue.errors import ConfigurationError, DuologueError, TargetError
from duologue.frozen import frozen
from duologue.journal.journal import Journal
from duologue.settings import ScenarioConfig
from duologue.terminal_text import one_line

DEFAULT_OUT = Path("duologue-runs")


@frozen
class FunctionRequest:
    """What the command line asks for.

    Attributes:
        out: folder for the journals; each launch gets one of its own.
        as_json: print the results as JSON, and nothing else.
        quiet: print no transcript.
        seed: every random choice derives from it.
        max_turns: turns after which a conversation ends.
    """

    out: Path
    as_json: bool = False
    quiet: bool = False
    seed: int | None = None
    max_turns: int | None = None


def run_function(target: str, request: FunctionRequest) -> int:
    """Play the scenarios of a function: those that it runs itself, or those that it returns, prepared.

    Raises:
        TargetError: there is no such function, or it plays nothing.
    """
    folder = request.out / Context().ids.new("exec")
    parent = supervised(_say_death)
    raise_errors()
    if parent is None:
        return _run(target, request, folder)
    parent.runs(str(folder), target)
    try:
        return parent.ends(exit_code(_run(target, request, folder)))
    except DuologueError as error:
        parent.ends(exit_code_for(error))
        raise
    except KeyboardInterrupt:
        echo(f"Interrupted. Journals so far: {folder}", err=True)
        parent.ends(exit_code(ExitCode.INTERRUPTED))
        raise


def _say_death(death: Death) -> None:
    echo(f"\nError: the process that ran {death.path} ended unexpectedly ({death.how}).", err=True)
    echo(f"Runs that had come to their end are recorded in {death.folder}", err=True)


def _run(target: str, request: FunctionRequest, folder: Path) -> int:
    function = load_target(target)
    verbose = False if request.quiet or request.as_json else 1
    ScenarioConfig.configure(record=folder, verbose=verbose, seed=request.seed, max_turns=request.max_turns)
    results, failure = _play(function)
    if not results:
        if failure is not None:
            raise failure
        raise TargetError(f"{target} ran no scenario: it must call duologue.run(…), or return duologue.prepare(…)")
    if request.as_json:
        print_json({"totals": totals(results), "journals": str(folder), "runs": [as_json(item) for item in results]})
    else:
        _report(results, folder)
    if isinstance(failure, ConfigurationError):
        return ExitCode.USAGE
    return ExitCode.FAILED if isinstance(failure, AssertionError) else exit_code_of(results)


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
    except Exception as error:
        if getattr(error, "result", None) is None:
            raise TargetError(f"the function raised {type(error).__name__}: {error}") from error
        return results, error
    except SystemExit as error:
        raise TargetError(f"the function called sys.exit({error.code!r}); it must return") from error
    finally:
        remove_observer(observe)
    return results, None


async def _called(function: Callable[[], object]) -> None:
    with once_per_press(Context().clock.monotonic):
        await _call(function)


async def _call(function: Callable[[], object]) -> None:
    value = function()
    if inspect.isawaitable(value):
        value = await value
    prepared = [value] if isinstance(value, ScenarioExecutor) else value
    if not isinstance(prepared, (list, tuple)):
        return
    executors = [item for item in cast("Iterable[object]", prepared) if isinstance(item, ScenarioExecutor)]
    if inspect.iscoroutinefunction(function):  # what it made may belong to this event loop
        for executor in executors:
            await executor.perform()
    else:
        await _in_thread(executors)
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


def _report(results: list[ScenarioResult], folder: Path) -> None:
    console = terminal()
    console.print()
    console.print(results_table(results))
    print_reasons(console, results)
    say(console, f"journals: {one_line(folder)}", "dim")


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
        raise TargetError(f"{path} does not exist; expected FILE.py::function")
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
