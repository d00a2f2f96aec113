"""``duologue show``: read a journal, or the results of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import as_json, echo, print_json, print_reasons, print_table, results_table, say, terminal
from duologue.config.problems import similar_file
from duologue.conversation.result import result_of
from duologue.errors import ConfigurationError, JournalError
from duologue.journal.jsonl import JournalFile, read_journal
from duologue.terminal_text import json_text, one_line


def show(
    journal: Annotated[
        Path, typer.Argument(metavar="PATH", help="A journal (.jsonl), a run (.json), or a folder of them.")
    ],
    as_json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Print every event, one JSON object a line.")] = False,
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the recording of a voice run: .wav, .mp3, .flac or .ogg; a folder for segments and a manifest.",
        ),
    ] = None,
) -> int:
    """Show a recorded run: the conversation, its checks and decisions, and the verdict.

    For the folder of an execution, show its results; for a folder of such folders, one line for each.
    """
    from duologue.runs.store.from_journals import holds_journals
    from duologue.runs.store.reader import executions_in, holds_results

    if not journal.exists():
        raise ConfigurationError(
            f"{journal} does not exist; expected a journal, a run, or a folder of them{similar_file(journal)}"
        )
    if audio is not None:
        from duologue.cli.recordings import export_recording

        export_recording(journal, audio)
        return ExitCode.PASSED
    if events and (journal.is_dir() or journal.suffix == ".json"):
        raise ConfigurationError(_no_events(journal))
    if journal.is_dir():
        if holds_results(journal) or (holds_journals(journal) and not as_json_):
            return _show_results(journal, as_json_)
        inner = executions_in(journal)
        return _show_executions(inner, as_json_) if inner else _show_folder(journal, as_json_)
    if journal.name in {"index.json", "launch.json"} and holds_results(journal.parent):
        return _show_results(journal.parent, as_json_)
    if journal.suffix == ".json":
        return _show_run(journal, as_json_)
    if journal.suffix in {".xml", ".html", ".md", ".yaml", ".yml"}:
        raise ConfigurationError(
            f"{journal} is not a recording; expected a journal (.jsonl), a run (.json), or a folder"
        )
    file = read_journal(journal)
    if events:
        _print_lines(journal)
    elif as_json_:
        print_json({**as_json(result_of(file.view, journal)), "torn": file.torn, "missing": list(file.missing)})
    else:
        _print_journal(file)
    return ExitCode.PASSED


def _no_events(path: Path) -> str:
    """What ``--events`` needs instead of this folder or run."""
    from duologue.journal.artifacts import JOURNALS

    beside = path.parent.parent / JOURNALS / f"{path.stem}.jsonl"
    inner = sorted(path.glob(f"{JOURNALS}/*.jsonl")) or sorted(path.glob("*.jsonl")) if path.is_dir() else [beside]
    found = next((item for item in inner if item.is_file()), None)
    named = f", such as {found}" if found else ""
    kind = "folder" if path.is_dir() else "result"
    return f"--events prints a journal (.jsonl), and {path} is a {kind}; name one{named}"


def _show_results(folder: Path, as_json_: bool) -> int:
    from duologue.reports.terminal import print_execution
    from duologue.runs.store.calibrated import with_calibration
    from duologue.runs.store.encoding import index_of
    from duologue.runs.store.reader import find_execution

    found = with_calibration(find_execution(folder))
    for problem in found.problems:
        echo(f"Note: {one_line(problem)}", err=True)
    if as_json_:
        print_json(index_of(found.execution))
    else:
        print_execution(found.execution, folder=folder)
    return ExitCode.PASSED


def _show_executions(folders: Sequence[Path], as_json_: bool) -> int:
    """A line for each execution; one that cannot be read says why, and hides none of the others."""
    from duologue.reports.lines import printer
    from duologue.reports.terminal import execution_line
    from duologue.runs.store.encoding import index_of
    from duologue.runs.store.reader import find_execution

    out, found = printer(), list[dict[str, object]]()
    for folder in folders:
        try:
            execution = find_execution(folder).execution
        except ConfigurationError as error:
            echo(f"Note: {one_line(error)}", err=True)
            continue
        found.append({**index_of(execution), "folder": str(folder)} if as_json_ else {})
        if not as_json_:
            out(execution_line(execution, folder))
    if as_json_:
        print_json(found)
    return ExitCode.PASSED


def _show_run(path: Path, as_json_: bool) -> int:
    from duologue.reports.terminal import print_run
    from duologue.runs.store.reader import read_run_file

    run = read_run_file(path)
    if as_json_:
        _print_lines(path)
    else:
        print_run(run)
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
    print_table(console, results_table(results))
    print_reasons(console, results)
    return ExitCode.PASSED


def _print_lines(path: Path) -> None:
    """A file of JSON as it is, but for escapes in it. What is no JSON in it is not left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            echo(json_text(line.removesuffix("\n")))


def _print_journal(file: JournalFile) -> None:
    """The run of a journal, as its result is shown, and what the journal says besides."""
    from duologue.journal.events import MessagesRolledBack
    from duologue.reports.terminal import print_run
    from duologue.runs.store.from_journals import run_of

    print_run(run_of(file))
    console = terminal()
    taken = [
        name
        for entry in file.entries
        if isinstance(entry.event, MessagesRolledBack)
        for name in entry.event.message_ids
    ]
    if taken:
        say(console, f"taken back: {', '.join(map(one_line, taken))}", "dim")
    for problem in file.missing:
        say(console, one_line(problem), "yellow")
    if file.torn:
        say(console, f"The journal is incomplete: {one_line(file.torn)}.", "yellow")
    elif not file.complete:
        say(console, "The journal is incomplete: the run did not finish.", "yellow")
