"""``duologue run FILE.py::function``: play what a function plays, and say what came of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.text import Text

from duologue.cli.exit_codes import ExitCode, exit_code_of
from duologue.cli.output import as_json, print_json, print_reasons, results_table, terminal, totals
from duologue.cli.target import load_target
from duologue.context import Context
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.observers import add_observer, remove_observer
from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError, DuologueError, TargetError
from duologue.journal.journal import Journal
from duologue.settings import ScenarioConfig

DEFAULT_OUT = Path("duologue-runs")


@dataclass(frozen=True, kw_only=True)
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
    function = load_target(target)
    folder = request.out / Context().ids.new("exec")
    verbose = False if request.quiet or request.as_json else 1
    ScenarioConfig.configure(record=folder, verbose=verbose, seed=request.seed, max_turns=request.max_turns)
    results, failure = _play(function)
    if not results:
        if failure is not None:
            raise failure
        raise TargetError(f"{target} played no scenario: it must call duologue.run(…), or return duologue.prepare(…)")
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
        asyncio.run(_call(function))
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


async def _call(function: Callable[[], object]) -> None:
    value = function()
    if inspect.isawaitable(value):
        value = await value
    prepared = [value] if isinstance(value, ScenarioExecutor) else value
    if not isinstance(prepared, (list, tuple)):
        return
    executors = [item for item in cast("Iterable[object]", prepared) if isinstance(item, ScenarioExecutor)]
    for executor in executors:
        await executor.perform()
    for executor in executors:
        if isinstance(executor.failure, ConfigurationError):
            raise executor.failure


def _report(results: list[ScenarioResult], folder: Path) -> None:
    console = terminal()
    console.print()
    console.print(results_table(results))
    print_reasons(console, results)
    console.print(Text(f"journals: {folder}", style="dim"), soft_wrap=True)
