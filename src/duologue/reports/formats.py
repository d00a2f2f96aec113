"""The reports that can be asked for by name, and the files they are written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

from duologue.errors import ConfigurationError
from duologue.suites.results.execution import ExecutionResult

FORMATS = ("json", "junit", "md", "html", "promptkit")
"""Names of formats, as the command line and suites write them."""

_ALIASES = {"markdown": "md", "xml": "junit", "junit-xml": "junit"}
_FILES = {
    "json": "index.json",
    "junit": "junit.xml",
    "md": "report.md",
    "html": "report.html",
    "promptkit": "promptkit",
}
_PROMPTKIT = ("duologue.compat.promptkit.export", "save_promptkit")
"""Found by name: what speaks other systems' formats stands above everything else."""


def format_named(name: str) -> str:
    """The format of that name, whatever it is also called.

    Raises:
        ConfigurationError: there is none.
    """
    word = name.strip().lower()
    word = _ALIASES.get(word, word)
    if word not in FORMATS:
        raise ConfigurationError(f"no report format is called '{name}'; expected one of {', '.join(FORMATS)}")
    return word


def write_reports(
    execution: ExecutionResult,
    folder: Path,
    formats: Iterable[str],
    *,
    names: Mapping[str, str] | None = None,
    out: Path | None = None,
) -> list[Path]:
    """Write reports.

    Args:
        execution: what to report.
        folder: of its results; pictures and sound in it are shown in the HTML report.
        formats: names of :data:`FORMATS`.
        names: names of files in place of the usual ones, by format.
        out: the folder for the reports; None for that of the results.

    Returns:
        The files, and for ``promptkit`` a folder, in the order of the formats.

    Raises:
        ConfigurationError: a format is not known.
    """
    wanted = list(dict.fromkeys(map(format_named, formats)))
    given = {format_named(name): file for name, file in (names or {}).items()}
    place = out or folder
    return [_write(word, execution, folder, place / given.get(word, _FILES[word])) for word in wanted]


def _write(word: str, execution: ExecutionResult, folder: Path, path: Path) -> Path:
    match word:
        case "junit":
            from duologue.reports.junit import save_junit

            return save_junit(execution, path)
        case "md":
            from duologue.reports.markdown import save_markdown

            return save_markdown(execution, path)
        case "html":
            from duologue.reports.html import save_html

            return save_html(execution, path, folder)
        case "promptkit":
            module, name = _PROMPTKIT
            save = cast("Callable[[ExecutionResult, Path, Path], Path]", getattr(import_module(module), name))
            return save(execution, path, folder)
        case _:
            return _save_json(execution, folder, path)


def _save_json(execution: ExecutionResult, folder: Path, path: Path) -> Path:
    """The index, which is there already if the results were kept; all files where they go to another folder."""
    from duologue.runs.store.encoding import INDEX
    from duologue.runs.store.folder import write_execution, write_index

    if path.name != INDEX:
        from duologue.runs.store.encoding import encoded, index_of
        from duologue.runs.store.writing import replace_bytes

        replace_bytes(path, encoded(index_of(execution)))
        return path
    if path.parent != folder:
        return write_execution(execution, path.parent)
    return path if path.exists() else write_index(execution, folder)
