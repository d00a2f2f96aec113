"""Changes of stored runs by hand: a field that is named is changed, and no other.

Whoever changes the status of a run that a worker carries out takes it away from that worker: what the worker still
writes is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from pydantic_core import to_json
from sqlalchemy import Connection, Row, delete, insert, select, update

from duologue.config.problems import listed
from duologue.errors import ConfigurationError
from duologue.runs.store.database.json_columns import to_text
from duologue.runs.store.database.queue import next_attempt
from duologue.runs.store.database.schema import results, runs
from duologue.runs.store.records import OVER, QueueStatus, instant, whole_number

FIELDS = (
    *("status", "started_at", "completed_at", "messages", "output", "result", "error", "metadata", "thread_id"),
    "priority",
)
"""What can be changed."""


def status_named(status: QueueStatus | str | None) -> QueueStatus | None:
    """The status of that name; None for None.

    Raises:
        ConfigurationError: there is none.
    """
    if status is None:
        return None
    try:
        return QueueStatus(status)
    except ValueError:
        known = listed(item.value for item in QueueStatus)
        raise ConfigurationError(f"status is {status!r}; expected one of {known}") from None


def change_run(connection: Connection, run_id: str, project_id: str, changes: Mapping[str, Any], now: float) -> bool:
    """Change fields of a run; False if there is no such run.

    Args:
        connection: of a transaction.
        run_id: of the run.
        project_id: that it belongs to.
        changes: by name; None clears a field.
        now: the instant of the change.

    Raises:
        ConfigurationError: there is no such field, or it cannot have that value.
    """
    if unknown := [name for name in changes if name not in FIELDS]:
        raise ConfigurationError(f"a run has no field {listed(unknown)} that can be changed; known: {listed(FIELDS)}")
    asked = select(runs).where(runs.c.id == run_id, runs.c.project_id == project_id).with_for_update()
    row = connection.execute(asked).first()
    if row is None:
        return False
    values: dict[str, Any] = {"updated_at": now}
    for name, value in changes.items():
        if name == "status":
            values |= _status(connection, row, value)
        elif name == "result":
            values |= _result(value)
        elif name in {"started_at", "completed_at"}:
            values[name] = _instant(name, value)
        elif name == "metadata":
            values["details"] = _mapping(name, value)
        elif name == "output":
            values[name] = _mapping(name, value)
        elif name == "priority":
            values[name] = whole_number(name, value)
        elif name != "messages":
            values[name] = to_text(_text(name, value))
    connection.execute(update(runs).where(runs.c.number == row.number).values(**values))
    if "messages" in changes:
        _store_messages(connection, row.number, changes["messages"])
    return True


def _status(connection: Connection, row: Row[Any], value: object) -> dict[str, Any]:
    status = status_named(cast("str", value))
    if status is None:
        raise ConfigurationError(f"status is None; expected one of {listed(item.value for item in QueueStatus)}")
    values: dict[str, Any] = {"status": status.value}
    if row.status == status:
        return values
    if row.owner is not None:
        values |= {"owner": None, "token": row.token + 1, "cancelling": False}
    if status in {QueueStatus.ERROR, QueueStatus.CANCELLED}:
        values["outcome"] = status.value
    elif status not in OVER:
        values["outcome"] = None
        if row.status in {QueueStatus.COMPLETED, QueueStatus.ERROR}:  # its journal has an end, and would repeat it
            values["journal_from"] = next_attempt(connection, row.number)
    return values


def _result(value: object) -> dict[str, Any]:
    if value is None:
        return {"outcome": None, "score": None, "reason": None}
    result = _mapping("result", value) or {}
    if unknown := [name for name in result if name not in {"success", "score", "reason"}]:
        raise ConfigurationError(f"result has no field {listed(unknown)}; known: success, score, reason")
    success, score = result.get("success"), result.get("score")
    if not isinstance(success, bool):
        raise ConfigurationError(f"result.success is {success!r}; expected true or false")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1):
        raise ConfigurationError(f"result.score is {score!r}; expected a number from 0 to 1")
    reason = to_text(_text("result.reason", result.get("reason")))
    return {"outcome": "pass" if success else "fail", "score": score, "reason": reason}


def _instant(name: str, value: object) -> float | None:
    """Seconds since 1970, from a number, a datetime or a text of ISO 8601."""
    if value is None:
        return None
    if isinstance(value, int | float):
        return instant(name, value)
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(cast("str", value))
    except (TypeError, ValueError):
        told = "expected seconds since 1970, a datetime or a text such as 2026-01-31T12:00:00Z"
        raise ConfigurationError(f"{name} is {value!r}; {told}") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _mapping(name: str, value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {value!r}; expected a mapping")
    return {str(key): item for key, item in cast("Mapping[Any, Any]", value).items()}


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{name} is {value!r}; expected a text")
    return value


def _store_messages(connection: Connection, number: int, value: object) -> None:
    if value is None:
        value = ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in cast("list[Any]", value)):
        raise ConfigurationError("messages: expected a list of chat messages")
    messages = to_json(list(cast("list[Any]", value)), inf_nan_mode="null")
    there = connection.execute(select(results.c.run).where(results.c.run == number)).first()
    if there is not None:
        connection.execute(update(results).where(results.c.run == number).values(messages=messages))
    elif value:
        connection.execute(insert(results).values(run=number, messages=messages, data=b""))
    else:
        connection.execute(delete(results).where(results.c.run == number))
