"""Pictures, sounds and films of a line, as parts of a chat message, within the rules of the prompt.

What is in a file is read and sent along; what is linked stays a link.
"""

from __future__ import annotations

import base64
import binascii
import stat
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

from duologue.config.spec import Spec
from duologue.config.templates import render
from duologue.errors import ConfigurationError, Position
from duologue.messages import ContentPart, media_part
from duologue.specs.prompts import MediaLimits, MediaRules
from duologue.specs.scenario import Media, Part, Turn

MAX_BYTES = 20 * 1024 * 1024
"""Of one picture, sound or film, whatever the prompt says."""
_MB = 1024 * 1024


class HasFiles(Protocol):
    """A suite, or a part of one, that paths are relative to."""

    def path(self, written: str) -> Path:
        """The file that a written path means."""
        ...


def content_of(
    turn: Turn,
    values: Mapping[str, str],
    perturbation: Mapping[str, str],
    files: HasFiles,
    *,
    rules: MediaRules | None = None,
) -> str | list[ContentPart]:
    """The content of the message that a turn of the script says.

    Args:
        turn: with ``content`` or ``parts``.
        values: for ``{{name}}`` in texts; unknown names stay as they are.
        perturbation: for ``{name}``.
        files: finds files by their written paths.
        rules: of the prompt; None for no rules.

    Returns:
        Text, or a list of parts where the turn has parts.

    Raises:
        ConfigurationError: a file cannot be read or is too large, or the rules do not allow it.
    """

    def expand(text: str) -> str:
        return render(text, values, variants=perturbation)

    if not turn.parts:
        return expand(turn.content or "")
    shown = [part for part in turn.parts if part.type != "text"]
    if rules is not None and shown:
        _allowed(shown, rules)
    return [_part(part, files, rules, expand) for part in turn.parts]


def _part(part: Part, files: HasFiles, rules: MediaRules | None, expand: Callable[[str], str]) -> ContentPart:
    if part.type == "text":
        return {"type": "text", "text": expand(part.text or "")}
    media = cast("Media", part.media)
    limits: MediaLimits | None = getattr(rules, part.type) if rules else None
    data = _data(media, files)
    _within(part, media, data, limits)
    made = _written(part.type, media, data, limits)
    _long_enough_known(part, made, limits)
    return made


def _written(kind: str, media: Media, data: bytes | None, limits: MediaLimits | None) -> ContentPart:
    facts: dict[str, Any] = {"mime_type": media.mime_type}
    if media.caption:
        facts["metadata"] = {"caption": media.caption}
    detail = media.detail or (limits.default_detail if limits else None)
    made = media_part(
        media.mime_type,
        data=_encoded(data) if data is not None else None,
        url=media.url or media.storage_reference or "",
        kind=kind,
        facts={"detail": detail} if kind == "image" and detail else None,
    )
    return cast("ContentPart", {**made, **facts})


def _data(media: Media, files: HasFiles) -> bytes | None:
    """The bytes of what is sent along; None for a link."""
    if media.file_path:
        try:
            return _read(files.path(media.file_path))
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise _wrong(media, "file_path", f"'{media.file_path}' cannot be sent: {reason}") from error
    if media.data:
        try:
            return base64.b64decode("".join(media.data.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise _wrong(media, "data", f"this is no base 64: {error}") from error
    return None


def _read(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no ordinary file")
    if status.st_size > MAX_BYTES:
        raise ValueError(f"it has {status.st_size:,} bytes; expected at most {MAX_BYTES:,}")
    return _kept(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _kept(path: Path, _changed: int, _size: int) -> bytes:
    """The bytes of a file. Many runs send the same picture."""
    return path.read_bytes()


@lru_cache(maxsize=4)
def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _allowed(parts: list[Part], rules: MediaRules) -> None:
    for part in parts:
        if not rules.enabled:
            raise _wrong(part, "type", f"found {part.type}; the prompt says that it understands no media")
        if rules.supported_types and part.type not in rules.supported_types:
            allowed = ", ".join(rules.supported_types)
            raise _wrong(part, "type", f"found {part.type}; the prompt understands {allowed}")
    images = [part for part in parts if part.type == "image"]
    most = rules.image.max_images_per_msg if rules.image else None
    if most and len(images) > most:
        raise _wrong(images[most], "type", f"found {len(images)} images; the prompt allows {most} in one message")


def _within(part: Part, media: Media, data: bytes | None, limits: MediaLimits | None) -> None:
    size = len(data or b"")
    if size > MAX_BYTES:
        raise _wrong(media, "data", f"this has {size:,} bytes; expected at most {MAX_BYTES:,}")
    if limits is None:
        return
    if limits.max_size_mb and size > limits.max_size_mb * _MB:
        raise _wrong(media, None, f"this has {size:,} bytes; the prompt allows {limits.max_size_mb} MB")
    from duologue.transcripts.media_facts import form_of

    form = form_of(media.mime_type)
    allowed = [form_of(f"{part.type}/{name.lower()}") for name in limits.allowed_formats]
    if allowed and form not in allowed:
        raise _wrong(media, "mime_type", f"found {form}; the prompt allows {', '.join(limits.allowed_formats)}")
    if limits.require_caption and not media.caption:
        raise _wrong(media, "caption", "the prompt wants a caption; give it one")


def _long_enough_known(part: Part, made: ContentPart, limits: MediaLimits | None) -> None:
    """Sounds and films are measured only where the prompt limits them."""
    if limits is None or part.type == "image" or not (limits.max_duration_sec or limits.require_metadata):
        return
    from duologue.transcripts.media_facts import facts_of

    seconds = facts_of(cast("dict[str, Any]", made)).seconds
    if seconds is None and limits.require_metadata:
        raise _wrong(part, "media", "nobody can say how long this is, and the prompt wants to know")
    if seconds is not None and limits.max_duration_sec and seconds > limits.max_duration_sec:
        raise _wrong(part, "media", f"this takes {seconds:g} s; the prompt allows {limits.max_duration_sec} s")


def _wrong(spec: Spec, field: str | None, message: str) -> ConfigurationError:
    place: Position | None = spec.place(field) if field else spec.place()
    return ConfigurationError(f"{place}: {place.field}: {message}" if place else message)
