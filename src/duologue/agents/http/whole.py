"""Answers as one body: those that came in pieces, put together, and what a body says besides words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from duologue.agents.http.completions import fields_of, list_of
from duologue.agents.http.streams import StreamReader
from duologue.config.json_text import NoJsonError, json_value
from duologue.messages import Message, assistant_message, text_of, tool_calls_of

JOINED = "duologue.stream"
"""The ``object`` of an answer that came in pieces, once they are put together."""


def joined(pieces: Sequence[str | Message], reader: StreamReader) -> str:
    """A streamed answer in the form of one that came whole."""
    messages, text = list[Message](), ""
    for piece in [*pieces, None]:
        if isinstance(piece, str):
            text += piece
            continue
        if text:
            messages.append(assistant_message(text))
            text = ""
        if piece is not None:
            messages.append(piece)
    told = _told(reader)
    if reader.whole_turn or any(message["role"] == "tool" for message in messages):
        return json.dumps({"object": JOINED, "messages": messages, **told}, ensure_ascii=False)
    words = "".join(text_of(message) for message in messages)
    calls = [one for message in messages for one in tool_calls_of(message)]
    choice = {"message": {**assistant_message(None, calls), "content": words or None}}
    return json.dumps({"object": JOINED, "choices": [choice], **told}, ensure_ascii=False)


def is_joined(text: str) -> bool:
    """Whether a body is one that was put together."""
    return f'"object": "{JOINED}"' in text[:60]


def finish_reason(body: Mapping[str, Any]) -> str | None:
    """Why an answer ended, where it says so: ``length`` and ``max_tokens`` mean that it was cut off."""
    choices = list_of(body.get("choices"))
    for held in (fields_of(body.get("incomplete_details")), fields_of(choices[0]) if choices else {}, body):
        for name in ("reason", "finish_reason", "stop_reason", "done_reason"):
            if isinstance(reason := held.get(name), str):
                return reason
    return None


def _told(reader: StreamReader) -> dict[str, Any]:
    """What a stream says besides words, as an answer would say it that came whole."""
    told: dict[str, Any] = {"thread": reader.thread} if reader.thread else {}
    if reader.finish_reason:
        told["stop_reason"] = reader.finish_reason
    if (usage := reader.usage) is not None:
        counted = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        told["usage"] = counted if usage.split else {"total_tokens": usage.input_tokens}
        told["usage"] |= {"cost": usage.cost} if usage.cost is not None else {}
        told["model"] = usage.model
    return told


def as_data(text: str) -> object:
    """The body as data, so that a cassette can leave out what is secret in it; as text where it is no JSON object."""
    try:
        return json_value(text, constants=True) if text.lstrip().startswith("{") else text
    except NoJsonError:
        return text
