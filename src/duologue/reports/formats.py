"""Report formats by name, and the files that they are written to.

A format is a :class:`ReportFormat` that a package registers in the entry point group ``duologue.reports``, as this one
does with its own. It is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from duologue.config.entry_points import load_registered, registered_names
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.store.encoding import INDEX, encoded, index_of
from duologue.runs.store.folder import write_execution, write_index
from duologue.runs.store.writing import replace_bytes
from duologue.suites.results.execution import ExecutionResult

GROUP = "duologue.reports"
"""The entry points that formats are registered as, each under the name of its format."""


@frozen
class ReportFormat:
    """A format of reports.

    Attributes:
        file: the usual name of the file, or of the folder.
        save: writes the report. Arguments: the execution, the file to write, the folder of the results. Returns what
            was written.
        aliases: other names of the format.
    """

    file: str
    save: Callable[[ExecutionResult, Path, Path], Path]
    aliases: tuple[str, ...] = ()


def report_formats() -> list[str]:
    """The names of all registered formats in alphabetical order, as the command line and suites write them."""
    return sorted(registered_names(GROUP))


def format_named(name: str) -> str:
    """The name of a format that may be given by an alias.

    Raises:
        ConfigurationError: there is no such format.
    """
    word = name.strip().lower()
    names = report_formats()
    found = word if word in names else next((item for item in names if word in _format(item).aliases), None)
    if found is None:
        raise ConfigurationError(f"no report format is called '{name}'; expected one of {', '.join(names)}")
    return found


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
        formats: names of formats; see :func:`report_formats`.
        names: file names to use instead of the usual ones, by format.
        out: the folder for the reports; None for that of the results.

    Returns:
        The files, and for ``promptkit`` a folder, in the order of the formats.

    Raises:
        ConfigurationError: there is no such format.
    """
    wanted = list(dict.fromkeys(map(format_named, formats)))
    given = {format_named(name): file for name, file in (names or {}).items()}
    place = out or folder
    return [_write(name, execution, folder, place, given.get(name)) for name in wanted]


def _write(name: str, execution: ExecutionResult, folder: Path, place: Path, file: str | None) -> Path:
    found = _format(name)
    return found.save(execution, place / (file or found.file), folder)


def _format(name: str) -> ReportFormat:
    return load_registered(GROUP, name)


def _save_json(execution: ExecutionResult, path: Path, folder: Path) -> Path:
    """The index, which is there already if the results were kept; all files where they go to another folder."""
    if path.name != INDEX:
        replace_bytes(path, encoded(index_of(execution)))
        return path
    if path.parent != folder:
        return write_execution(execution, path.parent)
    return path if path.exists() else write_index(execution, folder)


JSON = ReportFormat(file=INDEX, save=_save_json)
