"""Pictures, sounds and films of a tool's answer as parts of a message. Files are read once and put into the message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from duologue.config.spec import Amount
from duologue.errors import ConfigurationError
from duologue.messages import ContentPart, media_part
from duologue.specs.agent_definition import ToolSource
from duologue.specs.scenario import Media, Part


class _MadeMedia(Media):
    """A picture, sound or film that a tool answers with."""

    width: Amount | None = None
    """Pixels, where the data itself does not say it."""
    height: Amount | None = None
    """Pixels, where the data itself does not say it."""


class _MadePart(Part):
    media: _MadeMedia | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


_READY = ("image_url", "input_audio", "video_url", "file")


def parts_from(written: Iterable[Mapping[str, Any]], suite: ToolSource, *, where: str) -> tuple[ContentPart, ...]:
    """Parts as a suite writes them, as parts of a message.

    Args:
        written: each like a part of a turn, or already a part of a message (``image_url``, ``input_audio`` …).
        suite: what paths are relative to.
        where: for errors.

    Raises:
        ConfigurationError: a part is wrong, or its file cannot be read.
    """
    return tuple(_part(item, suite, f"{where}[{index}]") for index, item in enumerate(written))


def _part(item: Mapping[str, Any], suite: ToolSource, where: str) -> ContentPart:
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


def _media(media: _MadeMedia, suite: ToolSource, where: str) -> ContentPart:
    mime = media.mime_type
    given = {name: value for name in ("detail", "caption", "width", "height") if (value := getattr(media, name))}
    facts = {"mime_type": mime, **given}
    if media.url or media.storage_reference:
        return media_part(mime, url=media.url or str(media.storage_reference), facts=facts)
    if media.data is not None:
        return media_part(mime, data=media.data, facts=facts)
    path = suite.path(media.file_path or "")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{where}: {path} cannot be read: {error}") from error
    return media_part(mime, data=data, facts=facts)
