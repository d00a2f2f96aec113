"""What went into an application and what came out of it, in the many forms in which tracing tools keep it."""

from __future__ import annotations

import json
from typing import Any

from duologue.transcripts.documents import Node, is_shallow
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.openai import answer_of

_MESSAGES = ("messages", "chat_history", "history", "conversation", "input_messages", "prompt_messages")
_ASKED = (
    *("input", "question", "query", "prompt", "user_input", "user_message", "message", "text", "content", "request"),
    *("human_input", "instruction", "goal"),
)
_ANSWERED = (
    *("output", "answer", "response", "completion", "result", "text", "content", "message", "output_text", "reply"),
    *("final_output", "final_answer", "assistant", "return_value"),
)

_DEEPEST = 4
"""Levels at which the messages are looked for."""


def asked_in(node: Node) -> list[Node]:
    """The messages that went in; none if there is nothing in a known form."""
    return _messages(node, "user", _ASKED, 0)


def answered_in(node: Node) -> list[Node]:
    """The messages that came out; none if there is nothing in a known form."""
    answer = answer_of(node) if isinstance(node.at("choices").value, list) else None
    return [_with_role(answer, "assistant")] if answer is not None else _messages(node, "assistant", _ANSWERED, 0)


def exchange_in(asked: Node, answered: Node) -> tuple[list[Node], int]:
    """The messages of both, and how many of them are the answer. An output may repeat what went in."""
    before, after = asked_in(asked), answered_in(answered)
    if before and len(after) > len(before) and [_told(node) for node in after[: len(before)]] == [*map(_told, before)]:
        return after, len(after) - len(before)
    return [*before, *after], len(after)


def _told(node: Node) -> tuple[str | None, str]:
    return chat.role_of(node) or node.at("type").word(), json.dumps(node.at("content").value, default=str)


def _messages(node: Node, role: str, names: tuple[str, ...], depth: int) -> list[Node]:
    if depth > _DEEPEST or not node.value:
        return []
    if isinstance(node.value, str):
        inner = _parsed(node)
        found = [] if inner is None else _messages(inner, role, names, depth + 1)
        return found or ([node.holding({"role": role, "content": node.value})] if node.value.strip() else [])
    if isinstance(node.value, list):
        return _listed(node, role, names, depth)
    if chat.looks_like_item(node) or _is_message(node):
        return [_with_role(node, role)]
    ways = (_of_conversation, _of_model, _of_field)
    return next((found for way in ways if (found := way(node, role, names, depth))), list[Node]())


def _of_conversation(node: Node, role: str, names: tuple[str, ...], depth: int) -> list[Node]:
    """The messages in a field such as ``messages``; to a history, the question that follows it is added."""
    for name in _MESSAGES:
        if found := _messages(node.at(name), role, names, depth + 1) if node.at(name).items else []:
            asks = role == "user" and name in {"chat_history", "history"}
            last = _messages(node.at("input", "question"), role, names, depth + 1) if asks else []
            return [*found, *last]
    return []


def _of_model(node: Node, role: str, names: tuple[str, ...], depth: int) -> list[Node]:
    """What an API or a library answered."""
    if generations := node.at("generations").items:  # of LangChain: a list of lists
        first = generations[0].at_item(0) if generations[0].items else generations[0]
        return _messages(first.at("message", "text"), role, names, depth + 1)
    if isinstance(node.at("choices").value, list):
        answer = answer_of(node)
        return [] if answer is None else [_with_role(answer, role)]
    if node.at("candidates").items:
        return _messages(node.at("candidates").at_item(0).at("content"), role, names, depth + 1)
    return []


def _of_field(node: Node, role: str, names: tuple[str, ...], depth: int) -> list[Node]:
    """What stands in a field of a usual name, in the arguments of a function, or in the only field."""
    if node.at("args").items or node.at("kwargs").fields:
        return _messages(node.at("kwargs"), role, names, depth + 1) or _listed(node.at("args"), role, names, depth)
    for name in names:
        if found := _messages(node.at(name), role, names, depth + 1):
            return found
    only = [value for value in node.fields.values() if isinstance(value, str) and value.strip()]
    return [node.holding({"role": role, "content": only[0]})] if len(only) == len(node.fields) == 1 else []


def _listed(node: Node, role: str, names: tuple[str, ...], depth: int) -> list[Node]:
    items = node.items
    if len(items) == 1 and (items[0].items or isinstance(items[0].value, str)):
        return _messages(items[0], role, names, depth + 1)
    if items and all(chat.looks_like_item(item) for item in items):
        return [_with_role(item, role) for item in items]
    if len(items) == 1:
        return _messages(items[0], role, names, depth + 1)
    if items and all(item.at("type").value == "text" for item in items):
        return [node.holding({"role": role, "content": node.value})]
    return []


def _is_message(node: Node) -> bool:
    """A message without a role, such as the content of an answer with its tool calls."""
    return node.has("content", "tool_calls") or (bool(node.at("tool_calls").items))


def _with_role(node: Node, role: str) -> Node:
    return node if chat.looks_like_item(node) else node.holding({"role": role, **node.fields})


def _parsed(node: Node) -> Node | None:
    """What a text of JSON holds, if it is one."""
    text = node.value.strip()
    if text[:1] not in {"[", "{"}:
        return None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return node.holding(value) if is_shallow(value) else None
