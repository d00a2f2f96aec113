"""Pictures and sound on the page: small ones are part of it, larger ones are linked to where they lie beside it.

What is shown comes from agents and users. Only data of a few harmless types is ever put into the page, and a link
leads to a file of the results or nowhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast
from urllib.parse import quote

from duologue.journal.artifacts import is_harmless
from duologue.suites.results.run import MediaResult, RunResult

_SHOWN = {
    "image": {"image/png", "image/jpeg", "image/gif", "image/webp"},
    "audio": {"audio/wav", "audio/x-wav", "audio/mpeg", "audio/ogg", "audio/mp4", "audio/webm", "audio/flac"},
    "video": {"video/mp4", "video/webm"},
}
_LARGEST = 256 * 1024
"""Bytes of one picture or sound that is put into the page."""
_ALTOGETHER = 6 * 1024 * 1024
"""Bytes of all of them, encoded."""
_DATA = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/=\s]*)", re.IGNORECASE)


class Media:
    """What is put into one page, until it is full.

    Args:
        folder: of the results, whose files may be put into the page; None if only what the results hold may.
        here: the folder that the page will lie in; links are relative to it. None for no links.
    """

    def __init__(self, folder: Path | None = None, here: Path | None = None) -> None:
        self._folder = folder
        self._here = here
        self._left = _ALTOGETHER

    def of(self, run: RunResult) -> list[dict[str, Any]]:
        """The media of a run as data for the page; ``src`` is there for what is shown, ``href`` for what is linked."""
        parts = {(message.id, number): part for message in run.messages for number, part in _parts(message.message)}
        return [self._one(item, parts.get((item.message_id, item.part))) for item in run.media]

    def _one(self, item: MediaResult, part: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            "type": item.type,
            "mime": item.mime_type,
            "message": item.message_id,
            "size": item.size_bytes,
            "duration": item.duration,
            "width": item.width,
            "height": item.height,
            "path": item.path or item.url,
            "href": self._link(item.path),
            "src": self._source(item, part),
        }

    def _source(self, item: MediaResult, part: Mapping[str, Any] | None) -> str | None:
        addresses = [item.thumbnail, _address(part or {}, item.mime_type), self._file(item)]
        for address in addresses:
            found = _DATA.fullmatch(address or "")
            if found is None or found[1].lower() not in _SHOWN.get(item.type, ()):
                continue
            if len(found[0]) <= min(_LARGEST * 4 // 3 + 64, self._left):
                self._left -= len(found[0])
                return found[0]
        return None

    def _file(self, item: MediaResult) -> str | None:
        place = inside(item.path)
        if self._folder is None or place is None or item.mime_type.lower() not in _SHOWN.get(item.type, ()):
            return None
        path = self._folder / place
        try:
            if path.stat().st_size > min(_LARGEST, self._left) or not path.resolve().is_relative_to(
                self._folder.resolve()
            ):
                return None
            return f"data:{item.mime_type};base64,{base64.b64encode(path.read_bytes()).decode()}"
        except (OSError, ValueError):  # a name that no file can have
            return None

    def _link(self, path: str | None) -> str | None:
        """A path from the page to a file of the results; None for what a browser could run, or lies elsewhere."""
        place = inside(path)
        if self._folder is None or self._here is None or place is None or not is_harmless(place.name):
            return None
        try:
            found = (self._folder / place).resolve()
            target = found.relative_to(self._here.resolve())
            if not found.is_file():
                return None
        except (ValueError, OSError):
            return None
        return "./" + quote(target.as_posix())


def inside(path: str | None) -> PurePosixPath | None:
    """A path that stays within the folder it is relative to; None for every other."""
    if not path or "\0" in path or "\\" in path or ":" in path:
        return None
    place = PurePosixPath(path)
    return None if place.is_absolute() or ".." in place.parts else place


def _parts(message: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    content = message.get("content")
    if not isinstance(content, list):
        return []
    parts = cast("list[Any]", content)
    return [(number, cast("Mapping[str, Any]", part)) for number, part in enumerate(parts) if isinstance(part, dict)]


def _address(part: Mapping[str, Any], mime: str) -> str | None:
    inner = part.get(str(part.get("type")))
    if not isinstance(inner, dict):
        return None
    values = cast("dict[str, Any]", inner)
    address = values.get("url") or values.get("file_data")
    if isinstance(address, str):
        return address
    data = values.get("data")
    return f"data:{mime};base64,{data}" if isinstance(data, str) else None
