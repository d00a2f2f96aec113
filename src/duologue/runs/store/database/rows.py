"""Reading runs: one, a page of many, how many there are.

Lists read the rows of ``runs`` and never what is large: conversations, results and journals. A page begins after the
last run of the page before, so that the hundredth costs what the first does, and runs that are added meanwhile move
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.schema import results, runs
from duologue.runs.store.encoding import decoded_case
from duologue.runs.store.records import QueueStatus, StoredRun

MOST = 1000
"""Runs on one page."""
_COLUMNS = [
    runs.c[name]
    for name in (
        "id", "number", "project_id", "status", "eval_id", "persona_id", "scenario_id", "connector_id", "agent_id",
        "agent_version", "execution_id", "test_case", "output", "outcome", "score", "reason", "error", "details",
        "thread_id", "priority", "attempts", "owner", "cancelling", "started_at", "completed_at", "created_at",
        "updated_at",
    )
]  # fmt: skip


@frozen
class RunFilter:
    """Which runs: those for which all of this holds. None holds for every run.

    Attributes:
        status, outcome: one, or several.
        ids: of runs.
    """

    project_id: str | None = None
    status: QueueStatus | Sequence[QueueStatus] | None = None
    outcome: str | Sequence[str] | None = None
    eval_id: str | None = None
    scenario_id: str | None = None
    persona_id: str | None = None
    connector_id: str | None = None
    agent_id: str | None = None
    execution_id: int | None = None
    ids: Sequence[str] | None = None


@frozen
class RunPage:
    """Some runs of a list, in its order.

    Attributes:
        next: what the next page is asked for with; None if this is the last one.
    """

    runs: tuple[StoredRun, ...]
    next: int | None = None


async def get_run(database: Connections, run_id: str) -> StoredRun | None:
    """A run with the conversation of its result; None if there is no such run.

    The conversation of one that is not over is in its journal.
    """
    return await database.read(lambda connection: read_run(connection, run_id))


def read_run(connection: Connection, run_id: str) -> StoredRun | None:
    """:func:`get_run` inside a transaction."""
    asked = select(*_COLUMNS, results.c.messages).join_from(runs, results, results.c.run == runs.c.number, isouter=True)
    row = connection.execute(asked.where(runs.c.id == run_id)).mappings().first()
    return None if row is None else _stored(row, from_json(row["messages"]) if row["messages"] else ())


async def list_runs(
    database: Connections,
    wanted: RunFilter = RunFilter(),  # noqa: B008 -- frozen
    *,
    limit: int = 100,
    after: int | None = None,
    descending: bool = False,
) -> RunPage:
    """A page of runs in the order in which they were created, without their conversations.

    Args:
        database: that they are in.
        wanted: which ones.
        limit: how many at most, up to 1000.
        after: ``next`` of the page before.
        descending: the newest first.

    Raises:
        ConfigurationError: ``limit`` is out of range.
    """
    if not 1 <= limit <= MOST:
        raise ConfigurationError(f"limit: expected 1 to {MOST}, got {limit}")
    asked = select(*_COLUMNS).where(*_conditions(wanted))
    if after is not None:
        asked = asked.where(runs.c.number < after if descending else runs.c.number > after)
    asked = asked.order_by(runs.c.number.desc() if descending else runs.c.number).limit(limit + 1)
    found = await database.read(lambda connection: [_stored(row) for row in connection.execute(asked).mappings()])
    more = len(found) > limit
    return RunPage(runs=tuple(found[:limit]), next=found[limit - 1].number if more else None)


async def count_runs(database: Connections, wanted: RunFilter = RunFilter()) -> int:  # noqa: B008 -- frozen
    """How many such runs there are."""
    asked: Select[Any] = select(func.count()).select_from(runs).where(*_conditions(wanted))
    return await database.read(lambda connection: connection.execute(asked).scalar_one())


def _conditions(wanted: RunFilter) -> list[ColumnElement[bool]]:
    names = (
        "project_id", "eval_id", "scenario_id", "persona_id", "connector_id", "agent_id", "execution_id",
    )  # fmt: skip
    conditions = [runs.c[name] == value for name in names if (value := getattr(wanted, name)) is not None]
    for name, value in (("status", wanted.status), ("outcome", wanted.outcome)):
        if isinstance(value, str):
            conditions.append(runs.c[name] == value)
        elif value is not None:
            conditions.append(runs.c[name].in_([str(item) for item in value]))
    if wanted.ids is not None:
        conditions.append(runs.c.id.in_(wanted.ids))
    return conditions


def _stored(values: RowMapping, messages: Sequence[Any] = ()) -> StoredRun:
    return StoredRun(
        id=values["id"],
        number=values["number"],
        project_id=values["project_id"],
        status=QueueStatus(values["status"]),
        eval_id=values["eval_id"],
        persona_id=values["persona_id"],
        scenario_id=values["scenario_id"],
        connector_id=values["connector_id"],
        agent_id=values["agent_id"],
        agent_version=values["agent_version"],
        execution_id=values["execution_id"],
        case=decoded_case(from_json(values["test_case"])),
        messages=messages,
        output=values["output"],
        outcome=values["outcome"],
        score=values["score"],
        reason=values["reason"],
        error=values["error"],
        metadata=values["details"] or {},
        thread_id=values["thread_id"],
        priority=values["priority"],
        attempts=values["attempts"],
        owner=values["owner"],
        cancelling=values["cancelling"],
        started_at=values["started_at"],
        completed_at=values["completed_at"],
        created_at=values["created_at"],
        updated_at=values["updated_at"],
    )
