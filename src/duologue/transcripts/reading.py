"""Find files of recordings, and read the conversations that they hold, whatever format they are in."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path

from duologue.config.problems import listed, nearest, shown
from duologue.errors import ConfigurationError, SuiteError
from duologue.specs.paths import PATTERN
from duologue.transcripts.documents import Document, read_document
from duologue.transcripts.formats import FORMATS, HINTS, Format
from duologue.transcripts.nodes import Node
from duologue.transcripts.recording import Recording

AUTO = "auto"


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
    allowed = _allowed(format)
    document = read_document(Path(path))
    found = next((item for item in FORMATS if item.name in allowed and item.matches(document)), None)
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
    if not PATTERN & set(pattern) or (folder / pattern).is_file():
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


def _allowed(format: str | None) -> tuple[str, ...]:
    allowed = HINTS.get(format or AUTO)
    if allowed is None:
        known = list(HINTS)
        raise ConfigurationError(
            f"no format of recordings is called {shown(format)}{nearest(str(format), known)} Known: {listed(known)}"
        )
    return allowed


def _unknown(document: Document, format: str | None) -> SuiteError:
    place = Node(None, str(document.path))
    seen = f"found {shown(document.first.value)}" if document.rows is None else "found lines of JSON"
    other = next((item for item in FORMATS if item.matches(document)), None)
    if other is not None:
        return place.problem(f"{seen}; expected a recording of the format '{format}'. It looks like {_told(other)}")
    known = "; ".join(_told(item) for item in FORMATS)
    return place.problem(f"{seen}; expected a recording in one of these formats: {known}")


def _told(format: Format) -> str:
    return f"'{format.name}', {format.about}"
