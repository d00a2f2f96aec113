"""Schedules: an eval is launched whenever its cron expression says so.

Every processor looks after the schedules of its projects, so there is no process for them alone. Whatever the number
of processors, an instant is launched once: the execution is named after its schedule and the instant, and no two
executions of a project have one name. Instants that nobody was there for are made up for by one launch.

Cron expressions have five fields (minute, hour, day of month, month, day of week) as Debian's cron takes them, or six
with seconds first. Times are those of the schedule's time zone: a time that a change to summer time leaves out is made
up for right after it, and one that comes twice is not launched twice. Where minutes or hours begin with ``*``, only
elapsed time counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select, update

from duologue.config.placed_json import refused
from duologue.config.tracebacks import error_text
from duologue.context import random_uuid
from duologue.errors import (
    DuologueError,
    MissingExtraError,
    NotFoundError,
    StoreConflictError,
    StoreError,
    StoreUnavailableError,
    SuiteError,
)
from duologue.frozen import changed, frozen
from duologue.runs.arguments import checked
from duologue.runs.service import RunService
from duologue.runs.store.database.definition_rows import find_project
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import evals, executions, schedules

logger = logging.getLogger("duologue.runs")


@frozen
class Schedule:
    """When an eval is launched by itself. Instants are seconds since 1970.

    Attributes:
        cron: five fields, or six with seconds first.
        timezone: that the expression is meant in, such as ``Europe/Berlin``.
        next_at: when it is due; None while it is disabled.
        last_at: the instant that it was launched for last.
        last_execution: the execution that was made last.
        last_error: why nothing was launched the last time; None if something was.
    """

    id: str
    project_id: str
    eval_id: str
    cron: str
    timezone: str = "UTC"
    enabled: bool = True
    next_at: float | None = None
    last_at: float | None = None
    last_execution: int | None = None
    last_error: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


@frozen
class Launched:
    """What was launched because it was due.

    Attributes:
        executions: ids.
        wait: seconds until something is due; None if nothing is.
    """

    executions: tuple[int, ...] = ()
    wait: float | None = None


@checked
class Schedules:
    """The schedules of a database.

    Args:
        database: that is open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, eval_id: str, cron: str, *, timezone: str = "UTC", enabled: bool = True) -> Schedule:
        """Launch an eval at every instant of a cron expression from now on.

        Raises:
            ConfigurationError: the expression or the time zone is none.
            NotFoundError: there is no such eval.
        """
        schedule_id = random_uuid()

        def work(connection: Connection) -> Schedule:
            now = self._database.now(connection)
            project = connection.execute(select(evals.c.project_id).where(evals.c.id == eval_id)).scalar()
            if project is None:
                raise NotFoundError(f'Eval with id "{eval_id}" not found')
            made = Schedule(
                id=schedule_id,
                project_id=project,
                eval_id=eval_id,
                cron=cron,
                timezone=timezone,
                enabled=enabled,
                next_at=next_instant(cron, timezone, now) if enabled else None,
                created_at=now,
                updated_at=now,
            )
            connection.execute(insert(schedules).values(**vars(made)))
            return made

        next_instant(cron, timezone, 0.0)  # what is wrong is wrong before the database is asked
        return await self._database.write(work)

    async def get(self, schedule_id: str) -> Schedule | None:
        """A schedule; None if there is none."""
        return next(iter(await self._all(select(schedules).where(schedules.c.id == schedule_id))), None)

    async def list(self, *, project_id: str | None = None, eval_id: str | None = None) -> Sequence[Schedule]:
        """The schedules, the next one first; those that are disabled come last."""
        asked = select(schedules).order_by(schedules.c.next_at.is_(None), schedules.c.next_at, schedules.c.id)
        if project_id is not None:
            asked = asked.where(schedules.c.project_id == project_id)
        if eval_id is not None:
            asked = asked.where(schedules.c.eval_id == eval_id)
        return await self._all(asked)

    async def set_enabled(self, schedule_id: str, enabled: bool) -> Schedule | None:
        """Enable a schedule, from the next instant on, or disable it; None if there is none."""

        def work(connection: Connection) -> Schedule | None:
            row = (
                connection.execute(select(schedules).where(schedules.c.id == schedule_id).with_for_update())
                .mappings()
                .first()
            )
            if row is None:
                return None
            now, found = self._database.now(connection), _schedule(row)
            if found.enabled == enabled:
                return found
            next_at = next_instant(found.cron, found.timezone, now) if enabled else None
            values: dict[str, Any] = {"enabled": enabled, "next_at": next_at, "updated_at": now}
            connection.execute(update(schedules).where(schedules.c.id == schedule_id).values(**values))
            return changed(found, **values)

        return await self._database.write(work)

    async def update(
        self,
        schedule_id: str,
        *,
        cron: str | None = None,
        timezone: str | None = None,
        enabled: bool | None = None,
        expected: Callable[[Schedule], None] | None = None,
    ) -> Schedule | None:
        """Change a schedule, which is due at the next instant from now on then; None if there is none.

        Args:
            schedule_id: of the schedule.
            cron, timezone, enabled: what is changed; None for what stays.
            expected: gets what is stored, and raises where the caller has seen something else.

        Raises:
            ConfigurationError: the expression or the time zone is none.
        """

        def work(connection: Connection) -> Schedule | None:
            asked = select(schedules).where(schedules.c.id == schedule_id).with_for_update()
            row = connection.execute(asked).mappings().first()
            if row is None:
                return None
            found = _schedule(row)
            if expected is not None:
                expected(found)
            now = self._database.now(connection)
            made = changed(
                found,
                cron=found.cron if cron is None else cron,
                timezone=found.timezone if timezone is None else timezone,
                enabled=found.enabled if enabled is None else enabled,
            )
            due = next_instant(made.cron, made.timezone, now)
            made = changed(made, next_at=due if made.enabled else None, updated_at=now)
            connection.execute(update(schedules).where(schedules.c.id == schedule_id).values(**vars(made)))
            return made

        return await self._database.write(work)

    async def delete(self, schedule_id: str) -> bool:
        """Delete a schedule; what it has launched stays. False if there is none."""
        asked = delete(schedules).where(schedules.c.id == schedule_id)
        return await self._database.write(lambda connection: connection.execute(asked).rowcount) > 0

    async def launch_due(self, projects: Collection[str] = ()) -> Launched:
        """Launch what is due, each instant once whoever else does the same.

        A schedule that cannot be launched holds up no other: why is logged and kept with it. What may pass, such as a
        file that cannot be opened, is tried again the next time; else it goes on with its next instant.

        Args:
            projects: ids of those whose schedules are looked at; empty for all.

        Raises:
            StoreUnavailableError: the database is away.
        """

        def work(connection: Connection) -> tuple[float, list[Schedule], float | None]:
            now = self._database.now(connection)
            due = [
                _schedule(row) for row in connection.execute(_of(projects).where(schedules.c.next_at <= now)).mappings()
            ]
            later = _of(projects).where(schedules.c.next_at > now).with_only_columns(func.min(schedules.c.next_at))
            return now, due, connection.execute(later).scalar()

        now, due, later = await self._database.read(work)
        waits = [] if later is None else [later - now]
        begun: list[int] = []
        for schedule in due:
            try:
                launched, next_at = await self._launch(schedule, now)
            except StoreUnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 -- whatever it is, the others are launched
                await self._failed(schedule, error)
                continue
            begun += [] if launched is None else [launched]
            waits += [] if next_at is None else [next_at - now]
        return Launched(executions=tuple(begun), wait=min(waits, default=None))

    async def _launch(self, schedule: Schedule, now: float) -> tuple[int | None, float | None]:
        """Launch a schedule that is due; returns the execution that this made, if it did, and the next instant."""
        assert schedule.next_at is not None
        name = f"schedule-{schedule.id}-{schedule.next_at:.0f}"
        problem: str | None = None
        try:
            next_at = next_instant(schedule.cron, schedule.timezone, now)
            execution = await self._create_runs(schedule, name)
        except Exception as error:
            if _may_pass(error):
                raise
            problem = _said(schedule, error)
            execution, next_at = None, _next_or_none(schedule, now)
        # Whoever is first to say that it was launched need not be the one that did.
        known = func.coalesce(_execution(schedule, name).scalar_subquery(), schedules.c.last_execution)
        values: dict[str, Any] = {
            "last_at": schedule.next_at,
            "next_at": next_at,
            "last_execution": known,
            "last_error": problem,
            "updated_at": now,
        }
        asked = (
            update(schedules)
            .where(schedules.c.id == schedule.id, schedules.c.next_at == schedule.next_at, schedules.c.enabled)
            .values(**values)
        )
        await self._database.write(lambda connection: connection.execute(asked).rowcount)
        return execution, next_at

    async def _failed(self, schedule: Schedule, error: Exception) -> None:
        """Keep why a schedule could not be launched, which is tried again."""
        problem = _said(schedule, error, again=True)
        asked = update(schedules).where(schedules.c.id == schedule.id).values(last_error=problem)
        if problem != schedule.last_error:
            with suppress(StoreError):
                await self._database.write(lambda connection: connection.execute(asked).rowcount)

    async def _create_runs(self, schedule: Schedule, name: str) -> int | None:
        """The execution of that name, if it was not there before."""
        project = await self._database.read(lambda connection: find_project(connection, schedule.project_id))
        if project is None:
            return None
        try:
            runs = await RunService(self._database, project).create_runs(schedule.eval_id, execution_name=name)
        except StoreConflictError:
            asked = _execution(schedule, name)
            known = await self._database.read(lambda connection: connection.execute(asked).scalar())
            if known is None:  # it is something else that there is already
                raise
            return None
        return runs[0].execution_id

    async def _all(self, asked: Select[Any]) -> Sequence[Schedule]:
        return await self._database.read(
            lambda connection: [_schedule(row) for row in connection.execute(asked).mappings()]
        )


