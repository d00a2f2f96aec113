"""Schedules: which instants a cron expression names, and that each is launched once."""

from __future__ import annotations

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from queued_suites import add_project
from sqlalchemy import update
from waiting import LONG

from duologue.errors import ConfigurationError, NotFoundError
from duologue.runs.processor import RunProcessor
from duologue.runs.schedules import Schedule, Schedules, next_instant
from duologue.runs.service import RunService
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import schedules
from duologue.runs.store.records import QueueStatus

BERLIN = "Europe/Berlin"


def instants(cron: str, zone: str, after: str, count: int) -> list[str]:
    at = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)).timestamp()
    found: list[str] = []
    for _ in range(count):
        at = next_instant(cron, zone, at)
        found.append(datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 6 * * MON-FRI", "UTC", "2026-11-27T06:00", ["2026-11-30T06:00+00:00", "2026-12-01T06:00+00:00"]),
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-10-25T02:15",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"],
        ),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
    ],
)
def test_the_instants_of_an_expression(cron: str, zone: str, after: str, expected: list[str]) -> None:
    assert instants(cron, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    "cron", ["", "x", "@daily", "* * * *", "61 * * * *", "0 0 30 2 *", "9" * 5000 + " * * * *", "*/0 * * * *"]
)
def test_an_expression_that_is_none(cron: str) -> None:
    with pytest.raises(ConfigurationError, match="cron expression"):
        next_instant(cron, "UTC", 0.0)


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../x", "/etc/passwd", "Europe", "a\0b"])
def test_a_time_zone_that_is_none(zone: str) -> None:
    with pytest.raises(ConfigurationError, match="time zone"):
        next_instant("* * * * *", zone, 0.0)


async def an_eval(database: Database) -> str:
    service = await service_of(database)
    connector = await service.create_connector(name="bot", type="http", base_url="http://127.0.0.1:9/chat")
    scenario = await service.create_scenario(
        name="order", messages=[{"role": "user", "content": "hello"}], success_criteria="It is greeted."
    )
    return (await service.create_eval(name="nightly", scenario_ids=[scenario.id], connector_id=connector.id)).id


async def due(database: Database, schedule: Schedule, at: float) -> None:
    """As if the schedule had been due at that time."""
    asked = update(schedules).where(schedules.c.id == schedule.id).values(next_at=at)
    await database.write(lambda connection: connection.execute(asked).rowcount)


async def service_of(database: Database) -> RunService:
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None
    return RunService(database, project)


async def executions(database: Database, eval_id: str) -> list[str]:
    service = await service_of(database)
    return [found.name for found in await service.list_executions(eval_id=eval_id)]


async def test_what_is_due_is_launched_once_whoever_looks(where: str) -> None:
    async with Database.open(where, create=True) as one, Database.open(where) as two:
        await add_project(one, "p")
        eval_id = await an_eval(one)
        schedule = await Schedules(one).create(eval_id, "0 6 * * *", timezone=BERLIN)
        assert schedule.next_at is not None
        missed = schedule.next_at - 3 * 86_400
        await due(one, schedule, missed)
        workers = [Schedules(database) for database in (one, two) for _ in range(4)]
        launched = await asyncio.gather(*(worker.launch_due() for worker in workers))
        [execution] = [found for one in launched for found in one.executions]
        assert await executions(one, eval_id) == [f"schedule-{schedule.id}-{missed:.0f}"]
        after = await Schedules(one).get(schedule.id)
        assert after is not None
        assert (after.last_at, after.next_at, after.last_execution) == (missed, schedule.next_at, execution)
        assert not (await Schedules(two).launch_due()).executions


async def test_a_worker_that_died_between_launching_and_saying_so_launches_nothing_twice(database: Database) -> None:
    eval_id = await an_eval(database)
    schedule = await Schedules(database).create(eval_id, "0 6 * * *")
    for _ in range(2):
        await due(database, schedule, 1000.0)
        await Schedules(database).launch_due()
    assert len(await executions(database, eval_id)) == 1


async def test_what_is_disabled_is_not_launched_and_missed_nothing_when_it_is_enabled(database: Database) -> None:
    eval_id, found = await an_eval(database), Schedules(database)
    schedule = await found.create(eval_id, "* * * * *", enabled=False)
    assert schedule.next_at is None
    assert not (await found.launch_due()).executions
    enabled = await found.set_enabled(schedule.id, True)
    assert enabled is not None
    assert enabled.next_at is not None
    await due(database, schedule, 1000.0)
    disabled = await found.set_enabled(schedule.id, False)
    assert disabled is not None
    assert not (await found.launch_due()).executions
    assert await found.list(eval_id=eval_id) == [disabled]
    assert await found.delete(schedule.id)
    assert not await found.delete(schedule.id)
    assert await found.set_enabled(schedule.id, True) is None


async def test_a_schedule_that_cannot_be_read_holds_up_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    eval_id, found = await an_eval(database), Schedules(database)
    first, second = [await found.create(eval_id, "0 6 * * *") for _ in range(2)]
    broken = update(schedules).where(schedules.c.id == first.id).values(cron="every day")
    await database.write(lambda connection: connection.execute(broken).rowcount)
    await due(database, first, 1000.0)
    await due(database, second, 2000.0)
    launched = await found.launch_due()
    assert len(launched.executions) == 1
    assert await executions(database, eval_id) == [f"schedule-{second.id}-2000"]
    assert "'every day' is no cron expression" in caplog.text
    after = await found.get(first.id)
    assert after is not None
    assert after.next_at is None


async def test_a_processor_launches_what_is_due(database: Database) -> None:
    eval_id = await an_eval(database)
    schedule = await Schedules(database).create(eval_id, "0 6 * * *")
    await due(database, schedule, 1000.0)
    processor = RunProcessor(database, poll_interval=LONG)
    await processor.start()
    while not (await database.queue.counts()).get(QueueStatus.ERROR):
        await asyncio.sleep(0.01)
    await processor.stop()
    service = await service_of(database)
    [run] = await service.list_runs(eval_id=eval_id)
    assert run.execution_id


async def test_a_schedule_needs_an_eval(database: Database) -> None:
    with pytest.raises(NotFoundError, match="Eval"):
        await Schedules(database).create("none", "* * * * *")
    with pytest.raises(ConfigurationError, match="cron"):
        await Schedules(database).create("none", "every day")
