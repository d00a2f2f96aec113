"""The recordings of files and folders that a command is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from duologue.cli.output import echo
from duologue.errors import ConfigurationError, SuiteError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.transcripts.recording import Recording

_SUFFIXES = {".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".zip", ".gz", ".eval", ".txt"}


def recordings_in(sources: Sequence[Path], format: str | None) -> Iterator[Recording]:
    """The recordings of all files; an entry that cannot be read is told and left out."""
    from duologue.transcripts.reader import read_entries

    paths = [path for source in sources for path in _files(source)]
    for path in paths:
        try:
            entries = read_entries(path, format)
        except SuiteError as error:
            if len(paths) == 1:
                raise
            echo(f"left out: {one_line(error)}", err=True)
            continue
        for entry in entries:
            if entry.error is None:
                yield entry
            else:
                echo(f"left out: {one_line(entry.error)}", err=True)


def _files(source: Path) -> list[Path]:
    from duologue.journal.artifacts import JOURNALS

    if not source.is_dir():
        return [source]
    inner = source / JOURNALS
    if inner.is_dir():  # of an execution: its other files tell of the same runs
        return sorted(inner.glob("*.jsonl"))
    found = sorted(path for path in source.rglob("*") if path.is_file() and path.suffix.lower() in _SUFFIXES)
    if not found:
        raise ConfigurationError(f"{source} holds no recordings")
    return found
