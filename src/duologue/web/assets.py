"""The files that pages consist of, and the policy under which a browser shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

from duologue.frozen import frozen

STATIC = "/static/"
"""Where a server has to offer the files: modules name each other relatively, frames name them by this path."""

_STYLES = ("tokens.css", "base.css", "overview.css", "grades.css", "runs.css", "voice.css", "pages.css", "service.css")
"""The style sheet, in order: what comes later may rely on what comes before."""
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The content security policy of every page that a server sends: nothing inline, nothing from another host."""


@frozen
class StaticFile:
    """A file that a browser asks for.

    Attributes:
        content: as it is sent.
        media_type: of the content.
    """

    content: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        """For ``ETag``."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:20]}"'


@lru_cache(maxsize=256)
def static_file(name: str) -> StaticFile | None:
    """What a server answers to ``/static/NAME``; None if there is no such file.

    Args:
        name: of a module or picture, or ``duologue.css`` for the style sheet.
    """
    if name == "duologue.css":
        return StaticFile(content=style().encode(), media_type=_TYPES[".css"])
    media_type = _TYPES.get(Path(name).suffix)
    if media_type is None or name not in _names() or name in _STYLES:
        return None
    return StaticFile(content=_text(f"static/{name}").encode(), media_type=media_type)


@cache
def style() -> str:
    """The style sheet of all pages."""
    return "\n".join(_text(f"static/{name}") for name in _STYLES)


def template(name: str, values: Mapping[str, bytes]) -> bytes:
    """A frame of a page with its gaps filled.

    Args:
        name: of a file in ``templates/``.
        values: what stands in place of ``%%name%%``; it must be safe there.
    """
    pieces = _text(f"templates/{name}").encode().split(b"%%")
    return b"".join(values[piece.decode()] if number % 2 else piece for number, piece in enumerate(pieces))


def module_text(name: str) -> str:
    """The source of an ES module."""
    return _text(f"static/{name}")


@cache
def _names() -> frozenset[str]:
    return frozenset(item.name for item in (files("duologue.web") / "static").iterdir())


@cache
def _text(name: str) -> str:
    return (files("duologue.web") / name).read_text(encoding="utf-8").replace("\r\n", "\n")
