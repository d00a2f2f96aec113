"""What an adapter may return, brought into one form: chat messages, a result, or the end of the user's part."""

from __future__ import annotations

import json
from typing import cast

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from duologue.conversation.adapter import UserDone
from duologue.conversation.result import ScenarioResult
from duologue.errors import AgentReturnError
from duologue.messages import Message
from duologue.vocabulary import AgentRole

Answer = list[Message] | ScenarioResult | UserDone

_SHOWN = 200
"""Characters of a wrong answer that an error shows."""


def normalise(value: object, role: AgentRole, who: str) -> Answer:
    """The answer in its one form.

    Messages are copied through JSON: what an adapter does to its own objects later cannot change the conversation.

    Raises:
        AgentReturnError: it is none of the things that ``call`` may return.
    """
    if isinstance(value, str):
        _check_text(value, who)
        return [{"role": "user" if role is AgentRole.USER else "assistant", "content": value}]
    if isinstance(value, ScenarioResult):
        return value
    if isinstance(value, UserDone):
        if role is not AgentRole.USER:
            raise _wrong(value, who, "UserDone is for simulated users; an agent ends a run with a ScenarioResult")
        return value
    if isinstance(value, list):
        return [_message(item, who) for item in cast("list[object]", value)]
    return [_message(value, who)]


def messages_of(done: UserDone, who: str) -> list[Message]:
    """The last words of a simulated user, if there are any."""
    if done.message is None:
        return []
    return cast("list[Message]", normalise(done.message, AgentRole.USER, who))


def _message(value: object, who: str) -> Message:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude_defaults=False)
    if not isinstance(value, dict):
        raise _wrong(value, who, "a list may hold chat messages only" if isinstance(value, (str, list)) else "")
    message = cast("dict[str, object]", value)
    if not isinstance(message.get("role"), str):
        raise _wrong(message, who, "a chat message needs a 'role'")
    problem = _problem_with(message)
    if problem:
        raise _wrong(message, who, problem)
    try:
        return cast("Message", from_json(to_json(message)))
    except (PydanticSerializationError, ValueError) as error:
        raise _wrong(message, who, f"it cannot be written as JSON: {error}") from error


def _problem_with(message: dict[str, object]) -> str:
    """What keeps a dictionary from being a chat message; '' if nothing does."""
    content = message.get("content")
    if content is not None and not isinstance(content, (str, list)):
        return f"its 'content' is a {type(content).__name__}; expected text, a list of parts or None"
    calls = message.get("tool_calls")
    if calls is None:
        return ""
    if not isinstance(calls, list):
        return f"its 'tool_calls' are a {type(calls).__name__}; expected a list"
    for call in cast("list[object]", calls):
        function = cast("dict[str, object]", call).get("function") if isinstance(call, dict) else None
        named = isinstance(function, dict) and isinstance(cast("dict[str, object]", function).get("name"), str)
        if not named:
            return (
                "each of its 'tool_calls' needs {'id': …, 'type': 'function', 'function': {'name': …, 'arguments': …}}"
            )
    return ""


def _check_text(text: str, who: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise AgentReturnError(f"{who} returned text that is not valid Unicode: {error}", who=who) from error


def _wrong(value: object, who: str, why: str) -> AgentReturnError:
    try:
        shown = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError):
        shown = repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}…"
    reason = f" ({why})" if why else ""
    return AgentReturnError(
        f"{who}.call() returned a {type(value).__name__}: {shown}{reason}. Expected text, a chat message such as "
        "{'role': 'assistant', 'content': '…'}, a list of those, or a ScenarioResult.",
        who=who,
    )
