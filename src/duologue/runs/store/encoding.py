"""Results as JSON and back, in files that a reader sees whole or not at all. What is written reads back equal.

::

    FOLDER/launch.json           what is being run: id, suite, plan; written before the first run
    FOLDER/runs/<run id>.json    everything about one run; written as soon as it is over
    FOLDER/journals/             the journal of each run, event by event; written by the engine
    FOLDER/index.json            totals, plan, groups with their trials, a line for each run, cost; written last

Nobody but their owner reads the files: conversations are private. One thing does not read back equal: text that is not
valid Unicode (halves of surrogate pairs) is written with ``�`` in its place.
"""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.errors import ConfigurationError, ResultsError
from duologue.journal.events import CheckEvaluated, Usage
from duologue.own_model import adapter
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import Allowance, ExecutionResult, Group, embedded_models
from duologue.suites.results.run import SPENDERS, MessageResult, RunResult, Spent, reason_of, total_spent

if TYPE_CHECKING:
    from pydantic import TypeAdapter


_BEGINNING = 4096
"""Bytes of a file that are searched for a mark."""


def replace_file(path: Path, text: str) -> None:
    """Write a text at once: a reader sees the old one or the new one, never a part. See :func:`replace_bytes`."""
    replace_bytes(path, text.encode("utf-8", "backslashreplace"))


def replace_bytes(path: Path, data: bytes) -> None:
    """The same for bytes. Survives a crash of the process; a power failure may leave the old file.

    A new file is for its owner only, and so are folders that are created for it. A file that is replaced keeps the
    permissions that somebody gave it.

    Raises:
        ResultsError: it cannot be written.
    """
    try:
        write_atomic(path, data, permissions=_permissions(path), durable=False)
    except OSError as error:
        raise _failed(path, error) from error


def _permissions(path: Path) -> int:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return OWNER_ONLY
    return stat.S_IMODE(mode) & 0o666 if stat.S_ISREG(mode) else OWNER_ONLY


def _failed(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} cannot be written: {error.strerror or error}")


def require_replaceable(path: Path, mark: re.Pattern[bytes]) -> None:
    """Stop before a file of somebody else is replaced.

    Args:
        path: what is to be written. It may be missing.
        mark: what is found near the beginning of a file of ours.

    Raises:
        ConfigurationError: there is something else at that path.
    """
    if os.path.lexists(path) and not is_marked(path, mark):
        raise ConfigurationError(
            f"{path} exists and was not written by Duologue; nothing was written. Move it elsewhere, or choose another "
            "folder with --out"
        )


def is_marked(path: Path, mark: re.Pattern[bytes]) -> bool:
    """Whether there is an ordinary file with that mark near its beginning."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            return mark.search(file.read(_BEGINNING)) is not None
    except OSError:
        return False


SCHEMA_VERSION = 1
"""Of the files of runs and of the index. It changes when a reader of the old form could not read the new one."""

LAUNCH = "launch.json"
INDEX = "index.json"
RUNS = "runs"

_OPTIONS: Any = {"inf_nan_mode": "strings", "bytes_mode": "base64", "serialize_unknown": True}
_FIELDS = tuple(field.name for field in fields(RunResult) if field.name != "case")
_values = attrgetter(*_FIELDS)


def encoded(value: object) -> bytes:
    """Any value of a result as compact JSON. Numbers that JSON lacks become the strings ``NaN`` and ``Infinity``."""
    try:
        return to_json(value, **_OPTIONS)
    except (PydanticSerializationError, UnicodeEncodeError):
        return _repaired(value)


def _repaired(value: object) -> bytes:
    """The slow way, for text that is no Unicode: the same value with ``�`` in its place."""
    return to_json(_unicode(value), **_OPTIONS)


def _unicode(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_unicode(key): _unicode(item) for key, item in cast("dict[Any, Any]", value).items()}
        case list() | tuple():
            return [_unicode(item) for item in cast("list[Any]", value)]
        case BaseModel():
            return _unicode(dict(value))
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: _unicode(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


def encoded_run(run: RunResult) -> bytes:
    """A run as the content of its file: its fields, in the words of :class:`RunResult`, and its outcome."""
    data: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "outcome": run.outcome,
        "title": run.case.title,
        "case": run.case.as_data(),
    }
    data.update(zip(_FIELDS, _values(run), strict=True))
    data["messages"] = [_message_data(message) for message in run.messages]
    data["checks"] = [_check_data(check) for check in run.checks]
    for who in SPENDERS:
        data[who] = _spent_as_it_is(data[who])
    for name in _WORDS:
        if (word := data[name]) is not None:
            data[name] = str(word)
    return encoded(data)


# The parts that a run has many of, as dictionaries: encoding objects and members of enumerations takes twice as long.

_WORDS = ("status", "verdict", "termination")


def _message_data(message: MessageResult) -> dict[str, Any]:
    return {
        "id": message.id,
        "message": message.message,
        "turn": message.turn,
        "author": message.author,
        "spent": None if message.spent is None else _spent_as_it_is(message.spent),
        "model": message.model,
        "meta": message.meta,
        "cut": message.cut,
    }


def _check_data(check: CheckEvaluated) -> dict[str, Any]:
    return {
        "type": check.type,
        "name": check.name,
        "kind": check.kind,
        "scope": str(check.scope),
        "turn": check.turn,
        "status": str(check.status),
        "score": check.score,
        "explanation": check.explanation,
        "message_ids": check.message_ids,
        "details": check.details,
        "call": check.call,
        "written_as": check.written_as,
    }


def _spent_as_it_is(spent: Spent) -> dict[str, Any]:
    usage = spent.usage
    return {
        "calls": spent.calls,
        "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
        "cost": spent.cost,
        "unpriced": spent.unpriced,
        "seconds": spent.seconds,
    }


def decoded_run(data: dict[str, Any], place: str, case: TestCase | None = None) -> RunResult:
    """A run that was written before.

    Args:
        data: the content of its file.
        place: the name of the file, for errors.
        case: its test case, where somebody knows it already.

    Raises:
        ConfigurationError: it is no run, or was written by a newer version.
    """
    require_version(data, place)
    try:
        run = _runs().validate_python({**data, "case": case or decoded_case(data["case"])})
    except (ValidationError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{place} is not the result of a run: {error}") from error
    for name, seconds in (("seconds", run.seconds), ("agent_seconds", run.agent_seconds)):
        if not math.isfinite(seconds):
            raise ConfigurationError(f"{place} is not the result of a run: {name}: found {seconds}; expected a number")
    return run


def decoded_case(data: dict[str, Any]) -> TestCase:
    """A test case, as :meth:`TestCase.as_data` wrote it.

    Raises:
        TypeError: a number in it is none.
    """
    perturbation = tuple(cast("dict[str, str]", data.get("perturbation", {})).items())
    values: dict[str, Any] = {**data, "perturbation": perturbation}
    for name in ("index", "trial", "trials", "seed"):
        if name in values and not isinstance(values[name], int):
            raise TypeError(f"case.{name}: found {values[name]!r}; expected a whole number")
    return TestCase(**values)


def index_of(execution: ExecutionResult) -> dict[str, Any]:
    """What all runs came to, as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "id": execution.id,
        "suite": execution.suite,
        "path": execution.path,
        "started_at": execution.started_at.astimezone(UTC).isoformat(),
        "seconds": execution.seconds,
        "exit_code": execution.exit_code,
        "interrupted": execution.interrupted,
        **({"running": True} if execution.running else {}),
        "totals": asdict(execution.totals),
        "spent": {who: spent_data(part) for who, part in _spent_of(execution).items()},
        **({"recorded": spent_data(execution.recorded)} if execution.recorded.calls else {}),
        "allowance": allowance_data(execution.allowance),
        "thresholds": execution.thresholds,
        "metrics_threshold": execution.metrics_threshold,
        "grading": execution.grading and execution.grading.model_dump(mode="json"),
        "environment": execution.environment,
        **_calibration_data(execution),
        **({"embedded_models": told} if (told := embedded_models(execution.runs)) else {}),
        "rates": rates_data(execution),
        "groups": [group_data(group) for group in execution.groups],
        "runs": [line_of(run) for run in execution.runs],
        "plan": plan_data(execution.plan),
    }


