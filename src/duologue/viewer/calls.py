"""What happened in a run, read from its journal: model calls, tools, messages and checks with their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from duologue.journal.events import CheckEvaluated, Entry, MessageAdded, ModelCalled, ToolCalled
from duologue.journal.jsonl import read_journal
from duologue.messages import text_of, tool_calls_of

Json = dict[str, Any]

_LONGEST = 20_000
_MOST = 5000


def timeline_of(path: Path) -> list[Json]:
    """The events of a journal that people look for, in order.

    Raises:
        JournalError: it cannot be read.
    """
    entries = read_journal(path).entries
    return list(_events(entries))[:_MOST]


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
