"""What an agent that speaks OpenAI chat completions answers, read into chat messages.

Two forms are understood: ``choices[0].message``, and a list ``messages`` with everything that the agent did in its
turn (tool calls, tool results, the final answer), which wins where both are given. Messages may have any of the shapes
that ``duologue.message_shapes`` reads, and so may a whole answer: ``output`` of the Responses API, ``candidates`` of
Gemini, a message of Anthropic. Streams are read in ``duologue.agents.http.streams``.
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


class ContractError(ValueError):
    """An answer that is not what the contract says; the text is for the person who wrote the agent."""


def read_answer(body: dict[str, Any]) -> list[Message]:
    """The messages of an answer that came in one piece.

    Raises:
        ContractError: it reports an error, or holds no message.
    """
    refuse_error(body, "the answer")
    return list(_messages(body))


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
    messages = read_items(items or [body], where)
    if not any(message.get("content") is not None or message.get("tool_calls") for message in messages):
        raise ContractError(f"{where} has neither content nor tool calls")
    yield from messages


def refuse_error(body: dict[str, Any], what: str) -> None:
    """An answer that failed is no answer, whatever came before. Raises ContractError in the words of the agent."""
    choices = list_of(body.get("choices"))
    choice = fields_of(choices[0]) if choices else {}
    if error := choice.get("error") or (body.get("error") if not choice or "messages" not in body else None):
        expected = "" if choice else "; expected 'choices' with at least one choice, or a list 'messages'"
        raise ContractError(f"{what} reports an error: {words_of(error)}{expected}")
    if choice.get("finish_reason") == "error":
        raise ContractError(f"{what} broke off: its finish_reason is 'error'")


def words_of(error: object) -> str:
    """What an error says, in the agent's own words."""
    message = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else json.dumps(error, ensure_ascii=False)


def read_turn(turn: list[Any], *, complete: bool) -> list[Message]:
    """The messages of one turn of the agent. ``complete``: the last one must be its answer.

    Raises:
        ContractError: one of them is not a message of an agent or a tool, or the answer is missing.
    """
    messages = read_items(turn, "messages", several=True)
    if complete and (not messages or messages[-1]["role"] != "assistant"):
        raise ContractError("the last of 'messages' must be the agent's answer, with the role 'assistant'")
    return messages


def read_items(items: Sequence[Any], where: str, *, several: bool = False) -> list[Message]:
    """The chat messages in these items, in whichever of the known shapes they are. Raises ContractError for others."""
    reader, found = ShapeReader(), list[Message]()
    for index, item in enumerate(items):
        place = f"{where}[{index}]" if several else where
        _check_fields(item, place)
        try:
            messages = reader.read(item)
        except ShapeError as error:
            raise ContractError(f"{place}: {error}") from error
        found.extend(kept(message, place) for message in messages)
    return found


def kept(message: Message, place: str) -> Message:
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
    if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
        content = content[0].get("text", "")
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


def json_object(text: str, what: str) -> dict[str, Any]:
    """The JSON object that a text is. Raises ContractError for anything else; ``what`` names it."""
    try:
        value = json_value(text, constants=True)
    except NoJsonError as error:
        raise ContractError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ContractError(f"{what} must be a JSON object; found {type(value).__name__}")
    return cast("dict[str, Any]", value)


def fields_of(value: object) -> dict[str, Any]:
    """The fields of a JSON object; none for any other value."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """The items of a JSON array; none for any other value."""
    return cast("list[Any]", value) if isinstance(value, list) else []
