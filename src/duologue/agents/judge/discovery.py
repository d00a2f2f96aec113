"""Judging what is too long to be read in one go: an outline, and two tools to look things up, for a number of steps.

What was looked up is then told as plain text, so that the judgement itself is asked for without tools, as any other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from duologue.agents.judge.asking import Asker
from duologue.agents.judge.transcript import Entry
from duologue.messages import Message, ToolCall, arguments_of, text_of, tool_calls_of, tool_message, user_message
from duologue.models.base import ModelAnswer, ToolSpec
from duologue.models.tokens import BYTES_PER_TOKEN, estimate_tokens

LONGEST_RESULT = 16384
"""Characters of one tool result."""
_MOST_MATCHES = 20
_MOST_CALLS = 8
"""Of one message; what is called beyond that is not looked up."""
_AROUND = 200
"""Characters shown on either side of a match."""
_SHORTEST_PREVIEW = 40

_NO_STEPS_LEFT = "There is nothing more to look up. Give your judgement now, from what you have seen."
_HOW_TO = """\
The record is too long to be shown in full. Long entries are cut and marked with the number of their characters. Look \
up what the criteria need with the tools expand and grep, then answer with the JSON object."""

EXPAND = ToolSpec(
    name="expand",
    description="Show entries of the transcript or of the traces in full.",
    parameters={
        "type": "object",
        "properties": {
            "ids": {"type": "array", "items": {"type": "string"}, "description": 'Such as "m3"; of spans the id.'}
        },
        "required": ["ids"],
        "additionalProperties": False,
    },
)
GREP = ToolSpec(
    name="grep",
    description=f"Find a text, not a pattern, in all entries; upper and lower case are the same. Shows up to "
    f"{_MOST_MATCHES} entries.",
    parameters={
        "type": "object",
        "properties": {"pattern": {"type": "string"}},
        "required": ["pattern"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, kw_only=True)
class Explored:
    """What looking things up came to.

    Attributes:
        messages: the request for a judgement, what was looked up included, without tools.
        answer: a first answer to it, if the model has given one.
        steps: how often it was asked.
    """

    messages: list[Message]
    answer: ModelAnswer | None
    steps: int


def tokens_in(entries: Sequence[Entry]) -> int:
    """Estimated tokens of all entries together."""
    return sum(estimate_tokens(entry.text) for entry in entries)


def outline(entries: Sequence[Entry], tokens: int) -> str:
    """All entries within about so many tokens: short ones whole, long ones cut, and if need be some left out."""
    room = tokens * BYTES_PER_TOKEN
    each = max(_SHORTEST_PREVIEW, room // max(1, len(entries)))
    lines = [_preview(entry, each) for entry in entries]
    most = max(2, room // _SHORTEST_PREVIEW)
    if len(lines) > most:
        left_out = f"({len(lines) - most} entries are left out here: use grep, or expand with their ids)"
        lines = [*lines[: most // 2], left_out, *lines[-(most // 2) :]]
    return "\n".join(lines)


async def explore(asker: Asker, messages: Sequence[Message], entries: Sequence[Entry], max_steps: int) -> Explored:
    """Let the model look things up until it answers, or for so many steps.

    Raises:
        ModelError: the model did not answer.
    """
    messages = [*messages, user_message(_HOW_TO)]
    history: list[Message] = []
    for step in range(1, max_steps + 1):
        request = asker.choice.request(
            [*messages, *history], tools=(EXPAND, GREP), temperature=asker.temperature, seed=asker.seed
        )
        answer = await asker.answer(request)
        if not answer.tool_calls:
            return Explored(messages=[*messages, *_told(history)], answer=answer, steps=step)
        history += [answer.message, *_results(answer.tool_calls, entries)]
    asked = [*messages, *_told(history), user_message(_NO_STEPS_LEFT)]
    return Explored(messages=asked, answer=None, steps=max_steps)


def look_up(call: ToolCall, entries: Sequence[Entry]) -> str:
    """What a tool answers."""
    name, arguments = call["function"]["name"], arguments_of(call)
    ids, pattern = arguments.get("ids"), arguments.get("pattern")
    if name == EXPAND.name and isinstance(ids, list):
        found = _expanded([str(item) for item in cast("list[object]", ids)], entries)
    elif name == GREP.name and isinstance(pattern, str) and pattern.strip():
        found = _matches(pattern.strip(), entries)
    else:
        return 'Nothing was looked up: the tools are expand {"ids": ["m1"]} and grep {"pattern": "text"}.'
    return _cut(found)


def _results(calls: Sequence[ToolCall], entries: Sequence[Entry]) -> list[Message]:
    looked_up = [look_up(call, entries) for call in calls[:_MOST_CALLS]]
    looked_up += [f"Not looked up: at most {_MOST_CALLS} calls at a time."] * (len(calls) - len(looked_up))
    return [tool_message(call["id"], found) for call, found in zip(calls, looked_up, strict=True)]


def _expanded(ids: Sequence[str], entries: Sequence[Entry]) -> str:
    wanted = [item.strip().strip("[]").lower() for item in ids]
    by_id = {entry.id.lower(): entry for entry in entries}
    missing = [item for item in wanted if _named(item, by_id) is None]
    found = [entry.text for item in dict.fromkeys(wanted) if (entry := _named(item, by_id))]
    if missing:
        found.append(f"No entry has the id {', '.join(map(repr, missing))}.")
    return "\n".join(found) or "No ids were given."


def _named(name: str, by_id: dict[str, Entry]) -> Entry | None:
    """The entry of that id; a span also by its full id, of which the shown one is the beginning."""
    if name in by_id:
        return by_id[name]
    return next((entry for id, entry in by_id.items() if not id.startswith("m") and name.startswith(id)), None)


def _matches(pattern: str, entries: Sequence[Entry]) -> str:
    found = [snippet for entry in entries if (snippet := _snippet(pattern.lower(), entry))]
    if not found:
        return f"No entry has the text {json.dumps(pattern, ensure_ascii=False)}."
    more = len(found) - _MOST_MATCHES
    return "\n".join([*found[:_MOST_MATCHES], *([f"({more} more entries have it)"] if more > 0 else [])])


def _snippet(pattern: str, entry: Entry) -> str:
    for line in entry.lines:
        text = entry.head + line
        at = text.lower().find(pattern)
        if at >= 0:
            start, end = max(0, at - _AROUND), at + len(pattern) + _AROUND
            return f"[{entry.id}] {'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
    return ""


def _preview(entry: Entry, characters: int) -> str:
    text = entry.text
    if len(text) <= characters:
        return text
    first = text[:characters].rstrip("\\")
    return " ".join(first.splitlines()) + f"… ({len(text)} characters in all)"


def _cut(text: str) -> str:
    if len(text) <= LONGEST_RESULT:
        return text
    hint = f"\n… cut: {len(text)} characters in all. Ask for fewer entries, or use grep."
    return text[: LONGEST_RESULT - len(hint)] + hint


def _told(history: Sequence[Message]) -> list[Message]:
    """Calls and results as one message of plain text: providers want tools with a history that has tool calls."""
    if not history:
        return []
    calls = {call["id"]: call["function"] for message in history for call in tool_calls_of(message)}
    parts: list[str] = []
    for message in history:
        if message["role"] != "tool":
            continue
        function = calls[message.get("tool_call_id", "")]
        parts.append(f"{function['name']} {function['arguments']}\n{text_of(message)}")
    return [user_message("What you have looked up so far:\n\n" + "\n\n".join(parts))]
