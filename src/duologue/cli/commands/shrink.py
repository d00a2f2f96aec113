"""``duologue shrink``: the shortest script that still fails, kept as a regression case."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.recorded_run import (
    AgentOption,
    CriterionOption,
    JobsOption,
    JsonOption,
    Loaded,
    MockAllOption,
    MockOption,
    ModelOption,
    RunArgument,
    SuiteOption,
    interval,
    load_run,
    proportion_data,
)
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.suites.forks.shrink import Shrunk

FOLDER = Path("regressions")
"""Where regression cases are kept, unless another file is named."""


def shrink(
    run: RunArgument,
    trials: Annotated[int, typer.Option("-k", "--trials", min=1, help="How often each candidate is played.")] = 5,
    share: Annotated[
        float, typer.Option("--share", "-p", min=0, max=1, help="Share of the trials that must fail in the same way.")
    ] = 0.8,
    failure: Annotated[
        list[str],
        typer.Option("--failure", help="Name of a check or criterion that must fail. Default: all that come again."),
    ] = [],  # noqa: B006 - typer's way
    keep: Annotated[list[str], typer.Option("--keep", help="Keep turns whose line has this text. Repeatable.")] = [],  # noqa: B006
    passing: Annotated[
        str | None, typer.Option("--passing", help="An agent of the suite that is right, and must pass what is left.")
    ] = None,
    words: Annotated[bool, typer.Option(help="Leave out single words, too.")] = True,
    max_runs: Annotated[int, typer.Option(min=1, help="Stop with what has been found after this many runs.")] = 2000,
    agent: AgentOption = None,
    model: ModelOption = None,
    suite: SuiteOption = None,
    criterion: CriterionOption = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File of the regression case (.yaml). Default: in regressions/.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite that file.")] = False,
    mock: MockOption = None,
    mock_all: MockAllOption = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Reduce a run that failed to the shortest script that still fails, and keep it as a regression case.

    Turns are left out, then words; where the failure needs a simulated user, what that user knows. Each candidate is
    played several times, and counts if enough of its trials fail in the same checks and criteria.
    """
    from duologue.suites.forks.shrink import ShrinkOptions, failures_in
    from duologue.suites.forks.shrink import shrink as reduce
    from duologue.suites.manifests.loader import load
    from duologue.suites.manifests.writer import write_suite
    from duologue.suites.runner.definition import DEFAULT_CONCURRENCY

    loaded = load_run(run, suite=suite, agent=agent, model=model, criteria=criterion, mock=mock, mock_all=mock_all)
    target = out or FOLDER / f"{_slug(loaded.located.run.run_id)}.suite.yaml"
    _require_new(target, force=force)
    options = ShrinkOptions(
        trials=trials,
        share=share,
        words=words,
        keep=keep,
        failures=failure,
        reference=passing,
        most_runs=max_runs,
        concurrency=jobs or loaded.engine.suite.defaults.concurrency or DEFAULT_CONCURRENCY,
    )

    def tell(line: str) -> None:
        echo(line, err=as_json)

    async def play() -> Shrunk:
        async with loaded.engine:
            entries = loaded.located.journal.entries
            failed = failures_in(loaded.located.run)
            return await reduce(loaded.engine, loaded.case, entries, failed, options, progress=tell)

    found = asyncio.run(play())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_suite(found.suite, target, replace=force)
    load(target)  # what was written can be run
    if as_json:
        print_json(_data(loaded, found, target))
    else:
        _print(found, target)
    return ExitCode.PASSED


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"


def _require_new(target: Path, *, force: bool) -> None:
    from duologue.errors import ConfigurationError

    if target.suffix not in {".yaml", ".yml"}:
        raise ConfigurationError(f"--out: found {target}; expected a file such as {FOLDER}/refund.suite.yaml")
    if target.exists() and not force:
        raise ConfigurationError(f"{target} already exists; choose another with --out, or replace it with --force")


def _print(found: Shrunk, target: Path) -> None:
    names = "; ".join(f"{kind} '{one_line(name)}'" for kind, name in found.failures)
    echo(f"What fails: {names}")
    if found.turns is not None:
        echo(f"Turns: {found.turns_before} → {found.turns}. Words: {found.words_before} → {found.words}.")
        for turn in found.scenario.turns:
            echo(f"  {one_line(turn.content or '(media)')}")
    else:
        echo(f"Facts of the simulated user: {found.facts_before} → {found.facts}.")
    echo(f"Fails in {interval(found.failing)} new trials. {found.runs} runs were played.")
    for note in found.notes:
        echo(f"Note: {note}")
    echo(f"Kept as a regression case:  duologue run {quote(one_line(target))}")


def _data(loaded: Loaded, found: Shrunk, target: Path) -> dict[str, Any]:
    failing = proportion_data(found.failing)
    failing["failed"] = failing.pop("passed")
    return {
        "run_id": loaded.located.run.run_id,
        "failures": [{"kind": kind, "name": name} for kind, name in found.failures],
        "turns": {"before": found.turns_before, "after": found.turns},
        "words": {"before": found.words_before, "after": found.words},
        "facts": {"before": found.facts_before, "after": found.facts},
        "lines": [turn.content for turn in found.scenario.turns],
        "failing": failing,
        "runs": found.runs,
        "notes": list(found.notes),
        "suite": str(target),
    }
