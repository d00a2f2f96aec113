"""What a message may be made of: text, and pictures, sounds and films from files, addresses or stores."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from duologue.specs.spec import Spec


class Media(Spec):
    """A picture, sound or film: exactly one of a file, an address, the data itself or a reference to a store."""

    path_fields: ClassVar[tuple[str, ...]] = ("file_path",)

    mime_type: str
    """Such as ``image/png``."""
    file_path: str | None = None
    """A file; relative to the suite file."""
    url: str | None = None
    """An address."""
    data: str | None = None
    """The data in base 64."""
    storage_reference: str | None = None
    """What a media store calls it."""
    detail: Literal["low", "high", "auto"] | None = None
    """How closely a model should look at a picture."""
    caption: str | None = None
    """What it shows, for people."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [name for name in ("file_path", "url", "data", "storage_reference") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"exactly one of file_path, url, data and storage_reference; it has {found}")
        return self


class Part(Spec):
    """A piece of a message."""

    type: Literal["text", "image", "audio", "video"]
    """What kind of piece."""
    text: str | None = None
    """The text, for a text."""
    media: Media | None = None
    """What is shown or heard, for anything else."""

    @model_validator(mode="after")
    def _has_its_content(self) -> Self:
        if self.type == "text" and self.text is None:
            raise ValueError("a part of type text to have the field 'text'")
        if self.type != "text" and self.media is None:
            raise ValueError(f"a part of type {self.type} to have the field 'media'")
        return self
