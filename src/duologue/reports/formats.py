"""Report formats by name, and the files that they are written to.

A format is a :class:`ReportFormat` that a package registers in the entry point group ``duologue.reports``, as this one
does with its own. It is imported when it is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from duologue.config.entry_points import load_registered
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS, MEDIA
from duologue.runs.store.encoding import (
    INDEX,
    LAUNCH,
    RUNS,
    SCHEMA_VERSION,
    encoded,
    index_of,
    is_marked,
    replace_bytes,
    require_replaceable,
)
from duologue.runs.store.folder import write_execution, write_index
from duologue.specs.suite import problem_with_report_name
from duologue.suites.report_names import GROUP, format_named, report_formats
from duologue.suites.results.execution import ExecutionResult

_JSON = "json"
_RESULTS = {INDEX, LAUNCH, RUNS, JOURNALS, MEDIA}
"""What an execution itself leaves in its folder."""


@frozen
class ReportFormat:
    """A format of reports.

    Attributes:
        file: the usual name of the file, or of the folder.
        save: writes the report. Arguments: the execution, the file to write, the folder of the results. Returns what
            was written.
        aliases: other names of the format.
        mark: is found in the first 4,096 bytes of each report of this format: a file without it is somebody else's and
            is never replaced. None if ``save`` sees to that itself.
        known_by: says whether a report of this format lies there; None if the mark says it.
        remove: removes a report that is a folder, and nothing else in it; None for a file.
    """

    file: str
    save: Callable[[ExecutionResult, Path, Path], Path]
    aliases: tuple[str, ...] = ()
    mark: re.Pattern[bytes] | None = None
    known_by: Callable[[Path], bool] | None = None
    remove: Callable[[Path], None] | None = None

    def is_ours(self, path: Path) -> bool:
        """Whether a report of this format lies there, written by Duologue."""
        if self.known_by is not None:
            return self.known_by(path)
        return self.mark is not None and is_marked(path, self.mark)


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
        ConfigurationError: there is no such format; a file name leads out of the folder; or a file of somebody else is
            in the way.
    """
    paths = report_paths(out or folder, formats, names=names)
    return [_format(name).save(execution, path, folder) for name, path in paths.items()]


def report_paths(folder: Path, formats: Iterable[str], *, names: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Where reports will be written, by format. Nothing is written yet.

    Args:
        folder: for the reports.
        formats, names: see :func:`write_reports`.

    Raises:
        ConfigurationError: there is no such format; a file name leads out of the folder; or a file of somebody else is
            in the way.
    """
    given = {format_named(name): file for name, file in (names or {}).items()}
    paths: dict[str, Path] = {}
    for name in dict.fromkeys(map(format_named, formats)):
        found = _format(name)
        paths[name] = report_path(folder, given.get(name) or found.file, own_index=name == _JSON)
        if found.mark is not None:
            require_replaceable(paths[name], found.mark)
    return paths


def reports_in(folder: Path, names: Mapping[str, str], but: Iterable[Path] = ()) -> list[tuple[str, Path]]:
    """The reports of ours that lie in a folder of results, with their formats. The index is none of them.

    Args:
        folder: of the results.
        names: file names that are used instead of the usual ones, by format.
        but: reports that are left out.
    """
    left_out = set(but)
    if not _more_than_results(folder, names, left_out):
        return []
    given = {format_named(name): file for name, file in names.items()}
    found = [(name, _format(name)) for name in report_formats() if name != _JSON]
    places = [
        (name, item, file) for name, item in found for file in dict.fromkeys((item.file, given.get(name, item.file)))
    ]
    paths = [(name, item, report_path(folder, file)) for name, item, file in places]
    return [(name, path) for name, item, path in paths if path not in left_out and item.is_ours(path)]


def _more_than_results(folder: Path, names: Mapping[str, str], but: set[Path]) -> bool:
    """Whether a folder may hold other reports; where it does not, no format has to be imported to look at it."""
    try:
        found = set(os.listdir(folder))  # noqa: PTH208 - names only
    except OSError:
        return False
    found -= {path.name for path in but if path.parent == folder}
    return bool(found - _RESULTS) or any(
        (folder / file).exists() for file in names.values() if folder / file not in but
    )


def remove_reports(folder: Path, names: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Remove the reports on results that are no more, and nothing that is not a report of ours.

    Args:
        folder: of the results.
        names: file names that are used instead of the usual ones, by format.

    Returns:
        The reports that there were, with their formats.
    """
    reports = reports_in(folder, names)
    for name, path in reports:
        if (remove := _format(name).remove) is not None:
            remove(path)
        elif not path.is_dir():
            path.unlink()
    return reports


def renew_reports(
    execution: ExecutionResult,
    folder: Path,
    names: Mapping[str, str],
    *,
    earlier: Iterable[tuple[str, Path]] = (),
    but: Iterable[Path] = (),
) -> list[Path]:
    """Write reports again that were written before the execution came to this end.

    Args:
        execution: what to report.
        folder, names: see :func:`remove_reports`. What lies in the folder was written while the execution went on.
        earlier: reports on it that were removed.
        but: files that are up to date.
    """
    fresh = set(but)
    reports = dict.fromkeys([*earlier, *reports_in(folder, names, fresh)])
    return [_format(name).save(execution, path, folder) for name, path in reports if path not in fresh]


def report_path(folder: Path, name: str, *, own_index: bool = False) -> Path:
    """Where a report of that file name goes.

    Args:
        folder: for the reports.
        name: of the file; it may lie in folders below.
        own_index: the report is the index of the results.

    Raises:
        ConfigurationError: the name leads out of the folder, or to a file of the results.
    """
    problem = problem_with_report_name(name, own_index=own_index)
    path = folder / name
    if problem is None and not path.parent.resolve().is_relative_to(folder.resolve()):
        problem = f"a file in {folder}; '{name}' leads through a link out of it"
    if problem is not None:
        raise ConfigurationError(f"the file name of a report: expected {problem}")
    return path


def _format(name: str) -> ReportFormat:
    return load_registered(GROUP, name)


def _save_json(execution: ExecutionResult, path: Path, folder: Path) -> Path:
    """The index, which is there already if the results were kept; all files where they go to another folder.

    A folder of journals that Python code records may have got more of them since it was reported last.
    """
    growing = any(folder.glob("*.jsonl"))
    if growing or path != folder / INDEX:
        begin = b'{"schema_version":%d,"id":%b' % (SCHEMA_VERSION, encoded(execution.id))
        require_replaceable(path, re.compile(re.escape(begin)))
    if path.name != INDEX:
        replace_bytes(path, encoded(index_of(execution)))
        return path
    if growing or path.parent != folder:
        return write_execution(execution, path.parent)
    return path if path.exists() else write_index(execution, folder)


JSON = ReportFormat(file=INDEX, save=_save_json)
