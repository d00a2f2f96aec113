"""What a judge reads: the conversation and the agent's traces, in full or in outline with tools to look things up.

What the model has looked up is then given to it as plain text, so that the judgement itself is asked for without tools,
as any other. Where traces come from is up to whoever implements :class:`TraceSource`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Protocol, cast, runtime_checkable
from weakref import WeakKeyDictionary

from duologue.agents.judge._prompt import JudgeModel
from duologue.conversation.result import ScenarioState
from duologue.frozen import frozen
from duologue.messages import Message, ToolCall, arguments_of, text_of, tool_calls_of, tool_message, user_message
from duologue.models.base import ModelAnswer, ToolSpec
from duologue.models.scope import BYTES_PER_TOKEN, estimate_tokens
from duologue.tracing.collector import SpanRecord
from duologue.transcripts.rendering import KnownEntries, TranscriptEntry, compact, entries_of, quoted

ID_LENGTH = 8
"""Characters of a span's id that a judge is shown and may cite."""
LONGEST_RESULT = 16384
"""Characters of one tool result."""
_MOST_MATCHES = 20
_MOST_CALLS = 8
"""Tool calls of one message that are answered."""
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


@frozen
class Lookups:
    """The result of looking things up."""

    messages: list[Message]
    """The request for a judgement, with everything that was looked up, without tools."""
    answer: ModelAnswer | None
    """A first answer to it, if the model has given one."""


@runtime_checkable
class TraceSource(Protocol):
    """Provides the spans of a conversation."""

    def spans(self, thread_id: str) -> Sequence[SpanRecord]:
        """The spans of that conversation so far, in any order. Must not block."""
        ...


def conversation_entries(messages: Sequence[Message], state: ScenarioState) -> list[TranscriptEntry]:
    """The conversation of a run. A judge reads all of it in every turn, so entries are kept as long as the state."""
    return entries_of(messages, state.view.records, _known.setdefault(state, {}))


_known: WeakKeyDictionary[ScenarioState, KnownEntries] = WeakKeyDictionary()


def span_entries(spans: Sequence[SpanRecord]) -> list[TranscriptEntry]:
    """The spans as a tree: parents before their children, siblings by start, children indented."""
    return [_span_entry(span, depth) for span, depth in _tree(spans)]


def tokens_in(entries: Sequence[TranscriptEntry]) -> int:
    """Estimated tokens of all entries together."""
    return sum(estimate_tokens(entry.text) for entry in entries)


