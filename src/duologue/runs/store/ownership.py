"""Whose a folder is: what is being run in it, which files an execution of ours wrote, and where nothing may be written.

Results go into a folder that is new, empty, or holds an execution. ``--overwrite`` removes what that execution wrote,
by its own plan, and nothing else. Everything else in a folder belongs to somebody. What is being run is kept in
``launch.json``, so that an execution that was cut off can be read and resumed.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pydantic_core import to_json

from duologue.config.files import set_aside
from duologue.config.patterns import late
from duologue.config.problems import similar_file
from duologue.errors import ArtifactError, ConfigurationError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS, MEDIA
from duologue.journal.inline_media import entries_of
from duologue.runs.store.encoding import (
    INDEX,
    LAUNCH,
    RUNS,
    SCHEMA_VERSION,
    allowance_data,
    decoded_case,
    decoded_plan,
    encoded,
    plan_data,
    replace_bytes,
    require_version,
)
from duologue.suites.plan.build import Filters, Plan
from duologue.suites.results.execution import Allowance

Definition = Mapping[str, str]


@frozen
class Selection:
    """How the test cases of a plan were chosen from the suite.

    Attributes:
        filters: which scenarios, agents and so on.
        trials: how often each case is repeated; None for what the suite says.
        groups: the cases of an earlier execution that did not pass; None for all.
        until_decided: trials of every case end when they decide about it.
    """

    filters: Filters = field(default_factory=Filters)
    trials: int | None = None
    until_decided: bool = False
    groups: tuple[str, ...] | None = None


@frozen
class Deaths:
    """How often the process ended while a run was under way.

    Attributes:
        count: how often.
        how: how it ended the last time, such as ``exit code 0``.
        killed: it was ended from outside, which says nothing about the run.
        definition: of the run then; another one is another try.
    """

    count: int
    how: str
    killed: bool = False
    definition: Definition = field(default_factory=dict[str, str])


@frozen
class LaunchFile:
    """The content of the file.

    Attributes:
        id: of the execution.
        suite, path: name and main file of the suite.
        plan: all that is to be run.
        selection: how the plan was made; None if the file does not say (Duologue 0.1).
        started_at: when the first session began; None if the file does not say.
        session_at: when the last session began.
        earlier_seconds: how long the sessions before it took.
        allowance, thresholds: as in the index.
        outdated: definitions of results that were made under another one, and stay until there are new ones, by run id.
        deaths: of runs during which the process ended, by run id.
    """

    id: str
    suite: str
    path: str
    plan: Plan
    selection: Selection | None = None
    started_at: datetime | None = None
    session_at: datetime | None = None
    earlier_seconds: float = 0.0
    allowance: Allowance = field(default_factory=Allowance)
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, "Mapping[str, float]"])
    outdated: Mapping[str, Definition] = field(default_factory=dict[str, Definition])
    deaths: Mapping[str, Deaths] = field(default_factory=dict[str, Deaths])


def write_launch(folder: Path, launch: LaunchFile) -> None:
    """Write the file.

    Raises:
        ResultsError: it cannot be written.
    """
    data = {
        "schema_version": SCHEMA_VERSION,
        "id": launch.id,
        "suite": launch.suite,
        "path": launch.path,
        "plan": plan_data(launch.plan),
        "selection": launch.selection and asdict(launch.selection),
        "started_at": _written(launch.started_at),
        "session_at": _written(launch.session_at),
        "earlier_seconds": launch.earlier_seconds,
        "allowance": allowance_data(launch.allowance),
        "thresholds": launch.thresholds,
        "outdated": launch.outdated,
        "deaths": {run_id: asdict(deaths) for run_id, deaths in launch.deaths.items()},
    }
    replace_bytes(folder / LAUNCH, encoded(data))


def read_launch(folder: Path) -> LaunchFile:
    """Read the file of a folder.

    Raises:
        ConfigurationError: there is none, it is damaged, or this version cannot read it.
    """
    path = folder / LAUNCH
    try:
        data: object = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigurationError(_absent(folder)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not isinstance(data, dict):
        raise _damaged(path, f"found a {type(data).__name__}, expected an object")
    values = cast("dict[str, Any]", data)
    require_version(values, str(path))
    try:
        return _decoded(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from error


def _decoded(data: dict[str, Any]) -> LaunchFile:
    for name in ("id", "suite", "path"):
        if not isinstance(data[name], str):
            raise TypeError(f"{name} is no text")
    return LaunchFile(
        id=data["id"],
        suite=data["suite"],
        path=data["path"],
        plan=decoded_plan(data["plan"]),
        selection=_selection(data.get("selection")),
        started_at=_time(data.get("started_at")),
        session_at=_time(data.get("session_at")),
        earlier_seconds=float(data.get("earlier_seconds") or 0.0),
        allowance=_allowance(data.get("allowance")),
        thresholds=dict(data.get("thresholds") or {}),
        outdated=dict(data.get("outdated") or {}),
        deaths=_deaths(data.get("deaths")),
    )


def _selection(data: dict[str, Any] | None) -> Selection | None:
    if data is None:
        return None
    groups: Sequence[str] | None = data["groups"]
    return Selection(
        filters=Filters(**{name: tuple(names) for name, names in data["filters"].items()}),
        trials=data["trials"],
        until_decided=bool(data.get("until_decided")),
        groups=None if groups is None else tuple(groups),
    )


def _allowance(data: dict[str, Any] | None) -> Allowance:
    return Allowance(**data) if data else Allowance()


def _deaths(data: dict[str, dict[str, Any]] | None) -> dict[str, Deaths]:
    return {run_id: Deaths(**found) for run_id, found in (data or {}).items()}


def _absent(folder: Path) -> str:
    if not folder.is_dir():
        similar = similar_file(folder)
        return f"{folder} does not exist; expected the folder of an execution, as 'duologue run' wrote it{similar}"
    if any(folder.iterdir()) and not (folder / "journals").is_dir():
        return f"{folder} holds no execution: there is no {LAUNCH} in it"
    return (
        f"{folder} holds no execution: there is no {LAUNCH} in it. If it was stopped before its first run began, there "
        f"is nothing to resume: start it with --out {folder} instead"
    )


def _damaged(path: Path, why: object) -> ConfigurationError:
    reason = repr(why) if isinstance(why, Exception) else why
    return ConfigurationError(
        f"{path} cannot be read: {reason}. Without it the execution cannot be resumed; 'duologue show' still shows "
        f"single runs: {path.parent}/runs/RUN.json"
    )


def _written(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat()


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


PASSED_OVER = frozenset({".gitignore", ".gitkeep", ".keep", ".DS_Store", "Thumbs.db", "lost+found"})
"""What a folder may hold and still count as empty."""
_SET_ASIDE = r"(\.(replaced|unreadable|partial|attempt-\d+)(\.\d+)?)*"
_RUN_FILE = late(rf"(?P<run>.+-[0-9a-f]{{16}})\.json{_SET_ASIDE}")
_JOURNAL_FILE = late(rf"(?P<run>.+-[0-9a-f]{{16}})\.jsonl{_SET_ASIDE}")
_MEDIA_FILE = late(r"([0-9a-f]{64}|[0-9a-f]{24})\.[a-z0-9]{1,8}")
_FOLDERS = (RUNS, JOURNALS, MEDIA)
_NAMED = 5
"""Entries of a folder that an error names."""


def require_free(folder: Path, *, overwrite: bool = False) -> None:
    """Stop before results are written into a folder that is not ours. Nothing is changed.

    Args:
        folder: where results are to be written. It may be missing, or empty.
        overwrite: it may also hold an execution of ours, which :func:`clear` removes.

    Raises:
        ConfigurationError: what was found in it, and what to do.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ConfigurationError(f"cannot create the results folder {folder}: it is a file. Choose another with --out")
    found = sorted(name for name in set(_names(folder)) - PASSED_OVER if not _left_empty(folder / name))
    if not found:
        return
    if not {LAUNCH, INDEX} & set(found):
        raise _foreign(folder, found, f"there is neither {LAUNCH} nor {INDEX} in it")
    if not overwrite:
        raise ConfigurationError(
            f"{folder} holds the results of an execution; choose another folder with --out, go on with it with "
            "--resume, or say --overwrite"
        )
    require_ours(folder)
    for name in _FOLDERS:
        if (folder / name).is_symlink():
            raise ConfigurationError(
                f"{folder / name} is a link to {(folder / name).readlink()}, which Duologue never writes; nothing was "
                "removed. Choose another folder with --out"
            )