def _execution(schedule: Schedule, name: str) -> Select[tuple[int]]:
    """The id of the execution of that name."""
    return select(executions.c.id).where(executions.c.project_id == schedule.project_id, executions.c.name == name)


def _of(projects: Collection[str]) -> Select[Any]:
    asked = select(schedules).where(schedules.c.enabled)
    return asked.where(schedules.c.project_id.in_(projects)) if projects else asked


def _schedule(row: RowMapping) -> Schedule:
    return Schedule(**row)


def _next_or_none(schedule: Schedule, now: float) -> float | None:
    try:
        return next_instant(schedule.cron, schedule.timezone, now)
    except Exception:  # noqa: BLE001 -- it is told why by now
        return None


def _may_pass(error: Exception) -> bool:
    """Whether the same may succeed a little later."""
    return isinstance(error, StoreError | OSError) and not isinstance(error, StoreConflictError)


def _said(schedule: Schedule, error: Exception, *, again: bool = False) -> str:
    """Log why a schedule could not be launched, unless that is known; returns it as it is kept."""
    known = isinstance(error, DuologueError)
    problem = error_text(error)
    if problem != schedule.last_error or not again:
        what = "is tried again" if again else "is left out this time"
        told = (schedule.id, schedule.eval_id, what, problem)
        logger.warning("the schedule %s of the eval %s %s: %s", *told, exc_info=None if known else error)
    return problem


