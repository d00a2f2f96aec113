"""A conversation as text for models and people: one line for each thing that happened, each with an id to cite.

What was said is data from outside. Every text is a JSON string on a line of its own, so nothing that a participant says
can look like a line of the transcript or like its end. Sounds, pictures and files become markers with their size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

from duologue.frozen import frozen
from duologue.journal.events import MessageAdded, cut_mark
from duologue.messages import ContentPart, JsonValue, Message, ToolCall, text_of, tool_calls_of

_DATA_URL = re.compile(r"data:([\w.+-]+)/([\w.+-]+)(?:;[\w.+-]+=[^;,\s]*)*;base64,([A-Za-z0-9+/_-]+={0,2})")
_RAW_BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{1000,}={0,2}")
"""Hardly anything that people or tools write for reading has a thousand such characters in a row."""
_SHOWN_ENDS = 48
"""Characters at either end of such a run that are shown: what touches it, such as a number, looks like a part of it."""
_LEAST_VARIETY = 24
"""Different characters that such a run has to have. One letter again and again is text, and is shown."""
_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x7f\x85\u2028\u2029"}
"""JSON leaves these as they are, and some readers take them for the end of a line."""
_KINDS = {"audio": "AUDIO", "image": "IMAGE", "video": "VIDEO"}


@frozen
class TranscriptEntry:
    """One message, or one span of a trace, as text."""

    id: str
    """The id to cite, such as ``m3``."""
    head: str
    """Who speaks, in which turn."""
    lines: tuple[str, ...]
    """What was said and done, one line each, without the id."""

    @cached_property
    def text(self) -> str:
        """All lines, each with the id in front."""
        return "\n".join(f"[{self.id}] {self.head}{line}" for line in self.lines)


KnownEntries = dict[str, tuple[MessageAdded, TranscriptEntry]]
"""Entries of one run by message id, with the record that each was made from."""


def entries_of(
    messages: Sequence[Message], records: Sequence[MessageAdded] = (), known: KnownEntries | None = None
) -> list[TranscriptEntry]:
    """The conversation, message by message. Instructions to the agent are included: they may explain what it does.

    Args:
        messages: what was said and done.
        records: the same messages as a run recorded them, with ids and turns. If there are not as many, the ids are
            ``m1``, ``m2`` and so on.
        known: entries of earlier calls for the same run; they are reused and added to. It only saves time.
    """
    names = _names_of_results(messages)
    if len(records) != len(messages):  # a conversation that was not recorded, as in an adapter's own unit test
        return [
            _entry(message, f"m{number}", "", names[number - 1]) for number, message in enumerate(messages, start=1)
        ]
    known = {} if known is None else known
    together = zip(records, messages, names, strict=True)
    return [_kept(known, record, message, name) for record, message, name in together]


def transcript_of(entries: Sequence[TranscriptEntry]) -> str:
    """The entries as one text."""
    return "\n".join(entry.text for entry in entries)


def _names_of_results(messages: Sequence[Message]) -> list[str]:
    """For each message the tool whose result it is, or ''.

    Some agents reuse ids: an id means the latest call so far.
    """
    called: dict[str, str] = {}
    names: list[str] = []
    for message in messages:
        called |= {call.get("id", ""): call["function"]["name"] for call in tool_calls_of(message)}
        names.append(called.get(message.get("tool_call_id", ""), "") if message["role"] == "tool" else "")
    return names


def _kept(known: KnownEntries, record: MessageAdded, message: Message, called: str) -> TranscriptEntry:
    """The known entry, if the message is still the same."""
    earlier = known.get(record.message_id)
    if earlier is not None and earlier[0] is record and message == record.message:
        return earlier[1]
    entry = _entry(message, record.message_id, f" (turn {record.turn + 1})", called)
    if record.cut:
        *lines, last = entry.lines
        entry = replace(entry, lines=(*lines, f"{last} {cut_mark(record.cut)}"))
    if message == record.message:
        known[record.message_id] = record, entry
    return entry


def quoted(text: str) -> str:
    """A text from outside as a JSON string on one line that closes no tag and holds no media."""
    written = _ENCODE(without_media(text)).translate(_LINE_ENDS)
    return _closed(written)


def compact(value: JsonValue) -> str:
    """A value from outside as JSON on one line, with the precautions of :func:`quoted`."""
    written = json.dumps(value, ensure_ascii=False, default=str).translate(_LINE_ENDS)
    return _closed(without_media(written))


def indented(text: str) -> str:
    """Text of several lines, each behind a bar, so that none can pass for anything else."""
    return _closed("\n".join(f"| {line}" for line in without_media(text).splitlines()))


def without_media(text: str) -> str:
    """The text with base64 in it replaced by markers such as ``[AUDIO: wav, ~3000 bytes]``."""
    if len(text) < _SHORTEST_MEDIA:
        return text
    text = _DATA_URL.sub(lambda found: marker(found[1], found[2], found[3]), text)
    return _RAW_BASE64.sub(lambda found: _shortened(found[0]), text)


def _shortened(data: str) -> str:
    """A long run of base64 with its ends, so that it hides nothing next to it."""
    if set(data) <= {"A", "="}:  # silence, or an empty picture
        return marker("data", "base64", data)
    if len(set(data)) < _LEAST_VARIETY:
        return data
    hidden = data[_SHOWN_ENDS:-_SHOWN_ENDS]
    return f"{data[:_SHOWN_ENDS]}{marker('data', 'base64', hidden)}{data[-_SHOWN_ENDS:]}"


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
"""Made once: ``json.dumps`` would make an encoder for every call."""
_SHORTEST_MEDIA = len("data:a/b;base64,")


def marker(kind: str, form: str, data: str) -> str:
    """The placeholder for base64 data."""
    return f"[{_KINDS.get(kind, 'FILE')}: {form}, ~{len(data) * 3 // 4} bytes]"


def _closed(text: str) -> str:
    # A lone surrogate cannot be sent; "<\/" is the same text to a reader of JSON, and closes no tag.
    if text.isascii():
        return text.replace("</", "<\\/")
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("</", "<\\/")


def _entry(message: Message, message_id: str, place: str, called: str) -> TranscriptEntry:
    role = message["role"]
    calls = tool_calls_of(message)
    lines = [_call_line(call) for call in calls]
    said = _content(message)
    if role == "tool":
        name = called or message.get("name") or "unknown tool"
        return TranscriptEntry(id=message_id, head=f"tool{place}", lines=(f" result of {quoted(name)}: {said}",))
    if said != '""' or not lines:
        lines.insert(0, f": {said}")
    return TranscriptEntry(id=message_id, head=f"{_word(role)}{place}", lines=tuple(lines))


def _call_line(call: ToolCall) -> str:
    return f" calls {quoted(call['function']['name'])} with {_arguments(call['function'].get('arguments'))}"


def _arguments(written: JsonValue) -> str:
    """As JSON on one line. They should be JSON text, but not every agent sends that."""
    if not isinstance(written, str):
        return compact(written or {})
    try:
        return compact(json.loads(written or "{}"))
    except ValueError:
        return f"something that is no JSON: {quoted(written)}"


def _content(message: Message) -> str:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return quoted(text_of(message))
    return " ".join(_part(part) for part in content) or '""'


def _part(part: ContentPart) -> str:
    match part.get("type", "unknown"):
        case "text":
            return quoted(str(part.get("text", "")))
        case "input_audio":
            audio = _fields(part.get("input_audio"))
            return marker("audio", _word(str(audio.get("format", "unknown"))), str(audio.get("data", "")))
        case "image_url":
            url = part.get("image_url")
            return _linked("IMAGE", url if isinstance(url, str) else str(_fields(url).get("url", "")))
        case "file":
            file = _fields(part.get("file"))
            return _linked("FILE", str(file.get("file_data", ""))) + f" {quoted(str(file.get('filename', '')))}"
        case kind:
            return f"[{_word(kind).upper()}]"


def _fields(value: JsonValue) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else {}


def _linked(kind: str, url: str) -> str:
    if found := _DATA_URL.fullmatch(url):
        return marker(found[1], found[2], found[3])
    return f"[{kind}: {quoted(url[:200])}]"


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text)[:40]
