"""What happened in a run, read from its journal: model calls, tools, messages and checks with their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from duologue.errors import JournalError
from duologue.journal.events import CheckEvaluated, Entry, MessageAdded, ModelCalled, ToolCalled
from duologue.journal.jsonl import read_journal
from duologue.messages import text_of, tool_calls_of
from duologue.reports.html.overview import inside
from duologue.runs.store.encoding import encoded
from duologue.suites.results.run import RunResult

Json = dict[str, Any]

_LONGEST = 20_000
_MOST = 5000
_SHORT = 2000
_ALTOGETHER = 3_000_000
"""Bytes of all timelines in one page."""
_RUNS = 300
"""Journals that are read for one page."""


def timeline_of(path: Path, longest: int = _LONGEST) -> list[Json]:
    """The events of a journal that people look for, in order.

    Args:
        path: of the journal.
        longest: characters of a text.

    Raises:
        JournalError: it cannot be read.
    """
    return timeline_of_entries(read_journal(path).entries, longest)


def timeline_of_entries(entries: Sequence[Entry], longest: int = _LONGEST) -> list[Json]:
    """:func:`timeline_of` for a journal that was read already."""
    found = list(islice(_events(entries), _MOST))
    return [{**event, "text": _cut(event["text"], longest)} for event in found]


class Timelines:
    """The timelines that are put into one page, until it is full: those of runs that did not pass come first.

    Args:
        folder: of the results; None for none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def of(self, runs: Iterable[RunResult]) -> dict[str, list[Json]]:
        """By the ids of the runs; without those that have no journal or no room."""
        if self._folder is None:
            return {}
        found: dict[str, list[Json]] = {}
        left = _ALTOGETHER
        for run in sorted(runs, key=lambda run: run.outcome == "pass")[:_RUNS]:
            place = inside(run.journal)
            if place is None or left <= 0:
                continue
            try:
                events = timeline_of(self._folder / place, longest=_SHORT)
            except (JournalError, OSError):
                continue
            left -= len(encoded(events))
            if left > 0:
                found[run.run_id] = events
        return found


def _events(entries: Iterable[Entry]) -> Iterator[Json]:
    began: float | None = None
    for entry in entries:
        began = entry.at if began is None else began
        found = _event(entry)
        if found is not None:
            yield {"seq": entry.seq, "at": max(0.0, entry.at - began), **found}


def _event(entry: Entry) -> Json | None:
    match entry.event:
        case ModelCalled() as call:
            return _model_call(call)
        case ToolCalled() as call:
            told = call.error or call.content or call.result
            return {
                "kind": "tool", "name": call.name, "turn": call.turn, "seconds": call.seconds,
                "error": call.error, "arguments": call.arguments, "text": _cut(str(told or "")),
            }  # fmt: skip
        case MessageAdded() as added:
            text = text_of(added.message) or ", ".join(
                f"{item['function']['name']}(…)" for item in tool_calls_of(added.message)
            )
            return {
                "kind": "message", "name": added.message["role"], "turn": added.turn, "message": added.message_id,
                "text": _cut(text, 200),
            }  # fmt: skip
        case CheckEvaluated() as check:
            return {
                "kind": "check", "name": check.name, "turn": check.turn, "status": check.status.value,
                "text": _cut(check.explanation, 200),
            }  # fmt: skip
        case _:
            return None


def _model_call(call: ModelCalled) -> Json:
    response = call.response
    calls = tool_calls_of(response) if response is not None else []
    return {
        "kind": "model",
        "name": call.asker,
        "turn": call.turn,
        "model": call.model,
        "seconds": call.seconds,
        "input": call.usage.input_tokens,
        "output": call.usage.output_tokens,
        "cost": call.cost,
        "attempts": call.attempts,
        "replayed": call.replayed,
        "error": call.error,
        "finish": call.finish_reason,
        "digest": call.request_digest,
        "text": _cut(text_of(response) if response is not None else call.refusal or ""),
        "calls": [{"name": item["function"]["name"], "args": item["function"]["arguments"]} for item in calls],
    }


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
