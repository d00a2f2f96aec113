"""Runs of an execution that may have only so many at once: the others are held back until one of them ends.

A run that is held back waits for an instant that never comes, which names its execution: so the queue passes it
without looking, and the next one of an execution is found by an index. Whoever records the end of a run lets the next
one go; what a dead worker, a cancellation or a deletion has left undone is made up for by :func:`let_all_go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, func, or_, select, update

from duologue.runs.store.database.schema import executions, runs

HELD_BACK = 1e15
"""The instant of a run that is held back, less the number of its execution."""
CONCURRENCY = "concurrency"
"""What the facts of an execution call the number of its runs at once."""


def held_back(rows: Sequence[dict[str, Any]], execution: int, data: object) -> None:
    """Hold back the new runs of an execution that are too many at once.

    Args:
        rows: that are going to be inserted, in order.
        execution: its number.
        data: the facts of the execution.
    """
    most = _most(data)
    for row in rows[most:] if most is not None else ():
        row["not_before"] = HELD_BACK + execution


def let_go(connection: Connection, execution: int, count: int = 1) -> int:
    """Let runs of an execution into the queue that are held back; returns how many there were."""
    waiting = select(runs.c.number).where(runs.c.status == "queued", runs.c.not_before == HELD_BACK + execution)
    found = connection.execute(waiting.order_by(runs.c.number).limit(count)).scalars().all()
    if not found:
        return 0
    still = (runs.c.number.in_(found), runs.c.status == "queued", runs.c.not_before == HELD_BACK + execution)
    return connection.execute(update(runs).where(*still).values(not_before=None)).rowcount


def let_all_go(connection: Connection, only: Sequence[int] = ()) -> int:
    """Let go as many runs of each execution as it may have at once; returns how many there were.

    Args:
        connection: of the transaction.
        only: these executions; empty for all that hold runs back.
    """
    asked = select(runs.c.not_before).where(runs.c.status == "queued", runs.c.not_before >= HELD_BACK).distinct()
    found = [round(at - HELD_BACK) for at in connection.execute(asked).scalars()]
    return sum(_let_go(connection, execution) for execution in found if not only or execution in only)


def hold_back(connection: Connection, number: int, execution: int | None) -> None:
    """Hold back a run that was put into the queue again, and let go whichever of its execution come first."""
    if execution is None:
        return
    data = connection.execute(select(executions.c.data).where(executions.c.id == execution)).scalar()
    if _most(data) is None:
        return
    connection.execute(update(runs).where(runs.c.number == number).values(not_before=HELD_BACK + execution))
    _let_go(connection, execution)


def _let_go(connection: Connection, execution: int) -> int:
    data = connection.execute(select(executions.c.data).where(executions.c.id == execution)).scalar()
    active = select(func.count()).where(
        runs.c.execution_id == execution,
        or_(
            runs.c.status.in_(("pending", "running")),
            (runs.c.status == "queued") & func.coalesce(runs.c.not_before, 0.0).__lt__(HELD_BACK),
        ),
    )
    most = _most(data)
    free = 1_000_000 if most is None else most - (connection.execute(active).scalar() or 0)
    return let_go(connection, execution, free) if free > 0 else 0


def _most(data: object) -> int | None:
    found: object = cast("dict[str, Any]", data).get(CONCURRENCY) if isinstance(data, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None
