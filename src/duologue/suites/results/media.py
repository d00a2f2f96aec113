"""Pictures, audio and video of a conversation: measured, and kept as files that other programs can open.

A file is named after its content: the same picture in a thousand runs is one file, and writing it twice is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from duologue.config.files import make_private_folder
from duologue.errors import ArtifactError, MissingExtraError, ResultsError
from duologue.journal.artifacts import JOURNALS, MEDIA, FolderArtifacts
from duologue.suites.results.run import MediaResult, MessageResult, RunResult
from duologue.transcripts.media_facts import Facts, Part, data_of, facts_of, kind_of

LONGEST_THUMBNAIL = 50_000
"""Characters of a data URL; a larger picture has no thumbnail."""


def media_of(messages: Iterable[MessageResult]) -> tuple[MediaResult, ...]:
    """What was shown and heard, in order."""
    return tuple(
        found for message in messages if isinstance(message.message.get("content"), list) for found in _in(message)
    )


def _in(message: MessageResult) -> Iterator[MediaResult]:
    for index, part in enumerate(cast("list[Part]", message.message.get("content"))):
        if part["type"] == "text":
            continue
        mime = kind_of(part)
        kind = "document" if part["type"] == "document_url" else mime.partition("/")[0]
        if kind in {"image", "audio", "video", "document"}:
            yield _measured(message.id, index, part, kind, mime)


def _measured(message_id: str, index: int, part: Part, kind: str, mime: str) -> MediaResult:
    try:
        facts = facts_of(part)
    except MissingExtraError:  # the package that measures is not installed: the size is still known
        facts = Facts()
    address = _address(part)
    inline = address.startswith("data:")
    return MediaResult(
        type=kind,
        mime_type=mime,
        message_id=message_id,
        part=index,
        size_bytes=_size(part),
        duration=facts.seconds,
        width=facts.width,
        height=facts.height,
        url=address if address and not inline else None,
        thumbnail=address if inline and kind == "image" and len(address) <= LONGEST_THUMBNAIL else None,
    )


def _size(part: Part) -> int:
    data = data_of(part)
    if data:
        return len(data)
    written = part.get("metadata")
    if isinstance(written, dict):
        for key, factor in (("size", 1), ("size_bytes", 1), ("size_kb", 1024)):
            value = written.get(key)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            if isinstance(value, int | float) and not isinstance(value, bool):
                return int(value * factor)
    return 0


def _address(part: Part) -> str:
    inner = part.get(str(part.get("type")))
    if isinstance(inner, dict):
        return str(inner.get("url") or "")  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return ""


def with_media_files(run: RunResult, results: Path) -> RunResult:
    """The run, with a file for each of its media whose data is in the conversation.

    Args:
        run: what was played.
        results: the folder of the results; ``path`` of a medium is relative to it.

    Raises:
        ResultsError: a file cannot be written.
    """
    store = FolderArtifacts(results / MEDIA)
    messages = {message.id: message.message for message in run.messages}
    kept: list[MediaResult] = []
    for item in run.media:
        if item.message_id not in messages:  # the recording of the whole, which is a file already
            _bring_home(item, results)
            kept.append(item)
            continue
        parts = cast("list[Part]", messages[item.message_id].get("content"))
        data = data_of(parts[item.part])
        kept.append(replace(item, path=_saved(data, item.mime_type, store)) if data else item)
    return replace(run, media=tuple(kept))


def _bring_home(item: MediaResult, results: Path) -> None:
    """Move what Python code has recorded beside its journal to the other media; journals find it there, too."""
    name = Path(item.path or "").name
    source, target = results / JOURNALS / MEDIA / name, results / MEDIA / name
    if not name or target.exists() or not source.is_file():
        return
    try:
        make_private_folder(target.parent)
        source.replace(target)
    except OSError as error:
        raise ResultsError(f"cannot keep the recording {target}: {error.strerror or error}") from error


def _saved(data: bytes, mime_type: str, store: FolderArtifacts) -> str:
    try:
        return f"{MEDIA}/{store.save(data, mime_type).name}"
    except ArtifactError as error:
        raise ResultsError(f"cannot keep the {mime_type} of a message: {error}") from error
