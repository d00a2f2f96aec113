"""Answers in no standard format: where in them the agent's words, its tool calls and its thread id stand.

A path such as ``data.reply`` or ``output[0].content`` says where. Without one, the words are looked for under the names
that such agents use, the nearest to the top first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from duologue.agents.http.completions import ContractError, fields_of, kept, list_of, refuse_error
from duologue.config.json_path import steps_of
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.templates import as_text
from duologue.message_shapes import ShapeError, ShapeReader, can_be_read, items_of
from duologue.messages import Message, assistant_message

_SURE = (
    *("reply", "answer", "response", "output_text", "output", "text", "content", "completion", "generated_text"),
    *("assistant_message", "assistant", "bot_response", "botResponse"),
)
"""Names of what an agent says."""
_UNSURE = ("message", "result", "data", "body", "payload", "msg", "value")
"""Names of what holds it, or, where nothing else does, is it."""
_LISTS = ("messages", "replies", "responses", "outputs", "results", "choices", "generations", "candidates", "items")
_CALLS = ("tool_calls", "toolCalls", "tools_called", "toolInvocations", "tool_invocations")
_DEEPEST = 12
_MOST_SHOWN = 12
_PAGES = frozenset(("text/html", "application/xhtml+xml"))
_HOLDERS = ("output", "state", "values", "result", "response", "data", "payload", "body")
"""Names of what holds a list of messages."""


def read_plain(text: str, media_type: str, path: str | None) -> tuple[object, list[Message], list[object]]:
    """The answer as data, the messages in it, and these messages as they came.

    Args:
        text: the body.
        media_type: of it.
        path: where the answer stands; None to look for it.

    Raises:
        ContractError: there is none.
    """
    refuse_page(text, media_type)
    try:
        body: object = json_value(text, constants=True)
    except NoJsonError as error:
        if path is not None or media_type.endswith("json"):
            raise ContractError(f"the body is not JSON: {error}") from error
        return None, [assistant_message(text.strip())], []
    refuse_error(fields_of(body), "the answer")
    found = body if path is None else at_path(body, path)
    messages, written = _messages(found, path or "the answer")
    shown = list(shown_calls(body))
    if shown and not any(message.get("tool_calls") for message in messages):
        messages = [*shown, *messages]
    return body, messages, written


def refuse_page(text: str, media_type: str) -> None:
    """Say that a web page came instead of an answer. Raises ContractError for one."""
    start = text.lstrip()[:15].casefold()
    # Flask calls every text HTML.
    if start.startswith("<!doctype html") or (start.startswith("<") and media_type in _PAGES):
        raise ContractError(
            "a web page (HTML) came back instead of an answer; give the URL of the API itself, and check whether it "
            "needs a login"
        )


def at_path(value: object, path: str) -> object:
    """The value at a path such as ``data.reply`` or ``output[0].content``.

    Raises:
        ContractError: the path leads nowhere; the text says which fields there are.
    """
    place = ""
    for step in steps_of(path):
        items = list_of(value)
        if isinstance(step, str) and step in fields_of(value):
            value = fields_of(value)[step]
        elif isinstance(step, int) and -len(items) <= step < len(items):
            value = items[step]
        else:
            raise ContractError(f"there is no '{path}' in it; {_there_is(value, place)}")
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else step
    return value


def last_turn(items: Sequence[object]) -> tuple[list[Message], list[object]]:
    """What the agent said and did after the user's last message, as chat messages and as it came.

    Raises:
        ContractError: an item is no message.
    """
    reader, turn, written = ShapeReader(), list[Message](), list[object]()
    for number, item in enumerate(items):
        place, fields = f"messages[{number}]", fields_of(item)
        if not can_be_read(fields):
            raise ContractError(f"{place} is no message; found {_kind(item)}")
        try:
            messages = reader.read(fields)
        except ShapeError as error:
            raise ContractError(f"{place}: {error}") from error
        if any(message["role"] == "user" for message in messages):
            turn.clear()
            written.clear()
            continue
        turn += [kept(message, place) for message in messages if message["role"] in {"assistant", "tool"}]
        written.append(fields)
    if not turn or turn[-1]["role"] != "assistant":
        raise ContractError("the list of messages does not end with the agent's answer")
    return turn, written


def _messages(value: object, where: str) -> tuple[list[Message], list[object]]:
    """The messages that a value is, or holds."""
    fields = fields_of(value)
    for holder in (fields, *(fields_of(fields.get(name)) for name in _HOLDERS)):
        for items in (list_of(holder.get("messages")), items_of(holder) or [] if holder else [], [holder]):
            if items and all(map(can_be_read, items)):
                return last_turn(items)
    if (items := list_of(value)) and all(map(can_be_read, items)):
        return last_turn(items)
    if value is None:
        raise ContractError(f"{where} is null; expected text")
    texts = list(texts_in(value))
    if not texts:
        raise ContractError(
            f"the agent's words were not found in it; {_there_is(value, '')}. Say where they are with 'answer', such "
            "as 'data.reply'"
        )
    return [assistant_message(text) for text in texts], []


def texts_in(value: object, depth: int = 0) -> Iterator[str]:
    """The texts that an answer says: of a list, those of each item; of an object, those under the likeliest name."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool | int | float):
        if depth:
            yield as_text(value)
    elif depth < _DEEPEST and (items := list_of(value)):
        texts = [text for item in items for text in texts_in(item, depth + 1)]
        parts = all(fields_of(item).get("type") in {"text", "output_text"} for item in items)
        yield from ["".join(texts)] if parts and texts else texts
    elif depth < _DEEPEST:
        found = _likeliest(fields_of(value))
        yield from () if found is None else texts_in(found, depth + 1)


def _likeliest(fields: dict[str, Any]) -> object:
    """The field that is, or holds, what the agent says; None for none."""
    for name in _SURE:
        if isinstance(fields.get(name), str):
            return fields[name]
    held = [fields[name] for name in (*_SURE, *_UNSURE, *_LISTS) if isinstance(fields.get(name), dict | list)]
    for value in held:
        if any(texts_in(value, 1)):
            return value
    return next((fields[name] for name in _UNSURE if isinstance(fields.get(name), str)), None)


def shown_calls(body: object) -> Iterator[Message]:
    """Tool calls next to the words, with their results where the answer gives them."""
    fields = fields_of(body)
    listed = next((list_of(fields[name]) for name in _CALLS if list_of(fields.get(name))), list[Any]())
    reader = ShapeReader()
    for number, item in enumerate(listed):
        place = f"tool_calls[{number}]"
        call = fields_of(item)
        if not call:
            raise ContractError(f"{place} is {_kind(item)}; expected an object with 'name' and 'arguments'")
        try:
            yield from (kept(one, place) for one in reader.read({"type": "tool_call", **call}))
        except ShapeError as error:
            raise ContractError(f"{place}: {error}") from error


def _there_is(value: object, place: str) -> str:
    where = f"'{place}'" if place else "the answer"
    names = list(fields_of(value))
    if not names:
        return f"{where} is {_kind(value)}"
    shown = ", ".join(names[:_MOST_SHOWN]) + (", …" if len(names) > _MOST_SHOWN else "")
    return f"{where} has the fields {shown}"


_KINDS: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
    dict: "an object",
}


def _kind(value: object) -> str:
    return f"a list of {len(list_of(value))}" if list_of(value) else _KINDS.get(type(value), "no JSON")
