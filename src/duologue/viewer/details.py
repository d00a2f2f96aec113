"""What only the files of runs say: cost and latency by agent.

Ten thousand files are read as JSON and not as values, which takes a second instead of five.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json

from duologue.frozen import frozen
from duologue.reports.html.data import quantiles
from duologue.runs.store.encoding import RUNS
from duologue.suites.results.run import SPENDERS

Json = dict[str, Any]

_NOTHING = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost": 0.0, "unpriced": 0, "seconds": 0.0}


@frozen
class Details:
    """What all runs of an execution say together.

    Attributes:
        agents: what each agent has spent, and how long its answers took.
    """

    agents: list[Json]


def details_of(folder: Path, run_ids: Iterable[str]) -> Details:
    """Read the files of runs; those that cannot be read are left out."""
    agents: dict[str, Json] = {}
    times: dict[str, list[float]] = {}
    for run_id in run_ids:
        run = run_json(folder, run_id)
        if run is None:
            continue
        name = str(_inner(run, "case").get("agent") or "")
        figures = agents.setdefault(
            name, {"name": name or None, "runs": 0, "passed": 0, "spent": {who: dict(_NOTHING) for who in SPENDERS}}
        )
        figures["runs"] += 1
        figures["passed"] += run.get("outcome") == "pass"
        for who in SPENDERS:
            _add(figures["spent"][who], _inner(run, who))
        times.setdefault(name, []).extend(_times(_objects(run, "messages")))
    for name, figures in agents.items():
        figures["latency"] = quantiles(times[name])
    return Details(agents=list(agents.values()))


def run_json(folder: Path, run_id: str) -> Json | None:
    """The file of a run as JSON; None if it cannot be read."""
    try:
        data: object = from_json((folder / RUNS / f"{run_id}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return cast("Json", data) if isinstance(data, dict) else None


def _inner(data: Mapping[str, Any], name: str) -> Json:
    found: object = data.get(name)
    return cast("Json", found) if isinstance(found, dict) else {}


def _objects(data: Mapping[str, Any], name: str) -> list[Json]:
    found: object = data.get(name)
    items = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("Json", item) for item in items if isinstance(item, dict)]


def _add(total: Json, spent: Mapping[str, Any]) -> None:
    usage = _inner(spent, "usage")
    for name in ("input_tokens", "output_tokens"):
        total[name] += usage.get(name) or 0
    for name in ("calls", "cost", "unpriced", "seconds"):
        total[name] += spent.get(name) or 0


def _times(messages: Iterable[Mapping[str, Any]]) -> Iterable[float]:
    for item in messages:
        spent = _inner(item, "spent")
        if spent and _inner(item, "message").get("role") == "assistant":
            yield float(spent.get("seconds") or 0.0)
