"""An execution as files: one JSON file for each run, and an index that says what all of them came to.

::

    FOLDER/index.json            totals, plan, groups with their trials, a line for each run, cost, environment
    FOLDER/runs/<run id>.json    everything about one run

The index alone is enough for lists and totals; :func:`read_run` and :func:`iter_runs` read the rest as it is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from duologue.errors import ConfigurationError
from duologue.reports.encoding import SCHEMA_VERSION, decoded_case, decoded_run, encoded, encoded_run, require_version
from duologue.reports.figures import spent_by_who, spent_of
from duologue.reports.findings import reason_of
from duologue.runs.store.writing import replace_bytes
from duologue.suites.plan.cases import Plan
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.groups import Group
from duologue.suites.results.run import RunResult, Spent

INDEX = "index.json"
RUNS = "runs"


def write_run(run: RunResult, folder: Path) -> Path:
    """Write one run; its file is there whole or not at all.

    Args:
        run: the run.
        folder: of the execution. ``runs/`` in it is made if need be.

    Returns:
        The file: ``folder/runs/<run id>.json``.
    """
    path = folder / RUNS / f"{run.run_id}.json"
    replace_bytes(path, encoded_run(run))
    return path


def write_index(execution: ExecutionResult, folder: Path) -> Path:
    """Write the index of an execution; the files of its runs stand beside it already."""
    path = folder / INDEX
    replace_bytes(path, encoded(index_of(execution)))
    return path


def write_execution(execution: ExecutionResult, folder: Path) -> Path:
    """Write all runs and the index; the index last, so that all that it names is there."""
    for run in execution.runs:
        write_run(run, folder)
    return write_index(execution, folder)


def index_of(execution: ExecutionResult) -> dict[str, Any]:
    """What all runs came to, as plain data."""
    spent = spent_by_who(execution)
    return {
        "schema_version": SCHEMA_VERSION,
        "id": execution.id,
        "suite": execution.suite,
        "path": execution.path,
        "started_at": execution.started_at.astimezone(UTC).isoformat(),
        "seconds": execution.seconds,
        "exit_code": execution.exit_code,
        "interrupted": execution.interrupted,
        "totals": asdict(execution.totals),
        "spent": {who: spent_data(part) for who, part in {**spent, "total": spent_of(spent.values())}.items()},
        "allowance": asdict(execution.allowance),
        "thresholds": execution.thresholds,
        "metrics_threshold": execution.metrics_threshold,
        "grading": execution.grading and execution.grading.model_dump(mode="json"),
        "environment": execution.environment,
        "groups": [group_data(group) for group in execution.groups],
        "runs": [line_of(run) for run in execution.runs],
        "plan": {
            "suite": execution.plan.suite,
            "seed": execution.plan.seed,
            "cases": [case.as_data() for case in execution.plan.cases],
        },
    }


def spent_data(spent: Spent) -> dict[str, Any]:
    """What some model calls took, as plain data."""
    return {
        "calls": spent.calls,
        "input_tokens": spent.usage.input_tokens,
        "output_tokens": spent.usage.output_tokens,
        "cost": spent.cost,
        "unpriced": spent.unpriced,
        "seconds": spent.seconds,
    }


def group_data(group: Group) -> dict[str, Any]:
    """A test case with its trials, as plain data."""
    case = group.case.as_data()
    return {
        **{key: value for key, value in case.items() if key not in {"index", "trial", "seed"}},
        "outcome": group.outcome,
        "pass_rate": group.pass_rate,
        "pass@k": group.pass_at_k,
        "pass^k": group.pass_hat_k,
        "checks": [
            {
                "name": rate.name,
                "passed": rate.passed,
                "decided": rate.decided,
                "rate": rate.rate,
                "flakiness": rate.flakiness,
                "threshold": rate.threshold,
                "ok": rate.ok,
            }
            for rate in group.checks
        ],
        "runs": [run.run_id for run in group.runs],
    }


def line_of(run: RunResult) -> dict[str, Any]:
    """What a list shows of a run, as plain data."""
    spent = spent_of((run.agent, run.user, run.judge))
    return {
        "run_id": run.run_id,
        "file": f"{RUNS}/{run.run_id}.json",
        "journal": run.journal,
        "case": run.case.index,
        "title": run.case.title,
        "outcome": run.outcome,
        "termination": run.termination,
        "reasoning": reason_of(run) or run.reasoning,
        "turns": run.turns,
        "cost": spent.cost,
        "unpriced": spent.unpriced,
        "tokens": spent.usage.total_tokens,
        "seconds": run.seconds,
    }


def read_index(folder: Path) -> dict[str, Any]:
    """The index of an execution, as :func:`index_of` made it.

    Raises:
        ConfigurationError: there is none, or this version cannot read it.
    """
    path = folder / INDEX if folder.is_dir() else folder
    data = _json(path)
    require_version(data, str(path))
    return data


def read_run(folder: Path, run_id: str) -> RunResult:
    """One run of an execution.

    Raises:
        ConfigurationError: there is none of that id, or this version cannot read it.
    """
    if not run_id or Path(run_id).name != run_id:
        raise ConfigurationError(f"{run_id!r} is not the id of a run: it must be the name of a file, without a path")
    return read_run_file(folder / RUNS / f"{run_id}.json")


def read_run_file(path: Path) -> RunResult:
    """The run in a file that :func:`write_run` wrote.

    Raises:
        ConfigurationError: it holds none, or this version cannot read it.
    """
    return decoded_run(_json(path), str(path))


def iter_runs(folder: Path, index: dict[str, Any] | None = None) -> Iterator[RunResult]:
    """The runs of an execution in plan order, one at a time."""
    for line in (index or read_index(folder))["runs"]:
        yield read_run(folder, line["run_id"])


def read_execution(folder: Path) -> ExecutionResult:
    """An execution that was written before, equal to what was written.

    Raises:
        ConfigurationError: the folder holds none, a file is missing, or this version cannot read it.
    """
    folder = folder if folder.is_dir() else folder.parent
    index = read_index(folder)
    try:
        plan = index["plan"]
        return ExecutionResult(
            id=index["id"],
            suite=index["suite"],
            path=index["path"],
            plan=Plan(
                suite=plan["suite"], seed=plan["seed"], cases=tuple(decoded_case(case) for case in plan["cases"])
            ),
            runs=tuple(iter_runs(folder, index)),
            started_at=datetime.fromisoformat(index["started_at"]),
            seconds=index["seconds"],
            interrupted=index["interrupted"],
            allowance=Allowance(**index["allowance"]),
            environment=index["environment"],
            thresholds=index["thresholds"],
            metrics_threshold=index.get("metrics_threshold"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{folder / INDEX} is not the index of an execution: {error!r}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        data: object = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); expected a folder that 'duologue run' wrote"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path} holds a {type(data).__name__}, and an object is expected")
    return cast("dict[str, Any]", data)
