"""What went into an application and what came out of it, in the many forms in which tracing tools keep it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from duologue.message_shapes import ShapeError, WrittenMessage, written_in
from duologue.transcripts.documents import Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.streams import answer_in_pieces

_MESSAGES = ("messages", "chat_history", "history", "conversation", "input_messages", "prompt_messages")
_ASKED = (
    *("input", "question", "query", "prompt", "user_input", "user_message", "message", "text", "content", "request"),
    *("human_input", "instruction", "goal", "inputBodyJson"),
)
_ANSWERED = (
    *("output", "answer", "response", "completion", "result", "text", "content", "message", "output_text", "reply"),
    *("final_output", "final_answer", "assistant", "return_value", "outputBodyJson"),
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


def answer_of(response: Node) -> Node | None:
    """The message of a response: of the choice with index 0, wherever it is in the list."""
    choices = response.at("choices").each_or_none("a list of choices")
    choice = next((node for node in choices if node.at("index").value in (0, "0")), choices[0] if choices else None)
    if choice is None:
        return None
    return choice.at("message") if choice.has("message") else _text_choice(choice)


def _text_choice(choice: Node) -> Node:
    """An answer of the old completions API, or a choice without anything."""
    text = choice.at("text").value
    return choice.holding({"role": "assistant", "content": text}) if isinstance(text, str) else choice.at("message")


_RESPONSES = ("response", "response_body", "responseBody", "res", "output", "completion")
_REPLIES = (
    *("answer", "reply", "message", "output_text", "generated_text", "generation", "prediction", "model_output"),
    *("assistant", "agent_response", "bot_response", "assistant_response", "final_answer"),
)


def answer_beside(entry: Node, sent: Sequence[Node]) -> list[Node]:
    """The answer that an entry holds next to its messages, in a form that no API uses.

    Conversations that are complete may be labelled with fields of the same names: what they hold is an answer only if
    the agent has not said it already.

    Raises:
        SuiteError: something stands there that cannot be read.
    """
    complete = bool(sent) and chat.role_of(sent[-1]) == "assistant"
    for name in _RESPONSES if complete else (*_RESPONSES, *_REPLIES):
        node = entry.at(name).opened()
        if not node.value or node.at("messages").value is not None:
            continue
        streamed = answer_in_pieces(node)
        found = answered_in(node) if streamed is None else [node.holding(streamed)]
        if not found and not complete and name in _RESPONSES:
            raise node.wrong("the agent's answer: a message, a text, or a response with choices")
        if found and not (complete and _told(found[-1]) == _told(sent[-1])):
            return found
    return []


def _told(node: Node) -> list[tuple[str, str]]:
    """What a message says, in whatever form it is written."""
    try:
        pieces = written_in(node.fields)
    except ShapeError:
        return [("", json.dumps(node.value, default=str))]
    return [
        (
            piece.role,
            json.dumps([piece.content or "", [(call.name, call.arguments) for call in piece.calls]], default=str),
        )
        if isinstance(piece, WrittenMessage)
        else ("tool", json.dumps(piece.content, default=str))
        for piece in pieces
    ]


def words_of(node: Node) -> str:
    """The words of a message."""
    try:
        pieces = written_in(node.fields)
    except ShapeError:
        return ""
    return " ".join(chat.plain_text(piece.content) for piece in pieces if isinstance(piece, WrittenMessage))


def tool_use(place: Node, number: int, name: str | None, given: Node, answered: Node) -> list[Node]:
    """The call of a tool and its answer, as tracing tools record them apart from what was said."""
    arguments = given.opened()
    told: Mapping[str, Any] = arguments.fields or {"input": arguments.value}
    call_id = place.at("id", "spanId", "span_id").word() or f"tool_{number}"
    function = {"name": name or "unknown", "arguments": told}
    call = place.holding({"role": "assistant", "content": None, "tool_calls": [{"id": call_id, "function": function}]})
    if answered.value is None:
        return [call]
    return [call, place.holding({"role": "tool", "tool_call_id": call_id, "content": answered.value})]


def with_tools(nodes: list[Node], answers: int, tools: list[Node]) -> tuple[list[Node], int]:
    """The messages of an exchange, with uses of tools that they do not show, before the answer."""
    shown = {name for node in nodes for name in _called(node)}
    if not tools or shown & {name for node in tools for name in _called(node)}:
        return nodes, answers
    place = len(nodes) - answers
    return [*nodes[:place], *tools, *nodes[place:]], answers + len(tools)


def _called(node: Node) -> list[str]:
    try:
        pieces = written_in(node.fields)
    except ShapeError:
        return []
    return [call.name for piece in pieces if isinstance(piece, WrittenMessage) for call in piece.calls]


def _messages(node: Node, role: str, names: tuple[str, ...], depth: int) -> list[Node]:
    if depth > _DEEPEST or not node.value:
        return []
    if isinstance(node.value, str):
        inner = node.opened()
        found = [] if inner is node else _messages(inner, role, names, depth + 1)
        return found or ([node.holding({"role": role, "content": node.value})] if node.value.strip() else [])
    if isinstance(node.value, list):
        return _listed(node, role, names, depth)
    if chat.looks_like_item(node) or _is_message(node):
        words = next((text for name in names if isinstance(text := node.at(name).value, str)), None)
        said = node if node.has("content") or words is None else node.holding({**node.fields, "content": words})
        return [_with_role(said, role)]
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
    """The value of a field with a usual name, in the arguments of a function, or in the only field."""
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
