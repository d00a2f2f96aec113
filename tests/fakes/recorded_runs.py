"""An execution with a run that is over, its label and a picture, whose numbers are found in no other text."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import artifacts, events, executions, labels, runs
from duologue.runs.store.records import FinishedRun, NewExecution, NewRun, QueueStatus, Snapshot, WorkerRecord
from duologue.suites.plan.build import TestCase

EXECUTION, LABEL, DIGEST = 918_273_645, 827_364_519, "ab12" * 16
SNAPSHOT = Snapshot(digest="sha256:recorded", data=b"{}")
LINES = (
    (0, b'{"seq":0,"at":1.0,"events":[{"type":"user_turn_begun"},{"type":"noted"}]}\n'),
    (2, b'{"seq":2,"at":2.0,"events":[{"type":"model_called","asker":"bot","model":"m","turn":0}]}\n'),
    (3, b'{"seq":3,"at":3.0,"type":"run_finished"}\n'),
)
"""A journal in two attempts, of which only the form counts."""


async def recorded(database: Database, project: str, run_id: str = "run-of-the-shop") -> dict[str, str]:
    """Something of each kind that a run has; its ids by their names in paths."""
    case = TestCase(index=0, scenario="refund", agent="bot")
    new = NewRun(id=run_id, snapshot=SNAPSHOT.digest, case=case)
    made = await database.queue.enqueue(project, [new], snapshots=[SNAPSHOT], execution=NewExecution(name="recorded"))
    assert made.execution is not None
    await database.queue.register(WorkerRecord(id="w", host="here", pid=1, version="0", capacity=1))
    claimed = await database.queue.claim_run("w", run_id)
    assert claimed is not None
    end = FinishedRun(
        status=QueueStatus.ERROR, outcome="error", error="HTTP 500", messages=[{"role": "user", "content": "hi"}]
    )
    await database.queue.finish(claimed, end)
    number = claimed.number

    def work(connection: Connection) -> None:
        row = connection.execute(select(executions).where(executions.c.name == "recorded")).mappings().one()
        connection.execute(insert(executions).values({**row, "id": EXECUTION, "name": "known"}))
        connection.execute(update(runs).where(runs.c.number == number).values(execution_id=EXECUTION))
        values = {"criterion": "", "rater": "ann", "value": "pass", "note": "", "created_at": 0.0}
        connection.execute(insert(labels).values(id=LABEL, run=number, **values))
        connection.execute(insert(artifacts).values(run=number, sha256=DIGEST, mime_type="image/png", size=3))
        rows = [
            {"run": number, "attempt": attempt, "seq": seq, "line": line} for attempt in (1, 2) for seq, line in LINES
        ]
        connection.execute(insert(events), rows)

    await database.write(work)
    return {"execution_id": str(EXECUTION), "run_id": run_id, "label_id": str(LABEL), "sha256": DIGEST}
