"""Pictures, sounds and films in the agent's messages: their formats, sizes and lengths. All of them must be right.

Where the agent sent none, the check fails. What cannot be measured is an error, not a failure of the agent.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from duologue.checks.base import CheckType, Finding, broken, finding
from duologue.checks.registry import check
from duologue.checks.subject import Subject, listed
from duologue.checks.text import Texts
from duologue.models.resources import Resources
from duologue.transcripts.media_facts import Facts, Part, facts_of, form_of, kind_of, parts_of

Pixels = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]
Preset = Literal[
    "480p", "sd", "720p", "hd", "1080p", "fhd", "full_hd", "1440p", "2k", "qhd", "2160p", "4k", "uhd", "4320p", "8k"
]
_HEIGHTS: dict[str, int] = {
    **dict.fromkeys(("480p", "sd"), 480),
    **dict.fromkeys(("720p", "hd"), 720),
    **dict.fromkeys(("1080p", "fhd", "full_hd"), 1080),
    **dict.fromkeys(("1440p", "2k", "qhd"), 1440),
    **dict.fromkeys(("2160p", "4k", "uhd"), 2160),
    **dict.fromkeys(("4320p", "8k"), 4320),
}


class _Media(CheckType):
    media: ClassVar[str]
    """The first half of the MIME type."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        found = media_in(subject, self.media)
        if not found:
            return finding(False, f"the agent sent no {self.media}")
        wrong: list[str] = []
        unknown: list[str] = []
        details: list[dict[str, Any]] = []
        for message_id, part in found:
            told, known = self._wrong(part)
            (wrong if known else unknown).extend(f"{message_id}: {item}" for item in told)
            details.append({"message_id": message_id, "mime_type": kind_of(part)})
        if unknown and not wrong:
            return broken("; ".join(unknown), media=details)
        ids = list(dict.fromkeys(message_id for message_id, _ in found))
        return finding(not wrong, "; ".join(wrong) or f"{len(found)} {self.media} as expected", ids, media=details)

    def _wrong(self, part: Part) -> tuple[list[str], bool]:
        """What is wrong, and whether that is known of the part (or only that it cannot be measured)."""
        raise NotImplementedError


class _Format(_Media):
    formats: Texts
    """Formats, such as ``png`` or ``mp3``. MIME types and other names of a format work, too: ``jpg`` is ``jpeg``,
    ``audio/mpeg`` is ``mp3``."""

    def _wrong(self, part: Part) -> tuple[list[str], bool]:
        form = form_of(kind_of(part))
        good = form in {form_of(f"x/{item.rpartition('/')[2]}") for item in self.formats}
        return ([] if good else [f"format '{form}', expected {listed(self.formats)}"]), True


@check("image_format", family="Media")
class ImageFormat(_Format):
    """Every image that the agent sent has one of these formats."""

    media: ClassVar = "image"


@check("audio_format", family="Media")
class AudioFormat(_Format):
    """Every audio clip that the agent sent has one of these formats."""

    media: ClassVar = "audio"


class _Size(_Media):
    width: Pixels | None = None
    """Exact width, in pixels."""
    height: Pixels | None = None
    """Exact height, in pixels."""
    min_width: Pixels | None = None
    """Minimum width, in pixels."""
    max_width: Pixels | None = None
    """Maximum width, in pixels."""
    min_height: Pixels | None = None
    """Minimum height, in pixels."""
    max_height: Pixels | None = None
    """Maximum height, in pixels."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError(" or ".join(type(self).model_fields))
        return self

    def _wrong(self, part: Part) -> tuple[list[str], bool]:
        facts = facts_of(part)
        if facts.width is None or facts.height is None:
            return [f"the size of this {self.media} is not known"], False
        wrong = _out_of("width", facts.width, self.width or self.min_width, self.width or self.max_width)
        wrong += _out_of("height", facts.height, self.height or self.min_height, self.height or self.max_height)
        return wrong + self._more(facts), True

    def _more(self, facts: Facts) -> list[str]:
        return []


@check("image_dimensions", family="Media")
class ImageDimensions(_Size):
    """The size of every image that the agent sent is within these limits."""

    media: ClassVar = "image"


@check("video_resolution", family="Media")
class VideoResolution(_Size):
    """The resolution of every video that the agent sent is within these limits, or one of the named ones."""

    media: ClassVar = "video"

    presets: Annotated[list[Preset], Field(min_length=1)] | None = None
    """Named resolutions, such as ``720p`` or ``4k``. The height must be that of one of them."""

    def _more(self, facts: Facts) -> list[str]:
        if not self.presets or facts.height in {_HEIGHTS[name] for name in self.presets}:
            return []
        return [f"height {facts.height}, expected {listed(self.presets)}"]


class _Length(_Media):
    min_seconds: Seconds | None = None
    """Minimum duration, in seconds."""
    max_seconds: Seconds | None = None
    """Maximum duration, in seconds."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.min_seconds is None and self.max_seconds is None:
            raise ValueError("min_seconds or max_seconds")
        return self

    def _wrong(self, part: Part) -> tuple[list[str], bool]:
        seconds = facts_of(part).seconds
        if seconds is None:
            return [f"the length of this {self.media} is not known"], False
        return _out_of("seconds", seconds, self.min_seconds, self.max_seconds), True


@check("audio_duration", family="Media")
class AudioDuration(_Length):
    """The duration of every audio clip that the agent sent is within these limits."""

    media: ClassVar = "audio"


@check("video_duration", family="Media")
class VideoDuration(_Length):
    """The duration of every video that the agent sent is within these limits."""

    media: ClassVar = "video"


def media_in(subject: Subject, media: str, role: str = "assistant") -> list[tuple[str, Part]]:
    """The parts of that kind in the messages of that role, with the id of the message."""
    return [
        (record.message_id, part)
        for record in subject.records
        if record.message["role"] == role
        for part in parts_of(record.message)
        if kind_of(part).startswith(f"{media}/")
    ]


def _out_of(what: str, value: float, low: float | None, high: float | None) -> list[str]:
    if low is not None and high is not None and low == high and value != low:
        return [f"{what} {value:g}, {low:g} expected"]
    below = [f"{what} {value:g}, at least {low:g} expected"] if low is not None and value < low else []
    above = [f"{what} {value:g}, at most {high:g} expected"] if high is not None and value > high else []
    return below + above
