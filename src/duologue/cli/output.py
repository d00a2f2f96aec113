"""How results look on a terminal: a line or a table, and JSON for programs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from duologue.config.files import short_path
from duologue.terminal_text import BAR, continued, json_text, one_line, printable
from duologue.vocabulary import RunStatus

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from duologue.conversation.result import ScenarioResult


def response_file(written: str | None) -> str | None:
    """The value of ``--mock``. An option that follows it at once would be taken for the name of the file."""
    if written is not None and written.startswith("-"):
        raise typer.BadParameter(
            f"found {written!r}; expected a response file. Fixed answers without a file are --mock-all"
        )
    return written


_WIDEST = 2_000
"""Characters of a table that is printed to a file."""


def terminal() -> Console:
    """The console that results are printed on."""
    from rich.console import Console

    return Console(highlight=False)


def print_json(value: object) -> None:
    """One JSON document on standard output, and nothing else; escaped where not every character can be written.

    Those that steer a terminal or turn round what is read are escaped everywhere.
    """
    everything = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    for piece in json.JSONEncoder(indent=2, ensure_ascii=not everything, default=str).iterencode(value):
        sys.stdout.write(json_text(piece))
    sys.stdout.write("\n")


def listed_names(options: Sequence[str]) -> list[str]:
    """The names that a repeatable option was given, each time one or several with commas between them."""
    return [name for item in options for name in item.split(",") if name]


def echo(text: object, *, err: bool = False) -> None:
    """A line of plain text, on standard output or standard error."""
    typer.echo(printable(text), err=err)


def say(console: Console, line: Text | str, style: str = "") -> None:
    """A line that is not broken; with a bar before it where it would begin as a command to a CI service does."""
    from rich.text import Text

    text = Text(printable(line), style=style) if isinstance(line, str) else line
    if printable(text.plain) != text.plain:
        text = Text(BAR).append_text(text)
    console.print(text, soft_wrap=True)


def columns(console: Console, rows: Sequence[Sequence[Text]]) -> None:
    """Rows of texts below each other, each row on one line that is never wrapped, whatever it holds."""
    from rich.text import Text

    guarded = [[Text(one_line(cell.plain), style=cell.style) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*guarded, strict=True)]
    for row in guarded:
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell.cell_len + 2))
        line.rstrip()
        say(console, line)


def print_table(console: Console, table: Table) -> None:
    """A table. Where no terminal limits its width, nothing in it is broken, so that it can be copied and searched."""
    width = console.width
    if not console.is_terminal:
        console.width = _WIDEST
    try:
        console.print(table)
    finally:
        console.width = width


def as_shown(files: Sequence[Path], folder: Path, shown: Path) -> list[Path]:
    """The files, named as the folder of the results was."""
    return [shown / file.relative_to(folder) if file.is_relative_to(folder) else file for file in files]


def as_json(result: ScenarioResult) -> dict[str, object]:
    """A result as plain data, with the place of its journal."""
    return {**result.model_dump(mode="json"), "journal": short_path(result.journal) if result.journal else None}


def word_for(result: ScenarioResult) -> str:
    """``pass``, ``fail``, ``undecided``, or the status of a run that has no verdict."""
    return (result.verdict or result.status).value


def styled_word(result: ScenarioResult) -> Text:
    """That word in its colour."""
    from rich.text import Text

    from duologue.journal.console import VERDICT_STYLES

    return Text(word_for(result), style=VERDICT_STYLES[result.verdict] if result.verdict else "bold red")


def results_table(results: Sequence[ScenarioResult]) -> Table:
    """A row for each run."""
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    table.add_column("scenario", overflow="fold")
    table.add_column("verdict")
    table.add_column("ended by")
    table.add_column("turns", justify="right")
    table.add_column("time", justify="right")
    for result in results:
        ended = result.termination.value if result.termination else ""
        name = Text(one_line(result.scenario or ""))
        table.add_row(name, styled_word(result), ended, str(result.turns), seconds_of(result))
    return table


def print_reasons(console: Console, results: Sequence[ScenarioResult]) -> None:
    """A paragraph for each run that did not pass: why, and where its journal is."""
    from rich.text import Text

    for result in results:
        if result.success:
            continue
        reason = continued(result.error.message if result.error else result.reasoning or "")
        say(console, Text(f"{one_line(result.scenario or '')}: ", style="bold").append(Text(reason)))
        if result.journal:
            say(console, f"  duologue show {one_line(short_path(result.journal))}", "dim")


def seconds_of(result: ScenarioResult) -> str:
    """How long a run took."""
    return "" if result.total_time is None else f"{result.total_time:.1f} s"


def totals(results: Sequence[ScenarioResult]) -> dict[str, int]:
    """How many runs had which outcome; every run is counted exactly once."""
    counts = Counter(word_for(result) for result in results)
    words = ["pass", "fail", "undecided", RunStatus.ERROR.value, RunStatus.CANCELLED.value]
    return {"runs": len(results), **{word: counts[word] for word in words}}
