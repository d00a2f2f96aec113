"""``duologue generate``: files of a suite, made from what there is already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.commands.generate_cases import cases, edit, metric
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo
from duologue.cli.recorded_files import recordings_in
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line

generate = typer.Typer(help="Scenarios from conversations, prompts and instructions.", no_args_is_help=True)
generate.command()(cases)
generate.command()(edit)
generate.command()(metric)


@generate.command()
def scenarios(
    sources: Annotated[
        list[Path],
        typer.Option("--from", help="Recording, or a folder of recordings, journals or results. Can be repeated."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the scenarios.")] = Path("scenarios"),
    format: Annotated[str | None, typer.Option(help="Format of the recordings. Default: found out.")] = None,
    criterion: Annotated[
        list[str], typer.Option("--criterion", help="Statement that a judge decides at the end. Can be repeated.")
    ] = [],  # noqa: B006 - typer's way
    expect_tools: Annotated[
        bool, typer.Option("--expect-tools", help="Check that the agent calls the tools that it called then.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many scenarios, the first ones.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> int:
    """Write a scenario for each recorded conversation: the user's lines become fixed turns. No model is called."""
    from duologue.suites.manifests.from_recordings import scenarios_from
    from duologue.suites.manifests.writer import write_scenarios

    made = scenarios_from(recordings_in(sources, format), criteria=criterion, expect_tools=expect_tools)[:limit]
    if not made:
        raise ConfigurationError(f"no user speaks in {', '.join(map(str, sources))}; expected recorded conversations")
    paths = write_scenarios(made, out, replace=force)
    echo(f"{len(paths)} {'scenario' if len(paths) == 1 else 'scenarios'}: {one_line(out)}/*.yaml")
    echo(f"Name them in a suite: scenarios: [{one_line(out.name)}/*.yaml]")
    if not all(item.checks or item.judged for item in made):
        echo("Some decide nothing yet: give them checks or criteria, here with --criterion or --expect-tools.")
    return ExitCode.PASSED
