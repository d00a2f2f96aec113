"""How reports display outcomes and numbers: marks and styles, money, time, shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from duologue.journal.events import cut_mark
from duologue.messages import text_of
from duologue.stats.proportion import percent
from duologue.suites.results.failures import reason_of
from duologue.suites.results.run import MessageResult, RunResult, Spent
from duologue.terminal_text import one_line

OUTCOMES = ("pass", "fail", "undecided", "error", "cancelled")
"""The words of :attr:`RunResult.outcome`, in the order in which reports show them."""

NOT_RUN = "not run"
"""In place of an outcome, for a test case of the plan that was not started."""

MARKS = {"pass": "✓", "fail": "✗", "undecided": "?", "error": "!", "cancelled": "–", NOT_RUN: "·"}
"""One character for each of them, so that nobody has to tell colours apart."""

STYLES = {
    "pass": "green",
    "fail": "red",
    "undecided": "yellow",
    "error": "magenta",
    "cancelled": "dim",
    NOT_RUN: "dim",
}
"""How a terminal shows each of them."""


STOPPING = "Stopping: runs that are under way finish. Ctrl-C again cancels them."
"""Shown when somebody asks an execution to stop."""
CANCELLING = "Cancelling the runs that are under way."
"""Shown when somebody asks a second time."""

_REASON = 160
"""Characters of a reason on a line of progress."""


def text_of_message(item: MessageResult) -> str:
    """The text of a message, marked where its author was cut off."""
    said = text_of(item.message)
    return f"{said} {cut_mark(item.cut)}" if item.cut else said


def money(dollars: float, unpriced: int = 0) -> str:
    """US dollars with as many digits as matter. ``+`` where calls without a price are left out."""
    digits = 2 if dollars >= 10 or not dollars else 4
    return f"${dollars:,.{digits}f}" + ("+" if unpriced else "")


def duration(seconds: float) -> str:
    """``320 ms``, ``4.2 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def share(rate: float | None) -> str:
    """A share as a percentage; ``–`` where it is not known."""
    return "–" if rate is None else percent(rate)


def plural(count: int, word: str) -> str:
    """``1 run``, ``3 runs``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def run_line(result: RunResult) -> str:
    """``✗ booking · gpt-5  4.1 s  why it did not pass``."""
    reason = one_line(reason_of(result), _REASON)
    line = f"{MARKS[result.outcome]} {one_line(result.case.title)}  {duration(result.seconds)}"
    return f"{line}  {reason}" if reason else line


_TECHNICAL = {"source", "format", "index", "agent", "model", "tags", "seed", "run_id", "complete", "warnings"}


def recorded_facts(run: RunResult) -> list[tuple[str, str]]:
    """What the source says about a recording, for people: ``(reward, 1.0)``, ``(task_id, 3)``, ``(score match, I)``.

    What was left out of it is among them, as ``warning``.
    """
    if run.recording is None:
        return []
    facts = run.recording.facts
    found = [(name, str(value)) for name, value in facts.items() if name not in _TECHNICAL and _is_plain(value)]
    scores: object = facts.get("scores")
    if isinstance(scores, Mapping):
        named = cast("Mapping[str, object]", scores).items()
        found += [(f"score {name}", str(value)) for name, value in named if _is_plain(value)]
    warnings: object = facts.get("warnings")
    told = cast("list[object]", warnings) if isinstance(warnings, (list, tuple)) else []
    return [*found, *(("warning", str(text)) for text in told)]


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float))


def recorded_cost(spent: Spent) -> str:
    """``$0.50 and 1,200 tokens recorded``: what the source says that the conversation took; '' if it says nothing."""
    parts = [money(spent.cost, spent.unpriced)] if spent.cost else []
    parts += [f"{spent.usage.total_tokens:,} tokens"] if spent.usage.total_tokens else []
    return f"{' and '.join(parts)} recorded" if parts else ""
