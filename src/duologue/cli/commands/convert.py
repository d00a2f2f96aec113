"""``duologue convert``: a suite in any dialect, written in ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from duologue.cli.commands.validate import print_problems
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import terminal


def convert(
    path: Annotated[Path, typer.Argument(help="A suite or its folder, in any dialect: ours, or a PromptKit arena.")],
    out: Annotated[Path, typer.Argument(help="A folder, or a file such as shop.suite.yaml for all in one.")],
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> int:
    """Write a suite in Duologue's own dialect, and say what has no counterpart.

    A folder gets all that the suite reads, such as answers of mock models and recordings. A single file refers to them
    where they are. Exit code 2: the suite cannot be read, or files exist.
    """
    from duologue.suites.manifests.loading import usable, validate
    from duologue.suites.manifests.writing import write_suite

    report = validate(path)
    suite = usable(report)
    done = write_suite(suite, out, replace=force)
    console = terminal()
    for file in done.files:
        console.print(Text(f"{'copied' if file in done.copied else 'wrote'} {file}"), soft_wrap=True)
    if done.left:
        console.print(Text("\nThese paths lead to where the suite came from:", "bold"))
        for written in done.left:
            console.print(Text(f"  {written}"), soft_wrap=True)
    if report.warnings:
        console.print(Text("\nWorth knowing of what was read:", "bold"))
        print_problems(console, report.warnings)
    if suite.extensions:
        kept = ", ".join(suite.extensions)
        console.print(Text(f"\nKept under 'extensions', without effect: {kept}", "yellow"), soft_wrap=True)
    again = validate(done.main)
    if not again.ok:
        console.print(Text("\nWhat was written is not right yet:", "bold red"))
        print_problems(console, again.errors)
        return ExitCode.USAGE
    console.print(Text(f"\nRun it:  duologue run {done.main}"), soft_wrap=True)
    return ExitCode.PASSED