def next_instant(cron: str, timezone: str, after: float) -> float:
    """The first instant of a cron expression after another.

    Args:
        cron: five fields, or six with seconds first.
        timezone: of the IANA database.
        after: seconds since 1970.

    Raises:
        ConfigurationError: the expression or the time zone is none, or the expression names no instant.
    """
    try:
        from cronsim import CronSim, CronSimError
    except ImportError as error:
        raise MissingExtraError("A schedule", "runs", "cronsim") from error
    try:
        zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
    except (OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise _no_zone(timezone) from error
    except KeyError as error:
        raise _no_zone(timezone) from error
    try:
        for instant in CronSim(cron, datetime.fromtimestamp(after, zone)):
            if (at := instant.timestamp()) > after:
                return at
    except (CronSimError, ValueError, OverflowError) as error:
        raise refused(
            "cron",
            f"'{cron}' is no cron expression ({error}). Expected five fields: minute, hour, day of month, month, "
            "day of week, such as '0 6 * * MON-FRI'",
        ) from error
    raise refused("cron", f"the cron expression '{cron}' names no instant in the next 50 years")


def _no_zone(name: str) -> SuiteError:
    return refused(
        "timezone",
        f"'{name}' is no time zone of this machine; expected a name such as UTC, Europe/Berlin or America/New_York",
    )
