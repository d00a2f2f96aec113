"""What a voice agent sends besides sound: words, the end of its turn, tool calls, keys, the end of the call.

An adapter returns what its protocol reports, in the order in which it arrives. The driver of the call puts it on the
timeline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from duologue.frozen import frozen
from duologue.voice.audio import AudioChunk


@frozen(kw_only=False)
class AgentWords:
    """Words of the agent, as reported by its side.

    Attributes:
        text: the new words, including the spaces around them.
        replaces: whether ``text`` is everything said in this turn so far, and replaces what was reported before.
        corrects: whether ``text`` is what was heard of the turn that the user interrupted. It is never part of a later
            turn, however late it arrives.
    """

    text: str
    replaces: bool = False
    corrects: bool = False


@frozen(kw_only=False)
class UserWords:
    """What the agent's side understood of the user's speech.

    Attributes:
        text: the user's whole turn.
    """

    text: str


@frozen(kw_only=False)
class AgentTurnEnded:
    """The agent has finished its turn: no more sound of it follows.

    Attributes:
        interrupted: whether its side reports that the user interrupted it.
    """

    interrupted: bool = False


@frozen(kw_only=False)
class UserHeard:
    """The agent's side has noticed that the user is speaking. Sound that has not been heard yet is discarded."""


@frozen(kw_only=False)
class AgentToolCall:
    """The agent calls a tool.

    Attributes:
        call_id: identifies the call; "" if the protocol has no identifiers.
        name: name of the tool.
        arguments: a JSON object.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]


@frozen(kw_only=False)
class AgentToolResult:
    """The result of a tool call.

    Attributes:
        call_id: identifier of the call.
        result: a JSON value.
    """

    call_id: str
    result: Any


@frozen(kw_only=False)
class AgentKeys:
    """Keys that the agent has pressed (DTMF)."""

    keys: str


@frozen(kw_only=False)
class CallEnded:
    """The agent's side has ended the call, as the protocol does it.

    Attributes:
        reason: the reason that its side gave; "" for none.
    """

    reason: str = ""


Incoming = (
    AudioChunk
    | AgentWords
    | UserWords
    | AgentTurnEnded
    | UserHeard
    | AgentToolCall
    | AgentToolResult
    | AgentKeys
    | CallEnded
)
"""Anything that an agent can send."""


def several(given: object) -> list[object]:
    """What code of a user gives: one thing, several or none, as a list. Text, bytes and JSON objects are one thing."""
    if given is None:
        return []
    if type(given) is list:
        return [_plain(item) for item in cast("list[object]", given)]
    if isinstance(given, str | bytes | bytearray | memoryview | dict) or not isinstance(given, Iterable):
        return [_plain(cast("object", given))]
    return [_plain(item) for item in cast("Iterable[object]", given)]


def _plain(item: object) -> object:
    return bytes(cast("bytearray", item)) if isinstance(item, bytearray | memoryview) else item


def incoming(given: object) -> list[Incoming]:
    """What an agent's side gives, as a list. PCM16 becomes a chunk; no bytes are nothing.

    Raises:
        TypeError: it holds something else.
        ValueError: sound that ends in the middle of a sample.
    """
    items: list[Incoming] = []
    for item in several(given):
        if isinstance(item, Incoming):
            items.append(item)
        elif not isinstance(item, bytes):
            raise TypeError(
                "expected sound (an AudioChunk, or PCM16 as bytes) or what else duologue.voice.incoming has; found "
                f"{type(item).__name__}"
            )
        elif item:
            items.append(AudioChunk(item))
    return items
