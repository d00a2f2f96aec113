"""Media in events as base64: taken out where events are written to a file, and put back where they are read.

A line of a file says beside its events what was taken out, and of which place. Nothing that an agent says can look like
such an entry, because what agents say is inside the events.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from duologue.config.patterns import late
from duologue.errors import ArtifactError
from duologue.frozen import frozen
from duologue.journal.artifacts import UNKNOWN_TYPE, Artifact, ArtifactStore, artifact_of
from duologue.messages import stored_data

_DATA_URL = late(r"data:([^;,]{0,100})(?:;[^;,]{1,200})*;base64,", re.IGNORECASE)
_FIELDS = {"data", "file_data", "b64_json"}
_TYPE_FIELDS = ("mime_type", "mimeType", "media_type", "mediaType", "format")
_SHORTEST = 64
"""Characters. A field that is called data and holds less may be a word."""
_FORMATS = {"mp3": "audio/mpeg", "pcm16": "audio/pcm"}


@frozen(slots=True)
class Inline:
    """Data that were taken out of events.

    Attributes:
        place: the keys and numbers that lead to where they stood.
        before: what stood before the base64 text, such as ``data:image/png;base64,``.
        artifact: what they are.
    """

    place: tuple[str | int, ...]
    before: str
    artifact: Artifact
    data: bytes = b""
    load: Callable[[], bytes] | None = None
    """Reads the bytes, where they are kept in a store already and are not in memory."""

    def as_data(self) -> dict[str, Any]:
        """The entry of a line."""
        found = self.artifact
        return {
            "place": self.place,
            "before": self.before,
            "sha256": found.sha256,
            "size": found.size,
            "mime_type": found.mime_type,
        }


async def keep(inline: Inline, store: ArtifactStore) -> None:
    """Keep the bytes of an entry, unless they are known to be kept there.

    Raises:
        ArtifactError: they cannot be kept, or cannot be read where they are.
    """
    if inline.load is None:
        await store.put(inline.data, mime_type=inline.artifact.mime_type)
    elif not await store.has(inline.artifact):
        await store.put(inline.load(), mime_type=inline.artifact.mime_type)


def stored_in(event: object, number: int) -> list[Inline]:
    """The sounds of a message that joined the conversation and that a store keeps already.

    Args:
        event: of a transition.
        number: its place in the transition.
    """
    message: object = getattr(event, "message", None)
    if not isinstance(message, dict):
        return []
    return [
        Inline(
            place=(number, "message", "content", part, "input_audio", "data"),
            before="",
            artifact=Artifact(sha256=data.sha256, size=data.size, mime_type=data.mime_type),
            load=data.load,
        )
        for part, data in stored_data(cast("dict[str, object]", message))
    ]


def take_out(events: list[Any]) -> list[Inline]:
    """Take inline media out of events, which are plain data and are changed; what stood where."""
    taken: list[Inline] = []
    waiting: list[tuple[Any, tuple[str | int, ...]]] = [(events, ())]
    while waiting:
        holder, place = waiting.pop()
        items = enumerate(cast("list[Any]", holder)) if isinstance(holder, list) else list(holder.items())
        for key, value in items:
            if isinstance(value, (dict, list)):
                waiting.append((cast("Any", value), (*place, key)))
            elif isinstance(value, str) and (found := _inline(value, holder, (*place, key))):
                holder[key] = f"sha256:{found.artifact.sha256}"
                taken.append(found)
    return taken


def _inline(text: str, holder: Any, place: tuple[str | int, ...]) -> Inline | None:
    head = _DATA_URL.match(text)
    if head is not None:
        mime, before = head[1], head[0]
    elif place[-1] in _FIELDS and isinstance(holder, dict):
        mime, before = _type_of(cast("dict[str, Any]", holder)), ""
        if not mime or (len(text) < _SHORTEST and place[-2] != "input_audio"):
            return None
    else:
        return None
    payload = text[len(before) :]
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        return None
    # Written in another way, it could not be given back as it was.
    if not data or base64.b64encode(data).decode("ascii") != payload:
        return None
    return Inline(place=place, before=before, artifact=artifact_of(data, mime.lower() or UNKNOWN_TYPE), data=data)


def _type_of(holder: dict[str, Any]) -> str:
    word = next((holder[name] for name in _TYPE_FIELDS if isinstance(holder.get(name), str)), "")
    return word if "/" in word or not word else _FORMATS.get(word.lower(), f"audio/{word}")


def entries_of(raw: object) -> list[Inline]:
    """What a line says was taken out of its events.

    Raises:
        ValueError: it says it in no way that was ever written.
    """
    entries: list[Inline] = []
    items: list[Any] = cast("list[Any]", raw) if isinstance(raw, list) else [raw]
    for item in items:
        try:
            artifact = Artifact(sha256=item["sha256"], size=item["size"], mime_type=item["mime_type"])
            entries.append(Inline(place=tuple(item["place"]), before=item["before"], artifact=artifact))
        except (ArtifactError, KeyError, TypeError) as error:
            raise ValueError(f"found {str(item)[:200]}; expected place, before, sha256, size and mime_type") from error
        if not (item["place"] and [type(item[name]) for name in ("size", "mime_type", "before")] == [int, str, str]):
            raise ValueError(f"found {str(item)[:200]}; expected a place, a size in bytes, a type and a text")
    return entries


def put_back(events: list[Any], entries: Iterable[Inline], load: Callable[[Artifact], bytes]) -> list[str]:
    """Put media back into events, which are changed.

    What cannot be had leaves a sentence in its place.

    Returns:
        What could not be had, and why.

    Raises:
        ValueError: there is no such place in the events.
    """
    missing: list[str] = []
    for entry in entries:
        holder: Any = events
        try:
            for key in entry.place[:-1]:
                holder = holder[key]
            holder[entry.place[-1]]
        except (LookupError, TypeError) as error:
            raise ValueError(f"there is no place {list(entry.place)} in the events") from error
        try:
            text = entry.before + base64.b64encode(load(entry.artifact)).decode("ascii")
        except ArtifactError as error:
            missing.append(str(error))
            text = f"missing artifact {entry.artifact}"
        holder[entry.place[-1]] = text
    return missing
