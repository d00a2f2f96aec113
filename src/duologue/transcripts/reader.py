"""Find files of recordings, and read the conversations that they hold, whatever format they are in.

A format is a :class:`RecordingFormat` that a package registers in the entry point group ``duologue.recording_formats``,
as this one does with its own.
"""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from duologue.config.entry_points import load_registered, registered_names
from duologue.config.problems import listed, nearest, shown
from duologue.errors import ConfigurationError, SuiteError
from duologue.frozen import frozen
from duologue.transcripts.documents import Document, Node, read_document
from duologue.transcripts.recording import Recording

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
    """

    name: str
    about: str
    matches: Callable[[Document], bool]
    read: Callable[[Document], list[Recording]]
    rank: int = 85
    aliases: tuple[str, ...] = ()

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

    Args:
        path: the file: JSON, JSON lines or YAML, of at most 64 MB.
        format: what it is: ``journal``, ``session``, ``arena_output``, ``transcript``, ``openai``, ``tau_bench``,
            ``retell`` or ``vapi``; None to find out from the file.

    Returns:
        At least one; several where the format holds several, in the order of the file.

    Raises:
        SuiteError: the file cannot be read, is in no known format or not in the given one, or is broken; with its
            place.
        ConfigurationError: there is no such format.
    """
    allowed = _allowed(format or "auto")
    document = read_document(Path(path))
    found = next((item for item in allowed if item.matches(document)), None)
    if found is None:
        raise _unknown(document, format)
    recordings = found.read(document)
    if not recordings:
        raise Node(None, str(path)).problem(f"no conversation was found in this {found.name} file")
    if document.torn:
        last = recordings[-1]
        recordings = [*recordings[:-1], replace(last, metadata={"torn": document.torn, **last.metadata})]
    return recordings


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
    other = next((item for item in recording_formats() if item.matches(document)), None)
    if other is not None:
        return place.problem(
            f"{seen}; expected a recording of the format '{format}'. It looks like {_described(other)}"
        )
    known = "; ".join(_described(item) for item in recording_formats())
    return place.problem(f"{seen}; expected a recording in one of these formats: {known}")


def _described(format: RecordingFormat) -> str:
    return f"'{format.name}', {format.about}"
