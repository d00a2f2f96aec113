"""What is known of a picture, a sound or a film in a message: its type, its size, how long it is.

Numbers in the part itself (``metadata``) come first; otherwise the bytes in the part are measured. Nothing
is fetched: what is only linked has the facts that are written beside the link.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import mimetypes
import struct
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

from duologue.errors import MissingExtraError
from duologue.frozen import frozen
from duologue.messages import Message, StoredData

_AUDIO_FORMATS = {"mp3": "audio/mpeg", "pcm16": "audio/pcm", "m4a": "audio/mp4", "oga": "audio/ogg"}
_FORMAT_NAMES = {
    **dict.fromkeys(("mpeg", "mpga"), "mp3"),
    **dict.fromkeys(("x-wav", "wave", "vnd.wave"), "wav"),
    **dict.fromkeys(("pcm16", "l16"), "pcm"),
    "jpg": "jpeg",
    "svg+xml": "svg",
    "x-flac": "flac",
    "x-m4a": "m4a",
    "quicktime": "mov",
}
_OF_PARTS = {"image_url": "image/*", "input_audio": "audio/*", "video_url": "video/*"}
_ATOMS = {b"moov", b"trak", b"mdia"}

Part = Mapping[str, Any]


@frozen
class Facts:
    """Sizes in pixels and length in seconds; None where it is not known."""

    width: int | None = None
    height: int | None = None
    seconds: float | None = None


def parts_of(message: Message) -> list[Part]:
    """The parts of a message that are no text."""
    content = message.get("content")
    if not isinstance(content, list):
        return []
    return [cast("Part", part) for part in content if part.get("type") != "text"]


def kind_of(part: Part) -> str:
    """The MIME type of a part, such as ``image/png``; '' if nobody can say."""
    inner = _inner(part)
    written = inner.get("mime_type") or part.get("mime_type")
    if written:
        return str(written).casefold()
    if "format" in inner:
        form = str(inner["format"]).casefold()
        return _AUDIO_FORMATS.get(form, f"audio/{form}")
    address = _address(part)
    if address.startswith("data:"):
        return address[5:].split(",", 1)[0].split(";", 1)[0].casefold()
    guessed = mimetypes.guess_type(str(inner.get("filename") or address.split("?", 1)[0]))[0]
    return guessed or {"image_url": "image/*", "input_audio": "audio/*", "video_url": "video/*"}.get(
        part.get("type", ""), ""
    )


def form_of(mime: str) -> str:
    """The format of a MIME type, by its usual short name: ``audio/mpeg`` is ``mp3``."""
    form = mime.partition("/")[2].casefold()
    return _FORMAT_NAMES.get(form, form)


def facts_of(part: Part) -> Facts:
    """Size and length of a part.

    Raises:
        MissingExtraError: the bytes are there, and the package that measures them is not.
    """
    written = _written(part)
    mime = kind_of(part)
    complete = written.seconds is not None if mime.startswith("audio/") else written.width is not None
    if complete and (written.seconds is not None or not mime.startswith("video/")):
        return written
    data = data_of(part)
    if not data:
        return written
    seen = _measured(data, mime, _number(_inner(part).get("sample_rate", 24_000), float) or 0.0)
    return Facts(
        width=written.width or seen.width,
        height=written.height or seen.height,
        seconds=seen.seconds if written.seconds is None else written.seconds,
    )


def data_of(part: Part) -> bytes:
    """The bytes that a part carries; b'' if it only links them."""
    inner = _inner(part)
    if isinstance(stored := inner.get("data"), StoredData):
        return stored.load()
    address = _address(part)
    text = address.split(",", 1)[1] if address.startswith("data:") and "," in address else inner.get("data", "")
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _inner(part: Part) -> Mapping[str, Any]:
    inner = part.get(part.get("type", ""))
    return cast("Mapping[str, Any]", inner) if isinstance(inner, dict) else part


def _address(part: Part) -> str:
    inner = _inner(part)
    return str(inner.get("url") or inner.get("file_data") or inner.get("file_path") or "")


def _written(part: Part) -> Facts:
    inner = _inner(part)
    data: dict[str, Any] = {}
    for source in (part, inner, part.get("metadata"), inner.get("metadata")):
        if isinstance(source, dict):
            data |= cast("dict[str, Any]", source)
    seconds = data.get("duration", data.get("duration_seconds"))
    return Facts(
        width=_number(data.get("width"), int),
        height=_number(data.get("height"), int),
        seconds=_number(seconds, float),
    )


def _number(value: Any, kind: type[Any]) -> Any:
    a_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return kind(value) if a_number else None


def _measured(data: bytes, mime: str, rate: float) -> Facts:
    if mime.startswith("image/"):
        width, height = _package("imagesize").get(io.BytesIO(data))
        return Facts(width=width, height=height) if width > 0 else Facts()
    if form_of(mime) == "pcm":
        return Facts(seconds=len(data) / 2 / rate) if rate > 0 else Facts()
    if not mime.startswith(("audio/", "video/")):
        return Facts()
    tinytag = _package("tinytag")
    try:
        seconds = tinytag.TinyTag.get(file_obj=io.BytesIO(data), tags=False).duration
    except (tinytag.TinyTagException, struct.error, ValueError, IndexError):
        seconds = None
    size = next(_track_sizes(data), None) if mime.startswith("video/") else None
    width, height = size or (None, None)
    return Facts(width=width, height=height, seconds=float(seconds) if seconds else None)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError("measuring media", "checks", name) from error


def _track_sizes(data: bytes, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Width and height of the tracks of an MP4 or MOV file that have some (ISO/IEC 14496-12, track header box)."""
    place = 0
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        header = 8
        if length == 1 and place + 16 <= len(data):
            length, header = struct.unpack_from(">Q", data, place + 8)[0], 16
        length = length or len(data) - place
        if length < header:
            return
        body = data[place + header : place + length]
        if name == b"tkhd" and len(body) >= 84:
            width, height = struct.unpack_from(">II", body, len(body) - 8)
            if width and height:
                yield width >> 16, height >> 16
        elif name in _ATOMS and depth < 4:
            yield from _track_sizes(body, depth + 1)
        place += length
