"""What an agent that speaks OpenAI chat completions answers, read into chat messages.

Two forms are understood: ``choices[0].message``, and a list ``messages`` with everything that the agent did in its
turn (tool calls, tool results, the final answer), which wins where both are given. Messages may have any of the shapes
that ``duologue.message_shapes`` reads, and so may a whole answer: ``output`` of the Responses API, ``candidates`` of
Gemini, a message of Anthropic. Streams carry chat completions in pieces.
Whatever breaks the contract raises :class:`ContractError`, which says what was found and what is expected; nothing is
guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from duologue.config.json_text import NoJsonError, json_value
from duologue.message_shapes import ShapeError, ShapeReader, can_be_read, items_of
from duologue.messages import Message, assistant_message, tool_call

_A_CALL = "needs an 'id' and a 'function' with a 'name' and 'arguments' as JSON text"
_LEGACY = -1
"""Place of the one call that ``function_call`` makes."""


class ContractError(ValueError):
    """An answer that is not what the contract says; the text is for the person who wrote the agent."""


def read_answer(text: str) -> tuple[list[Message], bool]:
    """The messages of an answer that came in one piece, and whether it shows the agent's whole turn.

    Raises:
        ContractError: it is not JSON, or holds no message.
    """
    body = _json_object(text, "the body")
    _check_outcome(body, "the answer")
    return list(_messages(body)), isinstance(body.get("messages"), list)


def _messages(body: dict[str, Any]) -> Iterator[Message]:
    if isinstance(turn := body.get("messages"), list):
        yield from read_turn(cast("list[Any]", turn), complete=True)
        return
    items = items_of(body)
    if items is None and body.get("choices"):
        raise ContractError("expected choices[0].message to be a chat message")
    if items is None and not (("role" in body or "parts" in body) and can_be_read(body)):
        raise ContractError("expected 'choices' with at least one choice, or a list 'messages'; found neither")
    where = "choices[0].message" if body.get("choices") else "the answer"
    messages = _read(items or [body], where)
    if not any(message.get("content") is not None or message.get("tool_calls") for message in messages):
        raise ContractError(f"{where} has neither content nor tool calls")
    yield from messages


def _check_outcome(body: dict[str, Any], what: str) -> None:
    """An answer that failed is no answer, whatever came before. Raises ContractError in the words of the agent."""
    choices = body.get("choices")
    first = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    choice = cast("dict[str, Any]", first) if isinstance(first, dict) else {}
    if error := choice.get("error") or (body.get("error") if not choice or "messages" not in body else None):
        expected = "" if choice else "; expected 'choices' with at least one choice, or a list 'messages'"
        raise ContractError(f"{what} reports an error: {_words_of(error)}{expected}")
    if choice.get("finish_reason") == "error":
        raise ContractError(f"{what} broke off: its finish_reason is 'error'")


def _words_of(error: object) -> str:
    message = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else json.dumps(error, ensure_ascii=False)


def read_turn(turn: list[Any], *, complete: bool) -> list[Message]:
    """The messages of one turn of the agent. ``complete``: the last one must be its answer.

    Raises:
        ContractError: one of them is not a message of an agent or a tool, or the answer is missing.
    """
    messages = _read(turn, "messages", several=True)
    if complete and (not messages or messages[-1]["role"] != "assistant"):
        raise ContractError("the last of 'messages' must be the agent's answer, with the role 'assistant'")
    return messages


def _read(items: Sequence[Any], where: str, *, several: bool = False) -> list[Message]:
    """The chat messages in these items, in whichever of the known shapes they are."""
    reader, found = ShapeReader(), list[Message]()
    for index, item in enumerate(items):
        place = f"{where}[{index}]" if several else where
        _check_fields(item, place)
        try:
            messages = reader.read(item)
        except ShapeError as error:
            raise ContractError(f"{place}: {error}") from error
        found.extend(_kept(message, place) for message in messages)
    return found


def _kept(message: Message, place: str) -> Message:
    """What the conversation keeps of a message; other fields are the server's own."""
    role, content = message["role"], message.get("content")
    if role == "tool":
        if not (call_id := message.get("tool_call_id")):
            raise ContractError(f"{place} is a tool's result and needs a 'tool_call_id'")
        return {"role": "tool", "tool_call_id": call_id, "content": content}
    if role != "assistant":
        raise ContractError(f"{place} must be a message with the role 'assistant' or 'tool'; found {role!r}")
    calls = [
        tool_call(call["function"]["name"], call["function"]["arguments"], call["id"])
        for call in message.get("tool_calls") or ()
    ]
    return {**assistant_message(None, calls), "content": content}


def _check_fields(item: object, place: str) -> None:
    """What is wrong with a message, in the words of chat completions, which most agents speak."""
    message = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    content, calls = message.get("content"), message.get("tool_calls")
    if not message:
        raise ContractError(f"{place} must be a message with the role 'assistant' or 'tool'; found {item!r}")
    if content is not None and message.get("role") == "assistant" and not isinstance(content, (str, list)):
        raise ContractError(f"{place}.content must be text or a list of parts; found {type(content).__name__}")
    if calls is not None and not isinstance(calls, list):
        raise ContractError(f"{place}.tool_calls must be a list")
    for number, call in enumerate(cast("list[Any]", calls or [])):
        named = isinstance(call, dict) and ("name" in call or isinstance(call.get("function"), dict))  # pyright: ignore[reportUnknownMemberType]
        if not named:
            raise ContractError(f"{place}.tool_calls[{number}] {_A_CALL}")


class StreamReader:
    """Reads the data of server-sent events, one at a time, into pieces: text as it comes, other messages whole."""

    def __init__(self) -> None:
        self.whole_turn = False
        """Whether the stream shows everything that the agent does in its turn."""
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
        _check_outcome(chunk, "the stream")
        if isinstance(turn := chunk.get("messages"), list):
            self._said_something = self.whole_turn = True
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
            calls = [
                {"id": call["id"] or None, "name": call["name"], "arguments": call["arguments"]}
                for _, call in sorted(self._calls.items())
            ]
            yield from _read([{"role": "assistant", "tool_calls": calls}], "the stream")
        elif not self._said_something:
            raise ContractError("the stream held neither content nor tool calls")

    def _choice(self, choice: dict[str, Any]) -> Iterator[str]:
        delta = choice.get("delta")
        delta = cast("dict[str, Any]", delta) if isinstance(delta, dict) else {}
        for text in _words_in(delta):
            self._said_something = True
            yield text
        if isinstance(legacy := delta.get("function_call"), dict):
            self._add_to_call({"index": _LEGACY, "function": legacy})
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


def _words_in(delta: dict[str, Any]) -> Iterator[str]:
    """New words of the answer: text, text in parts, a refusal, the transcript of what is spoken."""
    content, audio = delta.get("content"), delta.get("audio")
    parts = cast("list[Any]", content) if isinstance(content, list) else [content]
    texts = [cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else part for part in parts]
    spoken = cast("dict[str, Any]", audio).get("transcript") if isinstance(audio, dict) else None
    yield from (text for text in (*texts, delta.get("refusal"), spoken) if isinstance(text, str) and text)


def _json_object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json_value(text, constants=True)
    except NoJsonError as error:
        raise ContractError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ContractError(f"{what} must be a JSON object; found {type(value).__name__}")
    return cast("dict[str, Any]", value)
