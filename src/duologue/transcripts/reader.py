"""Find files of recordings, and read the conversations that they hold, whatever format they are in.

A format is a :class:`RecordingFormat` that a package registers in the entry point group ``duologue.recording_formats``,
as this one does with its own.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from duologue.config.entry_points import load_registered, registered_names
from duologue.config.problems import listed, nearest, shown
from duologue.errors import ConfigurationError, SuiteError
from duologue.frozen import frozen
from duologue.transcripts.documents import Document, Node, read_document
from duologue.transcripts.other_files import unread_kind
from duologue.transcripts.recording import EmptyConversationError, Recording, with_known_calls

GROUP = "duologue.recording_formats"
"""The entry points that formats are registered as."""
_ANY = ("auto", "generic")
"""Names that allow every format."""


@frozen
class RecordingFormat:
    """A format of recordings.

    Attributes:
        name: as users write it, such as ``retell``.
        about: one line that describes it, for error messages.
        matches: whether a document is in this format.
        read: the recordings that a document holds.
        rank: formats are tried in this order; those that are recognised for certain come first.
        aliases: other names that allow this format, which may allow further ones too.
        fallback: whether the format is considered only for files that no other one recognises, because its own marks
            are found in others too.
        reports_tool_calls: whether a recording in this format always shows every tool call of the agent, so that none
            in it means that none was made. Formats in which only some recordings do say so of each participant.
    """

    name: str
    about: str
    matches: Callable[[Document], bool]
    read: Callable[[Document], list[Recording]]
    rank: int = 85
    aliases: tuple[str, ...] = ()
    fallback: bool = False
    reports_tool_calls: bool = False

    def allowed_by(self, name: str) -> bool:
        """Whether a format that is asked for by this name may be this one."""
        return name == self.name or name in self.aliases or name in _ANY


@cache
def recording_formats() -> tuple[RecordingFormat, ...]:
    """All registered formats, in the order in which they are tried."""
    formats: list[RecordingFormat] = [load_registered(GROUP, name) for name in registered_names(GROUP)]
    return tuple(sorted(formats, key=lambda item: item.rank))


def read_recordings(path: str | Path, format: str | None = None) -> list[Recording]:
    """The conversations in a file.

    Entries without a conversation, such as calls that nobody answered, are left out; :func:`read_entries` has them too.

    Args:
        path: the file: JSON, JSON lines, YAML or a ZIP archive of JSON files, of at most 64 MB.
        format: what it is, such as ``openai``, ``langfuse`` or ``retell``; None to find out from the file. The guide
            on replaying recordings lists all formats.

    Returns:
        At least one; several where the format holds several, in the order of the file.

    Raises:
        SuiteError: the file cannot be read, is in no known format or not in the given one, or is broken; with its
            place.
        ConfigurationError: there is no such format.
    """
    entries = read_entries(path, format)
    whole = [item for item in entries if item.error is None]
    errors = [item.error for item in entries if item.error is not None]
    broken = [error for error in errors if not isinstance(error, EmptyConversationError)]
    if broken or not whole:
        raise (broken or errors)[0]
    return whole


def read_entries(path: str | Path, format: str | None = None) -> list[Recording]:
    """The conversations in a file, and a recording with an ``error`` for each entry that is broken or empty.

    Args:
        path, format: as for :func:`read_recordings`.

    Raises:
        SuiteError: the file as a whole cannot be read, or is in no known format or not in the given one.
        ConfigurationError: there is no such format.
    """
    allowed = _allowed(format or "auto")
    document = read_document(Path(path))
    found = formats_of(document, allowed)
    if not found:
        raise _unknown(document, format)
    recordings = found[0].read(document)
    if not recordings:
        raise Node(None, str(path)).problem(f"no conversation was found in this {found[0].name} file")
    if len(recordings) > 1:
        recordings = [_numbered(recording) for recording in recordings]
    if document.torn:
        last = recordings[-1]
        recordings = [*recordings[:-1], replace(last, metadata={"torn": document.torn, **last.metadata})]
    if found[0].reports_tool_calls:
        return [with_known_calls(recording, True, keep=True) for recording in recordings]
    return recordings


def _numbered(recording: Recording) -> Recording:
    """One of several recordings of a file. Those that are called like the file are counted from 1."""
    stem = recording.path.name.split(".")[0]
    if recording.name not in {stem, f"{stem} #{recording.index}"}:
        return recording
    return replace(recording, name=f"{stem} #{recording.index + 1}")


def formats_of(document: Document, formats: Sequence[RecordingFormat]) -> list[RecordingFormat]:
    """Those of the formats that recognise a file, best first; more than one only if their marks are not exclusive."""
    certain = [item for item in formats if not item.fallback and item.matches(document)]
    return certain or [item for item in formats if item.fallback and item.matches(document)]


def find_recordings(pattern: str, base: str | Path = ".") -> list[Path]:
    """The files that a path or a pattern such as ``recordings/*.json`` means.

    Args:
        pattern: with ``*``, ``?``, ``[…]`` and ``**``; or the path of one file.
        base: the folder that it is relative to.

    Returns:
        The files by name; for a path without a pattern just that file, whether it is there or not.

    Raises:
        SuiteError: no file matches the pattern.
    """
    folder = Path(base)
    if not glob.has_magic(pattern) or (folder / pattern).is_file():
        return [folder / pattern]
    try:
        names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 -- patterns may begin with ../ or /
    except (OSError, ValueError) as error:
        raise Node(None, str(folder)).problem(f"{shown(pattern)} is no pattern of files: {error}") from error
    files = sorted({folder / name for name in names if (folder / name).is_file()})
    if not files:
        place = Node(None, str(folder))
        raise place.problem(f"no file in the folder '{folder.absolute()}' matches {shown(pattern)}")
    return files


def _allowed(name: str) -> list[RecordingFormat]:
    allowed = [item for item in recording_formats() if item.allowed_by(name)]
    if not allowed:
        known = list(dict.fromkeys(word for item in recording_formats() for word in (item.name, *item.aliases)))
        raise ConfigurationError(
            f"no format of recordings is called {shown(name)}{nearest(name, known)} Known: {listed([*known, *_ANY])}"
        )
    return allowed


def _unknown(document: Document, format: str | None) -> SuiteError:
    place = Node(None, str(document.path))
    seen = f"found {shown(document.first.value)}" if document.rows is None else "found lines of JSON"
    if other := formats_of(document, recording_formats()):
        return place.problem(
            f"{seen}; expected a recording of the format '{format}'. It looks like {_described(other[0])}"
        )
    if told := unread_kind(document):
        return place.problem(f"this is {told}")
    known = ", ".join(f"'{item.name}'" for item in recording_formats())
    return place.problem(
        f"{seen}; expected a recording in one of these formats: {known}. Chat messages with role and content, as a "
        "JSON list or as {messages} in each line, can always be read"
    )


def _described(format: RecordingFormat) -> str:
    return f"'{format.name}', {format.about}"
