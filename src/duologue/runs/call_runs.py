"""A production call as a stored run, so that people can label it where they label runs. Nobody has judged it."""

from __future__ import annotations

from pydantic_core import to_json
from sqlalchemy import Connection, insert, select

from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.calls import ProductionCall
from duologue.runs.store.database.json_columns import to_text
from duologue.runs.store.database.schema import results, runs, snapshots
from duologue.runs.store.definitions import Project
from duologue.runs.store.encoding import encoded
from duologue.runs.store.records import QueueStatus
from duologue.specs.suite import Suite
from duologue.suites.plan.build import TestCase
from duologue.transcripts.recording import Recording

_NOT_RUN = "this is a production call; make a test case of it to rehearse it"
_NOT_JUDGED = "nobody has judged this production call"


def record_call(connection: Connection, project: Project, call: ProductionCall, found: Recording, now: float) -> str:
    """Store a call as a run, once; the id of the run.

    Args:
        connection: of the transaction.
        project: that has the call.
        call: the call.
        found: its conversation.
        now: seconds since 1970.
    """
    id_ = f"call-{call.id}"
    if connection.execute(select(runs.c.id).where(runs.c.id == id_)).first() is not None:
        return id_
    case = TestCase(index=0, scenario=f"{call.platform} call {call.platform_call_id}"[:200])
    snapshot = take_snapshot(Suite(name=project.name), refused={case.scenario: _NOT_RUN})
    if connection.execute(select(snapshots.c.digest).where(snapshots.c.digest == snapshot.digest)).first() is None:
        kept = {"digest": snapshot.digest, "data": snapshot.data, "created_at": now}
        connection.execute(insert(snapshots).values(kept))
    row = {
        "id": id_,
        "project_id": project.id,
        "agent_id": call.agent_id,
        "snapshot": snapshot.digest,
        "identity": to_text(case.group),
        "trial": 1,
        "test_case": to_json(case.as_data()),
        "provider": "",
        "thread_id": call.platform_call_id,
        "status": QueueStatus.COMPLETED.value,
        "outcome": "undecided",
        "reason": _NOT_JUDGED,
        "output": {"call": {"id": call.id, "platform": call.platform, "platform_call_id": call.platform_call_id}},
        "details": {"seconds": call.seconds} if call.seconds is not None else None,
        "started_at": call.started_at,
        "completed_at": call.started_at + (call.seconds or 0.0),
        "created_at": now,
        "updated_at": now,
    }
    number = connection.execute(insert(runs).values(row).returning(runs.c.number)).scalar_one()
    messages = [item.message for item in found.messages]
    connection.execute(insert(results).values({"run": number, "messages": encoded(messages), "data": b""}))
    return id_
