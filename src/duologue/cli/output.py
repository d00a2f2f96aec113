"""How results look on a terminal: one line or one table for several, and JSON for programs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from duologue.conversation.result import ScenarioResult
from duologue.journal.console import VERDICT_STYLES, clean
from duologue.vocabulary import RunStatus

SHOWN_REASON = 200
"""Characters of a reason that a table shows; the journal has all of it."""


def terminal() -> Console:
    """Where people read."""
    return Console(highlight=False)


def print_json(value: object) -> None:
    """One JSON document on standard output, and nothing else."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")


def as_json(result: ScenarioResult) -> dict[str, object]:
    """A result as plain data, with the place of its journal."""
    return {**result.model_dump(mode="json"), "journal": str(result.journal) if result.journal else None}


def word_for(result: ScenarioResult) -> str:
    """``pass``, ``fail``, ``undecided``, or the status of a run that has no verdict."""
    return (result.verdict or result.status).value


def styled_word(result: ScenarioResult) -> Text:
    """That word in its colour."""
    return Text(word_for(result), style=VERDICT_STYLES[result.verdict] if result.verdict else "bold red")


def results_table(results: Sequence[ScenarioResult], title: str | None = None) -> Table:
    """A row for each run: what it came to and why."""
    table = Table(title=title, title_justify="left", header_style="bold", expand=False)
    for column in ("scenario", "verdict", "ended by", "turns", "time", "why"):
        table.add_column(column, justify="right" if column in {"turns", "time"} else "left")
    for result in results:
        seconds = f"{result.total_time:.1f} s" if result.total_time is not None else ""
        ended = result.termination.value if result.termination else ""
        name = Text(clean(result.scenario or ""))
        table.add_row(name, styled_word(result), ended, str(result.turns), seconds, Text(why(result)))
    return table


def why(result: ScenarioResult) -> str:
    """The reason of a result, shortened."""
    text = clean(result.error.message if result.error else result.reasoning or "")
    return text if len(text) <= SHOWN_REASON else text[: SHOWN_REASON - 1] + "…"


def totals(results: Sequence[ScenarioResult]) -> dict[str, int]:
    """How many runs came to what; every run is in exactly one of them."""
    counts = Counter(word_for(result) for result in results)
    words = ["pass", "fail", "undecided", RunStatus.ERROR.value, RunStatus.CANCELLED.value]
    return {"runs": len(results), **{word: counts[word] for word in words}}
