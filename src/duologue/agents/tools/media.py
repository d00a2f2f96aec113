"""Pictures, sounds and films of a tool's answer as parts of a message. Files are read once and put into the message."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from duologue.errors import ConfigurationError
from duologue.messages import ContentPart
from duologue.specs.scenario import Media, Part
from duologue.specs.spec import Amount
from duologue.specs.suite import Suite


class _MadeMedia(Media):
    """A picture, sound or film that a tool answers with."""

    width: Amount | None = None
    """Pixels, where the data itself does not say it."""
    height: Amount | None = None
    """Pixels, where the data itself does not say it."""


class _MadePart(Part):
    media: _MadeMedia | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


_READY = ("image_url", "input_audio", "video_url", "file")


def parts_from(written: Iterable[Mapping[str, Any]], suite: Suite, *, where: str) -> tuple[ContentPart, ...]:
    """Parts as a suite writes them, as parts of a message.

    Args:
        written: each like a part of a turn, or already a part of a message (``image_url``, ``input_audio`` …).
        suite: what paths are relative to.
        where: for errors.

    Raises:
        ConfigurationError: a part is wrong, or its file cannot be read.
    """
    return tuple(_part(item, suite, f"{where}[{index}]") for index, item in enumerate(written))


def media_part(mime: str, data: bytes | str, facts: Mapping[str, Any] | None = None) -> ContentPart:
    """A picture, sound or film as a part of a message.

    Args:
        mime: such as ``image/png``.
        data: the bytes, or base 64 of them.
        facts: more fields of the inner object, such as ``detail``.
    """
    text = data if isinstance(data, str) else base64.b64encode(data).decode("ascii")
    kind, _, form = mime.partition("/")
    if kind == "audio":
        return {
            "type": "input_audio",
            "input_audio": {"data": text, "format": form, "mime_type": mime, **(facts or {})},
        }
    return linked_part(mime, f"data:{mime};base64,{text}", facts)


def linked_part(mime: str, url: str, facts: Mapping[str, Any] | None = None) -> ContentPart:
    """A picture, sound or film behind an address as a part of a message."""
    kind = mime.partition("/")[0]
    name = f"{kind}_url" if kind in {"image", "audio", "video"} else "file"
    part: dict[str, Any] = {"type": name, name: {"url": url, "mime_type": mime, **(facts or {})}}
    return part  # pyright: ignore[reportReturnType] -- audio_url and video_url are no part of OpenAI's own format


def _part(item: Mapping[str, Any], suite: Suite, where: str) -> ContentPart:
    if any(name in item for name in _READY):
        return dict(item)  # pyright: ignore[reportReturnType]
    try:
        part = _MadePart.model_validate(dict(item))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{where}{f'.{field}' if field else ''}: {first['msg']}") from error
    if part.media is None:
        return {"type": "text", "text": part.text or ""}
    return _media(part.media, suite, where)


def _media(media: _MadeMedia, suite: Suite, where: str) -> ContentPart:
    facts = {name: value for name in ("detail", "caption", "width", "height") if (value := getattr(media, name))}
    if media.url or media.storage_reference:
        return linked_part(media.mime_type, media.url or str(media.storage_reference), facts)
    if media.data is not None:
        return media_part(media.mime_type, media.data, facts)
    path = suite.path(media.file_path or "")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{where}: {path} cannot be read: {error}") from error
    return media_part(media.mime_type, data, facts)
