"""What becomes of runs that somebody cancels, and of those whose worker is gone.

The latter go back into the queue, or are set aside with their attempts used up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, or_, select, update

from duologue.runs.store.database.clocks import ClockWatch, boot, since_boot
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.schema import runs, workers
from duologue.runs.store.database.wakeup import CANCELLED, QUEUED, WakeUp
from duologue.runs.store.records import Cancelled, QueueStatus, Recovered

T = TypeVar("T")

MANY = 500
"""Rows that one statement is about."""


def cancel_runs(database: Connections, wakeup: WakeUp, ids: Sequence[str], connection: Connection) -> Cancelled:
    """Cancel runs; in a transaction. Those that no worker has are over at once; the others are stopped by theirs."""
    now = database.now(connection)
    found = [
        row
        for part in parts_of(sorted(ids))  # two that cancel the same lock it in one order
        for row in connection.execute(
            select(runs.c.id, runs.c.number, runs.c.status, runs.c.owner)
            .where(runs.c.id.in_(part))
            .order_by(runs.c.number)
            .with_for_update()
        )
    ]
    under_way = [row for row in found if row.status in {QueueStatus.PENDING, QueueStatus.RUNNING}]
    idle = [row for row in found if row.status == QueueStatus.QUEUED]
    idle += [row for row in under_way if row.owner is None]  # somebody has called it running
    owned = [row for row in under_way if row.owner is not None]
    for part in parts_of([row.number for row in idle]):
        connection.execute(update(runs).where(runs.c.number.in_(part)).values(**cancelled_values(now)))
    for part in parts_of([row.number for row in owned]):
        connection.execute(update(runs).where(runs.c.number.in_(part)).values(cancelling=True, updated_at=now))
    if owned:
        wakeup.notify(connection, CANCELLED)
    ended = [row for row in found if row.status in {QueueStatus.COMPLETED, QueueStatus.ERROR}]
    known = {row.id for row in found}
    return Cancelled(
        cancelled=tuple(row.id for row in idle),
        stopping=tuple(row.id for row in owned),
        over={row.id: QueueStatus(row.status) for row in ended},
        unknown=tuple(run_id for run_id in ids if run_id not in known),
    )


def recover_runs(database: Connections, wakeup: WakeUp, watch: ClockWatch, connection: Connection) -> Recovered:
    """Give back the runs of workers whose lease is over; in a transaction."""
    now = database.now(connection)
    if database.dialect == "postgresql" and not watch.trusts(now, since_boot()):
        return Recovered()
    dead = _dead_workers(database, connection, now)
    gone = select(runs.c.owner).where(runs.c.status == "running").distinct()
    known = select(workers.c.id)
    ownerless = connection.execute(gone.where(runs.c.owner.not_in(known))).scalars().all()
    owners = [*dead, *ownerless]
    if not owners:
        return Recovered()
    left = connection.execute(
        select(runs.c.id, runs.c.number, runs.c.attempts, runs.c.max_attempts, runs.c.cancelling, runs.c.owner)
        .where(runs.c.status == "running", runs.c.owner.in_(owners))
        .order_by(runs.c.number)
        .with_for_update(skip_locked=True, key_share=True)
    ).all()
    cancelled = [row for row in left if row.cancelling]
    used_up = [row for row in left if not row.cancelling and row.attempts >= row.max_attempts]
    again = [row for row in left if not row.cancelling and row.attempts < row.max_attempts]
    new_token = {"owner": None, "token": runs.c.token + 1, "updated_at": now}
    for part in parts_of(again):
        numbers = [row.number for row in part]
        values = {**new_token, "status": "queued", "started_at": None}
        connection.execute(update(runs).where(runs.c.number.in_(numbers)).values(**values))
    for part in parts_of(cancelled):
        numbers = [row.number for row in part]
        connection.execute(update(runs).where(runs.c.number.in_(numbers)).values(**cancelled_values(now), owner=None))
    if used_up:
        poisoned = update(runs).where(runs.c.number == bindparam("run_number"))
        values = {**new_token, "status": "error", "outcome": "error", "completed_at": now}
        rows = [{"run_number": row.number, "error": _poisoned(row.attempts, row.owner)} for row in used_up]
        connection.execute(poisoned.values(**values, error=bindparam("error")), rows)
    lost = update(workers).where(workers.c.id.in_(dead), workers.c.state != "stopped")
    connection.execute(lost.values(state="lost", active=0))
    if again:
        wakeup.notify(connection, QUEUED)
    return Recovered(
        requeued=tuple(row.id for row in again),
        set_aside=tuple(row.id for row in used_up),
        cancelled=tuple(row.id for row in cancelled),
    )


def _dead_workers(database: Connections, connection: Connection, now: float) -> list[str]:
    """Those whose lease is over and who still have runs, or are said to live."""
    over = workers.c.lease_until < now
    if database.dialect == "sqlite":
        over = or_(workers.c.lease_until < since_boot(), workers.c.boot != boot())
    has_runs = select(runs.c.number).where(runs.c.owner == workers.c.id, runs.c.status == "running").exists()
    asked = select(workers.c.id).where(over, or_(workers.c.state.not_in(["lost", "stopped"]), has_runs))
    return list(connection.execute(asked.order_by(workers.c.id).with_for_update(skip_locked=True)).scalars())


def cancelled_values(now: float) -> dict[str, Any]:
    """What a row says of a run that was cancelled."""
    return {
        "status": QueueStatus.CANCELLED.value,
        "outcome": "cancelled",
        "token": runs.c.token + 1,
        "cancelling": False,
        "completed_at": now,
        "updated_at": now,
    }


def _poisoned(attempts: int, owner: str) -> str:
    return (
        f"set aside: {attempts} workers died while they had this run, the last one was {owner}. Its journals are kept; "
        "look at what it does to its process before you retry it"
    )


def parts_of(items: Sequence[T]) -> Iterable[Sequence[T]]:
    """As many as one statement is about."""
    for first in range(0, len(items), MANY):
        yield items[first : first + MANY]
