"""What a judge is given of a conversation in voice: who spoke when, and the sound, if its model takes sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from duologue.frozen import frozen
from duologue.messages import ContentPart, Message, StoredData, user_message
from duologue.models.scope import BYTES_PER_TOKEN

MOST_SOUND = 18_000_000
"""Characters of base64 of all sounds in one request: providers take 20 MB in all."""
TIMELINE_HEAD = """\
Seconds since the call began, as it was heard. Cite messages, not times."""


@frozen
class HeardMessage:
    """The sound of a message.

    Attributes:
        id: of the message, such as ``m3``.
        part: as it stands in the message.
    """

    id: str
    part: ContentPart

    @property
    def size(self) -> int:
        """Characters of base64."""
        sound = self.part.get("input_audio")
        data = sound.get("data", "") if isinstance(sound, dict) else ""
        return (data.size + 2) // 3 * 4 if isinstance(data, StoredData) else len(str(data))

    @property
    def given(self) -> ContentPart:
        """The part with its data, which are read where a store keeps them."""
        sound = self.part.get("input_audio")
        data = sound.get("data") if isinstance(sound, dict) else None
        if sound is None or not isinstance(data, StoredData):
            return self.part
        return {**self.part, "input_audio": {**sound, "data": data.base64()}}


def sounds_in(messages: Sequence[Message], ids: Sequence[str]) -> list[HeardMessage]:
    """The sounds of a conversation, in order.

    Args:
        messages: the conversation.
        ids: of the messages.
    """
    return [
        HeardMessage(id=message_id, part=part)
        for message, message_id in zip(messages, ids, strict=True)
        for part in _parts(message)
        if part.get("type") == "input_audio"
    ]


def with_sounds(messages: Sequence[Message], sounds: Sequence[HeardMessage]) -> list[Message]:
    """A request with sounds behind its last text, each under the id of its message.

    As many of the last ones are given as there is room for; the text says which are left out.

    Args:
        messages: the request; its last message is the user's.
        sounds: in order.
    """
    if not sounds:
        return list(messages)
    room, given = MOST_SOUND, list[HeardMessage]()
    for sound in reversed(sounds):
        if sound.size > room:
            break
        room -= sound.size
        given.insert(0, sound)
    left_out = [sound.id for sound in sounds if sound not in given]
    told = "The sound of the messages follows, each under its id."
    if left_out:
        told += f" That of {', '.join(dict.fromkeys(left_out))} is left out, because it is too large."
    *before, last = messages
    parts: list[ContentPart] = [{"type": "text", "text": f"{last.get('content') or ''}\n\n{told}"}]
    for sound in given:
        name: ContentPart = {"type": "text", "text": f"[{sound.id}]"}
        parts += [name, sound.given]
    return [*before, cast("Message", {**user_message(""), "content": parts})]


def within(timeline: str, tokens: int) -> str:
    """A timeline of about that many tokens at most: lines in its middle are left out."""
    room = tokens * BYTES_PER_TOKEN
    if len(timeline) <= room:
        return timeline
    lines = timeline.splitlines()
    kept = max(2, len(lines) * room // len(timeline))
    left_out = len(lines) - 2 * (kept // 2)
    return "\n".join([*lines[: kept // 2], f"({left_out} lines are left out here)", *lines[-(kept // 2) :]])


def _parts(message: Message) -> Sequence[ContentPart]:
    content = message.get("content")
    return content if isinstance(content, list) else ()
