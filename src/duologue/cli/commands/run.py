"""``duologue run``: play what a function plays, and say what came of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, cast

import typer
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


def run(
    target: Annotated[str, typer.Argument(help="FILE.py::function", metavar="TARGET")],
    out: Annotated[Path, typer.Option(help="Folder for the journals; each launch gets one of its own.")] = DEFAULT_OUT,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no transcript.")] = False,
    seed: Annotated[int | None, typer.Option(help="Every random choice derives from it.")] = None,
    max_turns: Annotated[int | None, typer.Option(min=1, help="Turns after which a conversation ends.")] = None,
) -> int:
    """Play the scenarios of a function: those that it runs itself, or those that it returns, prepared.

    The function takes no arguments and may be async. It calls duologue.run(…) as a test does, or returns one
    duologue.prepare(…) or a list of them.
    """
    function = load_target(target)
    folder = out / Context().ids.new("exec")
    verbose = False if quiet or as_json_ else 1
    ScenarioConfig.configure(record=folder, verbose=verbose, seed=seed, max_turns=max_turns)
    results, failure = _play(function)
    if not results:
        if failure is not None:
            raise failure
        raise TargetError(f"{target} played no scenario: it must call duologue.run(…), or return duologue.prepare(…)")
    if as_json_:
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
