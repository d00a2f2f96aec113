"""Pictures, sounds and films of a run as files, so that people and other programs can open them.

A file is named after what it holds: the same picture in a thousand runs is one file, and writing it twice is harmless.
"""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from mimetypes import guess_extension
from pathlib import Path
from typing import cast

from duologue.checks.media_facts import Part, data_of
from duologue.errors import ResultsError
from duologue.suites.results.run import MediaResult, RunResult

_EXTENSIONS = {
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/webm": ".weba",
    "image/webp": ".webp",
}
"""Types that not every Python knows."""
MEDIA = "media"
"""The folder within that of the results."""


def with_media_files(run: RunResult, results: Path) -> RunResult:
    """The run, with a file for each of its media whose data is in the conversation.

    Args:
        run: what was played.
        results: the folder of the results; ``path`` of a medium is relative to it.

    Raises:
        ResultsError: a file cannot be written.
    """
    messages = {message.id: message.message for message in run.messages}
    kept: list[MediaResult] = []
    for item in run.media:
        parts = cast("list[Part]", messages[item.message_id].get("content"))
        data = data_of(parts[item.part])
        kept.append(replace(item, path=_write(data, item.mime_type, results)) if data else item)
    return replace(run, media=tuple(kept))


def _extension(mime: str) -> str:
    """What the name of such a file ends with, so that other programs know what it is."""
    kind = mime.partition(";")[0].strip().lower()
    return _EXTENSIONS.get(kind) or guess_extension(kind, strict=False) or ".bin"


def _write(data: bytes, mime: str, results: Path) -> str:
    name = f"{sha256(data).hexdigest()[:24]}{_extension(mime)}"
    path = results / MEDIA / name
    temporary = path.with_name(f".{name}.{os.getpid()}.tmp")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
    except OSError as error:
        raise ResultsError(f"cannot keep the {mime} of a message as {path}: {error}") from error
    return f"{MEDIA}/{name}"
