"""What an agent that speaks OpenAI chat completions answers, read into chat messages.

Two shapes are understood: ``choices[0].message``, and a list ``messages`` with everything that the agent did in its
turn (tool calls, tool results, the final answer), which wins where both are given. Streams carry the same in pieces.
Whatever breaks the contract raises :class:`ContractError`, which says what was found and what is expected; nothing is
guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from duologue.messages import Message, ToolCall, assistant_message, tool_call, tool_message

_TURN_ROLES = ("assistant", "tool")


class ContractError(ValueError):
    """An answer that is not what the contract says; the text is for the person who wrote the agent."""


def read_body(text: str) -> list[Message]:
    """The messages of an answer that came in one piece.

    Raises:
        ContractError: it is not JSON, or holds no message.
    """
    return list(_messages(_json_object(text, "the body")))


def _messages(body: dict[str, Any]) -> Iterator[Message]:
    if isinstance(turn := body.get("messages"), list):
        yield from read_turn(cast("list[Any]", turn), complete=True)
        return
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ContractError("expected 'choices' with at least one choice, or a list 'messages'; found neither")
    choice = cast("list[Any]", choices)[0]
    message = cast("dict[str, Any]", choice).get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise ContractError("expected choices[0].message to be a chat message")
    yield _assistant({"role": "assistant", **cast("dict[str, Any]", message)}, "choices[0].message")


def read_turn(turn: list[Any], *, complete: bool) -> list[Message]:
    """The messages of one turn of the agent. ``complete``: the last one must be its answer.

    Raises:
        ContractError: one of them is not a message of an agent or a tool, or the answer is missing.
    """
    messages = [_turn_message(item, f"messages[{index}]") for index, item in enumerate(turn)]
    if complete and (not messages or messages[-1]["role"] != "assistant"):
        raise ContractError("the last of 'messages' must be the agent's answer, with the role 'assistant'")
    return messages


def _turn_message(item: object, where: str) -> Message:
    message = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    role = message.get("role")
    if role not in _TURN_ROLES:
        raise ContractError(f"{where} must be a message with the role 'assistant' or 'tool'; found {role!r}")
    if role == "assistant":
        return _assistant(message, where)
    call_id, content = message.get("tool_call_id"), message.get("content")
    if not isinstance(call_id, str):
        raise ContractError(f"{where} is a tool's result and needs a 'tool_call_id'")
    return tool_message(call_id, content if isinstance(content, str) else json.dumps(content, ensure_ascii=False))


def _assistant(message: dict[str, Any], where: str) -> Message:
    if message["role"] != "assistant":
        raise ContractError(f"{where} must have the role 'assistant'; found {message['role']!r}")
    content: object = message.get("content")
    if content is None:
        content = message.get("refusal")
    if content is not None and not isinstance(content, (str, list)):
        raise ContractError(f"{where}.content must be text or a list of parts; found {type(content).__name__}")
    calls = _tool_calls(message.get("tool_calls") or [], where)
    if content is None and not calls:
        raise ContractError(f"{where} has neither content nor tool calls")
    answer = assistant_message(None, calls)
    answer["content"] = cast("Any", content)
    return answer


def _tool_calls(calls: object, where: str) -> list[ToolCall]:
    if not isinstance(calls, list):
        raise ContractError(f"{where}.tool_calls must be a list")
    return [_tool_call(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(cast("list[Any]", calls))]


def _tool_call(call: object, where: str) -> ToolCall:
    fields = cast("dict[str, Any]", call) if isinstance(call, dict) else {}
    function = fields.get("function")
    function = cast("dict[str, Any]", function) if isinstance(function, dict) else {}
    name, arguments, call_id = function.get("name"), function.get("arguments", ""), fields.get("id")
    if not isinstance(name, str) or not isinstance(call_id, str) or not isinstance(arguments, (str, dict)):
        raise ContractError(f"{where} needs an 'id' and a 'function' with a 'name' and 'arguments' as JSON text")
    return tool_call(name, cast("dict[str, Any] | str", arguments), call_id)


class StreamReader:
    """Reads the data of server-sent events, one at a time, into pieces: text as it comes, other messages whole."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, str]] = {}
        self._said_something = False
        self._finished = False

    def feed(self, data: str) -> Iterator[str | Message]:
        """The pieces in one event.

        Raises:
            ContractError: the event is not a chunk of a completion.
        """
        if data == "[DONE]":
            self._finished = True
            return
        chunk = _json_object(data, "an event of the stream")
        if "error" in chunk:
            raise ContractError(f"the stream reports an error: {json.dumps(chunk['error'], ensure_ascii=False)}")
        if isinstance(turn := chunk.get("messages"), list):
            self._said_something = True
            yield from read_turn(cast("list[Any]", turn), complete=False)
        choices: object = chunk.get("choices") or []
        if not isinstance(choices, list):
            raise ContractError("expected 'choices' of a chunk to be a list")
        for choice in cast("list[Any]", choices)[:1]:
            yield from self._choice(cast("dict[str, Any]", choice) if isinstance(choice, dict) else {})

    def end(self) -> Iterator[Message]:
        """What is left when the stream has ended: the tool calls that came in pieces.

        Raises:
            ContractError: the stream broke off, or nothing was said in it.
        """
        if not self._finished:
            raise ContractError("the stream broke off: it ended without [DONE] and without a finish_reason")
        if self._calls:
            calls = [tool_call(call["name"], call["arguments"], call["id"]) for _, call in sorted(self._calls.items())]
            yield assistant_message(None, calls)
        elif not self._said_something:
            raise ContractError("the stream held neither content nor tool calls")

    def _choice(self, choice: dict[str, Any]) -> Iterator[str]:
        delta = choice.get("delta")
        delta = cast("dict[str, Any]", delta) if isinstance(delta, dict) else {}
        content = delta.get("content")
        if isinstance(content, str) and content:
            self._said_something = True
            yield content
        calls: object = delta.get("tool_calls") or []
        for piece in cast("list[Any]", calls) if isinstance(calls, list) else []:
            self._add_to_call(cast("dict[str, Any]", piece) if isinstance(piece, dict) else {})
        if choice.get("finish_reason"):
            self._finished = True

    def _add_to_call(self, piece: dict[str, Any]) -> None:
        index: object = piece.get("index", 0)
        function: object = piece.get("function") or {}
        if not isinstance(index, int) or not isinstance(function, dict):
            raise ContractError("a tool call in a chunk needs an 'index' and a 'function'")
        call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        call["id"] += str(piece.get("id") or "")
        fields = cast("dict[str, Any]", function)
        call["name"] += str(fields.get("name") or "")
        call["arguments"] += str(fields.get("arguments") or "")


def _json_object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ContractError(f"{what} must be a JSON object; found {type(value).__name__}")
    return cast("dict[str, Any]", value)
