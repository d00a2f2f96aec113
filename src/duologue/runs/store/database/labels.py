"""Labels: what people say of a run, or of one criterion of it. Each rater has one for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from duologue.errors import NotFoundError
from duologue.frozen import frozen
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.schema import labels, runs
from duologue.suites.calibration.labels import Label, LabelValue

_AT_ONCE = 500
"""Runs that are asked for at once."""


@frozen
class StoredLabel:
    """What one person says.

    Attributes:
        run_id: of the run.
        criterion: its text, or the name of a check; '' for the run as a whole.
        value: whether it is met, or the run passes.
        rater: who says so.
        note: why.
        created_at: seconds since 1970; that of the last change.
    """

    id: int
    run_id: str
    criterion: str
    value: LabelValue
    rater: str
    note: str
    created_at: float


def label_of(stored: StoredLabel) -> Label:
    """A label as calibration takes it."""
    return Label(
        run=stored.run_id, criterion=stored.criterion, value=stored.value, rater=stored.rater, note=stored.note
    )


class Labels:
    """The labels of one project.

    Args:
        database: that they are in.
        project_id: of the project.
    """

    def __init__(self, database: Connections, project_id: str) -> None:
        self._database, self._project = database, project_id

    async def set(
        self, run_id: str, *, criterion: str, value: LabelValue, rater: str, note: str = ""
    ) -> tuple[StoredLabel, bool]:
        """Say something of a run, in place of what the same rater has said of it before.

        Returns:
            The label, and whether it is new.

        Raises:
            NotFoundError: the project has no such run.
        """

        def work(connection: Connection) -> tuple[StoredLabel, bool]:
            number = self._number(connection, run_id)
            now = self._database.now(connection)
            place = {"run": number, "criterion": criterion, "rater": rater}
            is_it = (labels.c.run == number) & (labels.c.criterion == criterion) & (labels.c.rater == rater)
            values = {"value": value, "note": note, "created_at": now}
            changed = connection.execute(update(labels).where(is_it).values(**values)).rowcount
            if not changed:
                connection.execute(insert(labels).values(**place, **values))
            return self._found(connection, is_it)[0], not changed

        return await self._database.write(work)

    async def list(
        self, *, run_id: str | None = None, execution_id: int | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[StoredLabel]:
        """Labels in the order in which they were first given.

        Args:
            run_id, execution_id: only of that run, of runs of that execution.
            after: the id of the last one of the page before.
            limit: how many at most.

        Raises:
            NotFoundError: the project has no such run.
        """

        def work(connection: Connection) -> list[StoredLabel]:
            conditions: list[ColumnElement[bool]] = []
            if run_id is not None:
                conditions.append(labels.c.run == self._number(connection, run_id))
            if execution_id is not None:
                conditions.append(runs.c.execution_id == execution_id)
            if after is not None:
                conditions.append(labels.c.id > after)
            return self._found(connection, *conditions, limit=limit)

        return await self._database.read(work)

    async def state(self, execution_id: int) -> str:
        """What changes with every label of an execution that is given, changed or taken back."""

        def work(connection: Connection) -> str:
            asked = (
                select(func.count(), func.max(labels.c.id), func.max(labels.c.created_at))
                .select_from(labels.join(runs, runs.c.number == labels.c.run))
                .where(runs.c.project_id == self._project, runs.c.execution_id == execution_id)
            )
            return "-".join(map(str, connection.execute(asked).one()))

        return await self._database.read(work)

    async def of_runs(self, ids: Sequence[str]) -> Sequence[StoredLabel]:
        """All labels of these runs, as far as the project has them."""

        def work(connection: Connection) -> list[StoredLabel]:
            parts = [ids[begin : begin + _AT_ONCE] for begin in range(0, len(ids), _AT_ONCE)]
            return [label for part in parts for label in self._found(connection, runs.c.id.in_(part))]

        return await self._database.read(work)

    async def delete(self, run_id: str, label_id: int, *, rater: str | None) -> bool:
        """Take a label back. False if there is none.

        Args:
            run_id: of the run.
            label_id: of the label.
            rater: only if it is theirs; None for anybody's.
        """

        def work(connection: Connection) -> bool:
            number = self._number(connection, run_id)
            asked = delete(labels).where(labels.c.id == label_id, labels.c.run == number)
            if rater is not None:
                asked = asked.where(labels.c.rater == rater)
            return connection.execute(asked).rowcount > 0

        return await self._database.write(work)

    def _number(self, connection: Connection, run_id: str) -> int:
        asked = select(runs.c.number).where(runs.c.id == run_id, runs.c.project_id == self._project)
        found = connection.execute(asked).scalar()
        if found is None:
            raise NotFoundError(f'Run with id "{run_id}" not found')
        return found

    def _found(
        self, connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None
    ) -> list[StoredLabel]:
        columns: list[Any] = [labels.c[name] for name in ("id", "criterion", "value", "rater", "note", "created_at")]
        asked = (
            select(*columns, runs.c.id.label("run_id"))
            .join(runs, runs.c.number == labels.c.run)
            .where(runs.c.project_id == self._project, *conditions)
            .order_by(labels.c.id)
            .limit(limit)
        )
        return [StoredLabel(**row) for row in connection.execute(asked).mappings()]
