"""Conversations for training: ShareGPT's ``from`` and ``value``, and Alpaca's instructions."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from duologue.transcripts.builder import RecordingBuilder, recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.request_log import recordings_of_messages
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

SHAREGPT = "sharegpt"
ALPACA = "alpaca"

_WHO = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(
        ("gpt", "assistant", "chatgpt", "bing", "bard", "model", "bot", "ai", "function_call"), "assistant"
    ),
    "system": "system",
    **dict.fromkeys(("observation", "tool", "function", "function_response", "tool_response"), "tool"),
}
_LISTS = ("conversations", "conversation", "chat", "dialogue", "dialog")
_CALL = re.compile(
    r"<(tool_call|functioncall|function_call)>\s*(\{.*?\}|\[.*?\])\s*(?:</\1>|<\|endoftext\|>|$)", re.DOTALL
)
_RESULT = re.compile(r"<(tool_response|function_response)>\s*(.*?)\s*</\1>", re.DOTALL)


def is_sharegpt(document: Document) -> bool:
    """Entries with a list of ``{from, value}``, or such a list."""
    return any(_turns(node) or _is_turn(node) for node in document.samples)


def _turns(node: Node) -> list[Node]:
    found = node.at(*_LISTS).items or node.items
    with_role = node.at(*_LISTS).items and any(turn.has("role", "content") for turn in found[:3])
    return found if with_role or any(map(_is_turn, found[:3])) else []


def _is_turn(node: Node) -> bool:
    return isinstance(node.at("from").value, str) and node.has("value")


def read_sharegpt(document: Document) -> list[Recording]:
    """One recording for each entry."""
    if any(map(_is_turn, document.samples)):
        return recordings_of_messages(
            document, SHAREGPT, lambda node, talk, index: _sharegpt(document, node, talk, index)
        )

    def read(node: Node, index: int) -> Recording:
        turns = node.at(*_LISTS).each_or_none("a list of turns with from and value") or node.items
        return _sharegpt(document, node, turns, index)

    return recordings_of(document, SHAREGPT, read)


def _sharegpt(document: Document, place: Node, turns: list[Node], index: int) -> Recording:
    builder = RecordingBuilder(place=place, reports_tool_calls=bool(place.at("tools", "functions").value) or None)
    system = place.at("system", "system_prompt").value
    builder.prompt(system if isinstance(system, str) else "")
    for turn in turns:
        chat.add(builder, _message(turn))
    return builder.finish(
        document.path, SHAREGPT, index=index, session_id=place.at("id").word(), metadata=_facts(place)
    )


def _facts(place: Node) -> dict[str, Any]:
    return place.scalars("source", "category", "score", "model", "lang")


def _message(turn: Node) -> Node:
    if turn.has("role"):
        return turn
    who = turn.at("from").text("human, gpt, system, function_call or observation")
    role = _WHO.get(who.lower())
    if role is None:
        raise turn.at("from").wrong("human, gpt, system, function_call or observation")
    value = turn.at("value").value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    fields: dict[str, Any] = {"role": role, "content": text}
    if who.lower() == "function_call":
        fields = {"role": role, "content": None, "tool_calls": _calls(text) or [{"name": "unknown", "arguments": text}]}
    elif role == "assistant" and (found := [call for match in _CALL.finditer(text) for call in _calls(match[2])]):
        fields = {"role": role, "content": _CALL.sub("", text).strip() or None, "tool_calls": found}
    elif role == "tool" and (result := _RESULT.fullmatch(text.strip())):
        fields["content"] = result[2]
    return turn.holding({**fields, "timestamp": turn.at("timestamp").value})


def _calls(text: str) -> list[dict[str, Any]]:
    """The calls in JSON text; glaive's puts the arguments in single quotes."""
    try:
        value = json.loads(re.sub(r"'(\{.*\})'", r"\1", text, flags=re.DOTALL) if "'{" in text else text)
    except (ValueError, RecursionError):
        return []
    items = cast("list[Any]", value if isinstance(value, list) else [value])
    named = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict) and "name" in item]
    return [
        {"name": str(item["name"]), "arguments": item.get("arguments", item.get("parameters")) or {}} for item in named
    ]


def is_alpaca(document: Document) -> bool:
    """Rows with ``instruction`` and ``output``."""
    return any(isinstance(node.at("instruction").value, str) and node.has("output") for node in document.samples)


def read_alpaca(document: Document) -> list[Recording]:
    """One recording for each row."""
    return recordings_of(document, ALPACA, lambda node, index: _alpaca(document, node, index))


def _alpaca(document: Document, node: Node, index: int) -> Recording:
    asked = "\n".join(text for name in ("instruction", "input") if (text := node.at(name).word()))
    earlier = [item.items for item in node.at("history").items if len(item.items) == 2]
    pairs = [(question.word(), answer.word()) for question, answer in earlier]
    pairs.append((asked, node.at("output").word()))
    said = [
        node.holding({"role": role, "content": text})
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
        if text
    ]
    system = node.at("system").value
    prompts = [system if isinstance(system, str) else ""]
    return chat.conversation(document, ALPACA, node, said, prompts=prompts, index=index)


CONVERSATIONS = RecordingFormat(
    name=SHAREGPT,
    about="conversations in ShareGPT's form: {conversations: [{from, value}]}",
    matches=is_sharegpt,
    read=read_sharegpt,
    rank=49,
)


INSTRUCTIONS = RecordingFormat(
    name=ALPACA,
    about="instructions in Alpaca's form: {instruction, input, output}",
    matches=is_alpaca,
    read=read_alpaca,
    rank=78,
)
