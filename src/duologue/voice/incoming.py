"""What comes from a voice agent, besides its sound: words, the end of its turn, tools, keys, the end of the call.

An adapter gives what its protocol tells, in the order in which it comes. Whoever drives the call places it on the
timeline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from duologue.frozen import frozen
from duologue.voice.audio import AudioChunk


@frozen(kw_only=False)
class AgentWords:
    """Words of the agent, as its side reports them.

    Attributes:
        text: what is new, with the spaces that belong to it.
        replaces: ``text`` is all that the agent has said in this turn, in place of what was reported before.
        corrects: the same, and of the turn that the user has cut off. They belong to no later turn, however late they
            come.
    """

    text: str
    replaces: bool = False
    corrects: bool = False


@frozen(kw_only=False)
class UserWords:
    """What the agent's side has understood of the user.

    Attributes:
        text: the whole turn of the user.
    """

    text: str


@frozen(kw_only=False)
class AgentTurnEnded:
    """The agent has said all that it wants to say: no more sound of this turn follows.

    Attributes:
        interrupted: it was cut off by the user, as its side reports it.
    """

    interrupted: bool = False


@frozen(kw_only=False)
class UserHeard:
    """The agent's side has noticed that the user speaks. What it has sent and nobody has heard yet is void."""


@frozen(kw_only=False)
class AgentToolCall:
    """The agent calls a tool.

    Attributes:
        call_id: tells calls apart; "" if the protocol has none.
        arguments: as JSON.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]


@frozen(kw_only=False)
class AgentToolResult:
    """What a tool has answered.

    Attributes:
        call_id: of the call.
        result: as JSON.
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
        reason: as it was told; "" if it was not.
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
"""One thing that comes from an agent."""


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