def require_ours(folder: Path) -> str:
    """The id of the execution that a folder holds.

    Raises:
        ConfigurationError: its index or launch is not one of ours, or they are of two executions.
    """
    found = {name: _execution(folder / name) for name in (LAUNCH, INDEX) if os.path.lexists(folder / name)}
    known = [item for item in found.values() if item is not None]
    if not known:
        raise _foreign(folder, sorted(_names(folder)), f"its {' and '.join(found) or LAUNCH} is not of Duologue")
    for name, item in found.items():
        if item is None and not (name == INDEX and _torn_index(folder / name, known[0][0])):
            raise _foreign(folder, sorted(_names(folder)), f"its {name} is damaged, or not of Duologue")
    if any(item[0] != known[0][0] for item in known):
        raise _foreign(folder, sorted(_names(folder)), f"its {LAUNCH} and {INDEX} are of different executions")
    return known[0][0]


def make_way_for_index(folder: Path) -> None:
    """Before an execution continues: an index that cannot be read is kept under another name.

    Raises:
        ConfigurationError: the index is whole, and of something else.
    """
    path = folder / INDEX
    if not os.path.lexists(path) or _execution(path) is not None:
        return
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        set_aside(path, "unreadable")
        return
    raise ConfigurationError(f"{path} is not the index of an execution; move it elsewhere, then resume again")


