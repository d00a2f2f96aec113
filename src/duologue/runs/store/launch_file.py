"""``launch.json``: what is being run, so that an execution that was cut off can be read and resumed.

Written before the first run of every session: the plan with how it was chosen, when the execution began and how long
its earlier sessions took, and which results are only there until others take their place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.store.encoding import LAUNCH, SCHEMA_VERSION, decoded_plan, encoded, plan_data, require_version
from duologue.runs.store.writing import replace_bytes
from duologue.suites.plan.build import Filters
from duologue.suites.plan.cases import Plan
from duologue.suites.results.execution import Allowance

Definition = Mapping[str, str]


@frozen
class Selection:
    """How the test cases of a plan were chosen from the suite.

    Attributes:
        filters: which scenarios, agents and so on.
        trials: how often each case is repeated; None for what the suite says.
        groups: the cases of an earlier execution that did not pass; None for all.
    """

    filters: Filters = field(default_factory=Filters)
    trials: int | None = None
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
        "allowance": asdict(launch.allowance),
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
        groups=None if groups is None else tuple(groups),
    )


def _allowance(data: dict[str, Any] | None) -> Allowance:
    return Allowance(**data) if data else Allowance()


def _deaths(data: dict[str, dict[str, Any]] | None) -> dict[str, Deaths]:
    return {run_id: Deaths(**found) for run_id, found in (data or {}).items()}


def _absent(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} does not exist; expected the folder of an execution, as 'duologue run' wrote it"
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
