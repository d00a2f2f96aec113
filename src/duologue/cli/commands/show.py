"""``duologue show``: read a journal, or the results of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import as_json, print_json, print_reasons, results_table, terminal
from duologue.conversation.result import result_of
from duologue.errors import JournalError
from duologue.journal.console import Transcript
from duologue.journal.jsonl import JournalFile, read_journal


def show(
    journal: Annotated[Path, typer.Argument(help="A journal (.jsonl), a run (.json), or a folder of them.")],
    as_json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Print every event, one JSON object a line.")] = False,
) -> int:
    """Show what a recorded run was: the conversation, what was checked and decided, the verdict."""
    if journal.is_dir():
        results = (journal / "index.json").is_file()
        return _show_results(journal, as_json_) if results else _show_folder(journal, as_json_)
    if journal.suffix == ".json":
        return _show_run(journal, as_json_)
    file = read_journal(journal)
    if events:
        typer.echo(journal.read_text(encoding="utf-8"), nl=False)
    elif as_json_:
        print_json({**as_json(result_of(file.view, journal)), "torn": file.torn})
    else:
        _print_transcript(file)
    return ExitCode.PASSED


def _show_results(folder: Path, as_json_: bool) -> int:
    from duologue.reports.files import read_execution, read_index
    from duologue.reports.terminal import print_execution

    if as_json_:
        print_json(read_index(folder))
    else:
        print_execution(read_execution(folder), folder=folder, console=terminal())
    return ExitCode.PASSED


def _show_run(path: Path, as_json_: bool) -> int:
    from duologue.reports.files import read_run_file
    from duologue.reports.transcript import print_run

    run = read_run_file(path)
    if as_json_:
        typer.echo(path.read_text(encoding="utf-8"))
    else:
        print_run(run, terminal())
    return ExitCode.PASSED


def _show_folder(folder: Path, as_json_: bool) -> int:
    paths = sorted(folder.rglob("*.jsonl"))
    if not paths:
        raise JournalError(f"{folder} holds no journal (*.jsonl)")
    results = [result_of(read_journal(path).view, path) for path in paths]
    if as_json_:
        print_json([as_json(result) for result in results])
        return ExitCode.PASSED
    console = terminal()
    console.print(results_table(results))
    print_reasons(console, results)
    return ExitCode.PASSED


def _print_transcript(file: JournalFile) -> None:
    console = terminal()
    transcript = Transcript(console, level=2)
    for entry in file.entries:
        transcript(entry)
    if file.torn:
        console.print(Text(f"The journal is incomplete: {file.torn}.", style="yellow"))
    elif not file.complete:
        console.print(Text("The journal is incomplete: the run did not come to its end.", style="yellow"))
    view = file.view
    cost = f", ${view.cost:.4f}" if view.cost else ""
    tokens = f"{view.usage.total_tokens} tokens{cost}"
    seed = view.started.seed if view.started else "?"
    console.print(Text(f"{view.model_calls} model calls, {tokens}; seed {seed}", style="dim"))