def outline(entries: Sequence[TranscriptEntry], tokens: int) -> str:
    """All entries within about that many tokens: short ones whole, long ones cut, and if need be some left out."""
    room = tokens * BYTES_PER_TOKEN
    each = max(_SHORTEST_PREVIEW, room // max(1, len(entries)))
    lines = [_preview(entry, each) for entry in entries]
    most = max(2, room // _SHORTEST_PREVIEW)
    if len(lines) > most:
        left_out = f"({len(lines) - most} entries are left out here: use grep, or expand with their ids)"
        lines = [*lines[: most // 2], left_out, *lines[-(most // 2) :]]
    return "\n".join(lines)


async def look_things_up(
    model: JudgeModel, messages: Sequence[Message], entries: Sequence[TranscriptEntry], max_steps: int
) -> Lookups:
    """Let the model look things up until it answers, for at most ``max_steps`` requests.

    Raises:
        ModelError: the model did not answer.
    """
    messages = [*messages, user_message(_HOW_TO)]
    history: list[Message] = []
    for _ in range(max_steps):
        answer = await model.answer([*messages, *history], tools=(EXPAND, GREP))
        if not answer.tool_calls:
            return Lookups(messages=[*messages, *_as_text(history)], answer=answer)
        history += [answer.message, *_results(answer.tool_calls, entries)]
    asked = [*messages, *_as_text(history), user_message(_NO_STEPS_LEFT)]
    return Lookups(messages=asked, answer=None)


def look_up(call: ToolCall, entries: Sequence[TranscriptEntry]) -> str:
    """The result of a tool call."""
    name, arguments = call["function"]["name"], arguments_of(call)
    ids, pattern = arguments.get("ids"), arguments.get("pattern")
    if name == EXPAND.name and isinstance(ids, list):
        found = _expanded([str(item) for item in cast("list[object]", ids)], entries)
    elif name == GREP.name and isinstance(pattern, str) and pattern.strip():
        found = _matches(pattern.strip(), entries)
    else:
        return 'Nothing was looked up: the tools are expand {"ids": ["m1"]} and grep {"pattern": "text"}.'
    return _cut(found)


def _results(calls: Sequence[ToolCall], entries: Sequence[TranscriptEntry]) -> list[Message]:
    looked_up = [look_up(call, entries) for call in calls[:_MOST_CALLS]]
    looked_up += [f"Not looked up: at most {_MOST_CALLS} calls at a time."] * (len(calls) - len(looked_up))
    return [tool_message(call["id"], found) for call, found in zip(calls, looked_up, strict=True)]


def _expanded(ids: Sequence[str], entries: Sequence[TranscriptEntry]) -> str:
    wanted = [item.strip().strip("[]").lower() for item in ids]
    by_id = {entry.id.lower(): entry for entry in entries}
    missing = [item for item in wanted if _named(item, by_id) is None]
    found = [entry.text for item in dict.fromkeys(wanted) if (entry := _named(item, by_id))]
    if missing:
        found.append(f"No entry has the id {', '.join(map(repr, missing))}.")
    return "\n".join(found) or "No ids were given."


def _named(name: str, by_id: dict[str, TranscriptEntry]) -> TranscriptEntry | None:
    """The entry with that id. A span is also found by its full id, of which only the beginning is shown."""
    if name in by_id:
        return by_id[name]
    return next((entry for id, entry in by_id.items() if not id.startswith("m") and name.startswith(id)), None)


def _matches(pattern: str, entries: Sequence[TranscriptEntry]) -> str:
    found = [snippet for entry in entries if (snippet := _snippet(pattern.lower(), entry))]
    if not found:
        return f"No entry has the text {json.dumps(pattern, ensure_ascii=False)}."
    more = len(found) - _MOST_MATCHES
    return "\n".join([*found[:_MOST_MATCHES], *([f"({more} more entries have it)"] if more > 0 else [])])


def _snippet(pattern: str, entry: TranscriptEntry) -> str:
    for line in entry.lines:
        text = entry.head + line
        at = text.lower().find(pattern)
        if at >= 0:
            start, end = max(0, at - _AROUND), at + len(pattern) + _AROUND
            return f"[{entry.id}] {'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
    return ""


def _preview(entry: TranscriptEntry, characters: int) -> str:
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


def _as_text(history: Sequence[Message]) -> list[Message]:
    """Calls and results as one message of plain text: providers require tools if the history has tool calls."""
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


def _tree(spans: Sequence[SpanRecord]) -> Iterator[tuple[SpanRecord, int]]:
    known = {span.span_id for span in spans}
    children: dict[str | None, list[SpanRecord]] = {}
    for span in sorted(spans, key=lambda span: span.start, reverse=True):
        children.setdefault(span.parent_id if span.parent_id in known else None, []).append(span)
    waiting = [(span, 0) for span in children.get(None, [])]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting.extend((child, depth + 1) for child in children.pop(span.span_id, []))


def _span_entry(span: SpanRecord, depth: int) -> TranscriptEntry:
    error = f" ERROR: {quoted(span.error)}" if span.error else ""
    head = f"{'  ' * depth}span {quoted(span.name)} ({span.seconds:.3g} s){error}"
    attributes = f" {compact(span.attributes)}" if span.attributes else ""
    return TranscriptEntry(id=span.span_id[:ID_LENGTH], head=head, lines=(attributes,))
