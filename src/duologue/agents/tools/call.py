"""One call of a tool: its context, its result or fault, and the answer that the model reads."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from duologue.frozen import frozen
from duologue.messages import ContentPart, JsonValue
from duologue.models.scope import RunScope
from duologue.specs.scenario import Turn

DEFAULT_SECONDS = 30.0
"""How long a call may take, unless the tool says otherwise."""
_PRETTY = json.JSONEncoder(indent=2, ensure_ascii=False, default=str).encode


class ToolFault(Exception):
    """A call that failed; says why. It becomes an answer with an error, and the run continues.

    Attributes:
        message_for_model: what the model reads in place of ``Error: …``; None for that.
    """

    def __init__(self, message: str, *, message_for_model: str | None = None) -> None:
        super().__init__(message)
        self.message_for_model = message_for_model


class ToolUnreachable(ToolFault):
    """Nobody is there: the tool's address does not answer, its program or server does not start. The run ends."""


@frozen(slots=True)
class ToolAnswer:
    """What the model reads.

    Attributes:
        content: of the tool's message: JSON with two spaces of indentation, text as it is, or parts if there is media.
        value: the result as data; None if the call failed.
        error: why the call failed; None if it did not.
        seconds: that it took.
        unreachable: whether nobody was there to answer, which is no result of the tool; such a call is not recorded.
    """

    content: str | list[ContentPart]
    value: JsonValue = None
    error: str | None = None
    seconds: float = 0.0
    unreachable: bool = False


@frozen(slots=True)
class Result:
    """What a tool gave back.

    Attributes:
        value: as data.
        parts: pictures, sounds and films that go with it.
        text: the value as text, where it comes as text already.
    """

    value: JsonValue
    parts: tuple[ContentPart, ...] = ()
    text: str | None = None


@frozen(slots=True)
class CallContext:
    """Where a tool is called: in which run, during which turn of the script, by which tool call of the model."""

    scope: RunScope
    turn: Turn | None
    call_id: str


Run = Callable[[dict[str, JsonValue], CallContext], Awaitable[Result]]
"""Runs a tool with valid arguments. Raises ToolFault."""
Close = Callable[[], Awaitable[None]]
OnClose = Callable[[Close, str], None]
"""Has something closed with the toolbox: how, and its name for the error where nothing would close it."""


def written(value: JsonValue) -> str:
    """A value as the text of a message."""
    return value if isinstance(value, str) else _PRETTY(value)


def content_of(result: Result) -> str | list[ContentPart]:
    """The content of the message that tells the model of a result."""
    text = written(result.value) if result.text is None else result.text
    if not result.parts:
        return text
    first: list[ContentPart] = [{"type": "text", "text": text}] if text else []
    return [*first, *result.parts]


def as_data(result: Result) -> dict[str, Any]:
    """A result as it stands on a cassette."""
    return {"value": result.value, "parts": list(result.parts)} if result.parts else {"value": result.value}


def from_data(data: dict[str, Any]) -> Result:
    """The result that :func:`as_data` wrote, or the fault that stands on the cassette in its place.

    Raises:
        ToolFault: the call that was recorded did not work.
    """
    if "fault" in data:
        raise ToolFault(data["fault"])
    return Result(value=data.get("value"), parts=tuple(data.get("parts", ())))


def seconds_of(*milliseconds: int | None) -> float:
    """Seconds that a call may take: the first that is given, or 30."""
    return next((given / 1000 for given in milliseconds if given), DEFAULT_SECONDS)
