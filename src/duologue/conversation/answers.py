"""Answers in the shapes of providers and frameworks, read as chat messages; what none of them is, is refused."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict, is_dataclass
from typing import NamedTuple, cast

from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python

from duologue.conversation.adapter import AgentDone, AttributedMessage, HeldConversation, UserDone
from duologue.conversation.result import ScenarioResult
from duologue.errors import AgentReturnError
from duologue.frozen import changed
from duologue.message_shapes import (
    FRAMEWORKS,
    ShapeError,
    ShapeReader,
    as_fields,
    broke_off,
    framework_of,
    items_of,
    parts_of,
)
from duologue.messages import Message, has_plain_text, mended, stored_data, with_data
from duologue.vocabulary import AgentRole

WRITERS = {
    AgentRole.USER: {"user", "assistant", "system"},
    AgentRole.AGENT: {"assistant"},
    AgentRole.JUDGE: {"user", "assistant", "system"},
}
"""Roles whose plain texts an answer may hold as they are."""
_SHOWN = 200
"""Characters of a wrong answer that an error shows."""


class Said(NamedTuple):
    """A message of an answer, and the model call that wrote it; '' where that is not known."""

    message: Message
    call: str = ""


class Ended(NamedTuple):
    """What an agent has said before it ended the conversation."""

    said: list[Said]
    explanation: str = ""


Answer = list[Said] | ScenarioResult | UserDone | Ended | HeldConversation
"""What a participant may answer, in its one form."""


def at_its_end(value: AgentDone | HeldConversation, role: AgentRole, who: str) -> Answer:
    """An answer with which an agent has ended the conversation."""
    if role is not AgentRole.AGENT:
        raise wrong_answer(value, who, f"{type(value).__name__} is for agents")
    if isinstance(value, AgentDone):
        said = read_shapes(list(value.messages), role, who, ShapeReader())
        return Ended(said, mended(value.explanation))
    messages = [
        changed(item, message=said.message)
        for item in value.messages
        for said in read_shapes(item.message, AgentRole.JUDGE, who, ShapeReader())
    ]
    turns = [item.turn for item in messages]
    if turns != sorted(turns) or any(turn < 0 for turn in turns):
        raise wrong_answer(turns, who, "the turns of a conversation are numbered in order, from 0")
    return changed(value, messages=messages)


def read_shapes(value: object, role: AgentRole, who: str, reader: ShapeReader) -> list[Said]:
    """The chat messages of an answer, whatever shapes its items have.

    Raises:
        AgentReturnError: an item is none that ``call`` may return.
    """
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    return [said for item in items for said in _said(item, role, who, reader)]


def _said(value: object, role: AgentRole, who: str, reader: ShapeReader) -> list[Said]:
    if isinstance(value, AttributedMessage):
        return [Said(message, value.call) for message in _messages(value.message, role, who, reader)]
    return [Said(message) for message in _messages(value, role, who, reader)]


def _messages(value: object, role: AgentRole, who: str, reader: ShapeReader) -> list[Message]:
    """The chat messages that one item of an answer comes to: one, unless its shape holds several or none."""
    if has_plain_text(value) and value["role"] in WRITERS[role]:
        return [value.copy()]
    if (parts := parts_of(value)) is not None:
        return [message for part in parts for message in _messages(part, role, who, reader)]
    item = _as_data(value, who)
    if broke_off(item):
        raise wrong_answer(value, who, "the answer broke off: its finish_reason is 'error'")
    try:
        items = items_of(item)
        found = [message for part in items or [item] for message in reader.read(part)]
    except ShapeError as error:
        raise wrong_answer(value, who, str(error)) from None
    if role is AgentRole.AGENT:
        _refuse_words_of_others(found, who)
    return found


def _as_data(value: object, who: str) -> dict[str, object]:
    """A message or an object of a framework as a mapping of its own."""
    data = as_fields(value)
    if not isinstance(data, dict) and not (is_dataclass(data) and not isinstance(data, type)):
        raise wrong_answer(value, who, "a list may hold chat messages only" if isinstance(value, (str, list)) else "")
    try:
        try:
            found = cast("dict[str, object]", from_json(to_json(data)))
        except PydanticSerializationError:  # one of the reasons is half a character
            whole = mended(data if isinstance(data, dict) else asdict(data))
            found = cast("dict[str, object]", from_json(to_json(mended(to_jsonable_python(whole)))))
    except (PydanticSerializationError, ValueError) as error:
        raise wrong_answer(value, who, f"it cannot be written as JSON: {error}") from error
    if isinstance(data, dict) and (stored := stored_data(cast("dict[str, object]", data))):
        with_data(cast("Message", found), stored)
    return found


def _refuse_words_of_others(messages: list[Message], who: str) -> None:
    """An agent speaks for itself and its tools: it puts no words into the user's mouth."""
    for message in messages:
        if message["role"] not in {"assistant", "tool"}:
            why = (
                f"the role of an agent's own messages is assistant or tool, and this one is the {message['role']}'s: "
                "return only what is new, without the messages that the agent was given"
            )
            raise wrong_answer(message, who, why)


def wrong_answer(value: object, who: str, why: str) -> AgentReturnError:
    """The error of an answer that ``call`` may not return.

    Args:
        value: the answer.
        who: whose it is.
        why: what is wrong with it; '' if that is plain.
    """
    try:
        shown = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError):
        shown = repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}…"
    reason = f" ({why})" if why else ""
    return AgentReturnError(
        f"{who}.call() returned a {type(value).__name__}: {shown}{reason}{_of_framework(value)}. "
        "Expected text, a chat message such as "
        "{'role': 'assistant', 'content': '…'}, a list of those, or a ScenarioResult.",
        who=who,
    )


def _of_framework(value: object) -> str:
    """What to do about an object of a framework that is no answer: an agent, a state, a request."""
    if inspect.isawaitable(value):
        return ", which has to be awaited"
    if (found := framework_of(value)) is None:
        return ""
    name, integration = FRAMEWORKS[found]
    return f", an object of {name} that holds no messages; duologue.integrations.{integration} calls such agents"
