"""JSON as columns keep it: any value of ours, and nothing that a database refuses."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from duologue.runs.store.encoding import encoded

_NUL, _REPLACEMENT = r"\u0000", "�"


def to_column(value: object) -> str:
    """A value as JSON. PostgreSQL has no NUL in texts, so ``�`` stands for it."""
    text = encoded(value).decode()
    return _without_nul(text) if _NUL in text else text


def from_column(text: str | bytes) -> Any:
    """What :func:`to_column` wrote."""
    return from_json(text)


def to_text(value: str | None) -> str | None:
    """A text without what databases refuse: NUL, and halves of characters."""
    if value is None:
        return None
    if "\0" in value:
        value = value.replace("\0", _REPLACEMENT)
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _without_nul(text: str) -> str:
    r"""``\u0000`` that is an escape, and not a backslash followed by the letters."""
    pieces = text.split("\\\\")
    return "\\\\".join(piece.replace(_NUL, _REPLACEMENT) for piece in pieces)