def _calibration_data(execution: ExecutionResult) -> dict[str, Any]:
    """What labels say of the judge, where there are any."""
    if execution.calibration is None:
        return {}
    from duologue.suites.calibration.as_data import calibration_data

    return {"calibration": calibration_data(execution.calibration)}


def allowance_data(allowance: Allowance) -> dict[str, Any]:
    """What is tolerated, as plain data; without shares that are not asked for."""
    shares = {"pass_rate", "pass_threshold"}
    return {name: value for name, value in asdict(allowance).items() if name not in shares or value is not None}


def rates_data(execution: ExecutionResult) -> dict[str, Any]:
    """Pass rates with their denominators and intervals: of all runs, of each check, pass^k and pass@k."""
    return {
        "runs": asdict(execution.rates.runs),
        "checks": [asdict(check) for check in execution.rates.checks],
        "pass_k": [asdict(item) for item in execution.pass_k],
        "spared": execution.spared,
    }


def _spent_of(execution: ExecutionResult) -> dict[str, Spent]:
    earlier = {"earlier": execution.earlier} if execution.earlier.calls else {}
    return {**execution.spent_by, **earlier, "total": execution.spent}


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan as plain data."""
    return {"suite": plan.suite, "seed": plan.seed, "cases": [case.as_data() for case in plan.cases]}


def decoded_plan(data: dict[str, Any]) -> Plan:
    """A plan, as :func:`plan_data` wrote it."""
    return Plan(suite=data["suite"], seed=data["seed"], cases=tuple(decoded_case(case) for case in data["cases"]))


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


def decoded_spent(data: dict[str, Any] | None) -> Spent:
    """What :func:`spent_data` wrote; nothing for None."""
    if not data:
        return Spent()
    usage = Usage(input_tokens=data["input_tokens"], output_tokens=data["output_tokens"])
    return Spent(
        calls=data["calls"], usage=usage, cost=data["cost"], unpriced=data["unpriced"], seconds=data["seconds"]
    )


def group_data(group: Group) -> dict[str, Any]:
    """A test case with its trials, as plain data."""
    case = group.case.as_data()
    return {
        **{key: value for key, value in case.items() if key not in {"index", "trial", "seed"}},
        "outcome": group.outcome,
        "pass_rate": group.pass_rate,
        "rate": asdict(group.rate),
        "stopped": asdict(group.stopped) if group.stopped else None,
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
    spent = total_spent((run.agent, run.user, run.judge))
    recording = run.recording
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
        **({} if run.voice is None else {"voice": dict(run.voice.figures)}),
        **({"labels": run.labels} if run.labels else {}),
        **({} if recording is None else {"recording": {"name": recording.name, **recording.facts}}),
    }


def require_version(data: dict[str, Any], place: str) -> None:
    """Stop at files that a newer version wrote.

    Raises:
        ConfigurationError: it did.
    """
    version = data.get("schema_version") if isinstance(data, dict) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{place} has schema_version {version!r}, and this version of Duologue reads {SCHEMA_VERSION}: "
            "read it with the version that wrote it, or run the suite again"
        )


@cache
def _runs() -> TypeAdapter[RunResult]:
    return adapter(RunResult)