def clear(folder: Path) -> None:
    """Remove the files that the execution of a folder wrote, and nothing else.

    Raises:
        ConfigurationError: the folder holds no execution of ours, and anything else. Nothing was removed.
    """
    require_free(folder, overwrite=True)
    if not ({LAUNCH, INDEX} & set(_names(folder))):
        return
    files = list(written_files(folder))
    for path in files:
        path.unlink(missing_ok=True)


def written_files(folder: Path) -> Iterator[Path]:
    """The files in a folder that its execution wrote, without reports; the launch last.

    Raises:
        ConfigurationError: the folder holds no execution of ours.
    """
    require_ours(folder)
    found = [item for item in (_execution(folder / LAUNCH), _execution(folder / INDEX)) if item]
    execution = found[0][0]
    ids = {case.run_id(execution) for _, plan in found for case in plan.cases}
    runs = [path for path in _files(folder / RUNS, _RUN_FILE) if _is_run(path, execution, ids)]
    journals = [path for path in _files(folder / JOURNALS, _JOURNAL_FILE) if _is_journal(path, execution, ids)]
    media = set(_media_of_runs(runs)) | set(_media_of_journals(journals))
    yield from (path for path in _files(folder / MEDIA, _MEDIA_FILE) if path.name in media)
    yield from journals
    yield from runs
    yield from (path for path in (folder / INDEX, folder / LAUNCH) if os.path.lexists(path))


def _foreign(folder: Path, found: Sequence[str], why: str) -> ConfigurationError:
    named = ", ".join(map(repr, found[:_NAMED]))
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ConfigurationError(
        f"{folder} is not empty and holds no results of Duologue ({why}); found {named}{more}. "
        f"Nothing was written or removed. Choose a new or empty folder with --out, such as {folder / 'results'}"
    )


def _left_empty(path: Path) -> bool:
    """Whether it is one of our folders with nothing in it, as a process that was killed early leaves it."""
    return path.name in _FOLDERS and path.is_dir() and not path.is_symlink() and not _names(path)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names only
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read: {error.strerror or error}") from error


def _files(folder: Path, names: re.Pattern[str]) -> Iterator[Path]:
    """Ordinary files of such names right in a folder; links are followed nowhere."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for name in sorted(_names(folder)):
        path = folder / name
        if names.fullmatch(name) and stat.S_ISREG(path.lstat().st_mode):
            yield path


def _execution(path: Path) -> tuple[str, Plan] | None:
    """Id and plan in a launch or an index; None if it is none of ours."""
    if path.is_symlink():
        return None
    data = _object(path)
    try:
        execution, plan = data["id"], decoded_plan(data["plan"])
        texts = [execution, data["suite"], data["path"], plan.suite]
        if (
            data["schema_version"] != SCHEMA_VERSION
            or not plan.cases
            or not all(isinstance(item, str) for item in texts)
        ):
            return None
        ids = {case.run_id(execution).rpartition("-")[2] for case in plan.cases}
        lines: list[dict[str, str]] = data["runs"] if path.name == INDEX else []
        if any(line["file"] != f"{RUNS}/{line['run_id']}.json" for line in lines):
            return None
        return (execution, plan) if all(line["run_id"].rpartition("-")[2] in ids for line in lines) else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _torn_index(path: Path, execution: str) -> bool:
    """Whether it is the beginning of our index, as a power failure may leave it."""
    start = b'{"schema_version":%d,"id":%b' % (SCHEMA_VERSION, to_json(execution))
    try:
        with path.open("rb") as file:
            data = file.read(len(start))
    except OSError:
        return False
    return data == start[: len(data)] and not path.is_symlink()


def _is_run(path: Path, execution: str, ids: set[str]) -> bool:
    found = _RUN_FILE.fullmatch(path.name)
    assert found is not None
    if found["run"] in ids:
        return True
    data = _object(path)  # a case that the plan no longer has, or has under another name
    try:
        return decoded_case(data["case"]).run_id(execution) == found["run"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _is_journal(path: Path, execution: str, ids: set[str]) -> bool:
    found = _JOURNAL_FILE.fullmatch(path.name)
    assert found is not None
    if found["run"] in ids:
        return True
    try:
        with path.open("rb") as file:
            started = json.loads(file.readline(1_000_000))["events"][0]
        case = decoded_case(started["scenario"]["metadata"]["case"])
        return case.run_id(execution) == found["run"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _media_of_runs(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        media: object = _object(path).get("media")
        for item in cast("list[Any]", media) if isinstance(media, list) else ():
            written: object = cast("dict[str, Any]", item).get("path") if isinstance(item, dict) else None
            if isinstance(written, str) and written.startswith(f"{MEDIA}/"):
                yield written.removeprefix(f"{MEDIA}/")


def _media_of_journals(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                if b'"artifacts":[' not in line:
                    continue
                try:
                    yield from (entry.artifact.name for entry in entries_of(json.loads(line)["artifacts"]))
                except (ValueError, LookupError, TypeError, ArtifactError, RecursionError):
                    continue


def _object(path: Path) -> dict[str, Any]:
    """The object that a file holds; an empty one if it holds none."""
    try:
        data: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}
