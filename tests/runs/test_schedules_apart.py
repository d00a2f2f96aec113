"""Schedules that fail: each by itself, with why, and instants at which clocks change."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from queued_suites import add_project
from sqlalchemy import update

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError, StoreConflictError, StoreError, StoreUnavailableError
from duologue.runs.processor import RunProcessor
from duologue.runs.schedules import Schedule, Schedules, next_instant
from duologue.runs.service import RunService
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import schedules

LATER = [StoreError("no row can be written"), OSError("too many open files")]
NEXT_TIME = [ConfigurationError("no criteria"), StoreConflictError("it is there already"), KeyError("scenario")]


async def an_eval(database: Database, name: str) -> str:
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None
    service = RunService(database, project)
    connector = await service.create_connector(name=name, type="http", base_url="http://127.0.0.1:9/chat")
    scenario = await service.create_scenario(
        name=name, messages=[{"role": "user", "content": "hello"}], success_criteria="It is greeted."
    )
    return (await service.create_eval(name=name, scenario_ids=[scenario.id], connector_id=connector.id)).id


async def three(database: Database) -> list[Schedule]:
    """Three schedules that are due, of an eval each."""
    made: list[Schedule] = []
    for number in range(3):
        schedule = await Schedules(database).create(await an_eval(database, f"e{number}"), "0 6 * * *")
        asked = update(schedules).where(schedules.c.id == schedule.id).values(next_at=1000.0 + number)
        await database.write(lambda connection, asked=asked: connection.execute(asked).rowcount)
        made.append(schedule)
    return made


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """By eval, what its launch raises."""
    errors: dict[str, Exception] = {}
    create_runs = RunService.create_runs

    async def create(self: RunService, eval_id: str, **options: Any) -> Any:
        if eval_id in errors:
            raise errors[eval_id]
        return await create_runs(self, eval_id, **options)

    monkeypatch.setattr(RunService, "create_runs", create)
    return errors


@pytest.mark.parametrize("error", [*LATER, *NEXT_TIME], ids=lambda error: type(error).__name__)
async def test_each_schedule_is_launched_whatever_becomes_of_the_others(
    database: Database, failing: dict[str, Exception], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = await three(database)
    failing[first.eval_id] = failing[second.eval_id] = error
    found = Schedules(database)
    with caplog.at_level(logging.INFO, "duologue.runs"):
        assert len((await found.launch_due()).executions) == 1
        await found.launch_due()
    after = await found.get(third.id)
    assert after is not None
    assert (after.last_at, after.last_error) == (1002.0, None)
    for schedule, due in ((first, 1000.0), (second, 1001.0)):
        after = await found.get(schedule.id)
        assert after is not None
        assert str(error).strip("'") in (after.last_error or "")
        assert (after.next_at == due) == (error in LATER)
        assert sum(schedule.id in record.getMessage() for record in caplog.records) == 1
    failing.clear()
    launched = await found.launch_due()
    assert len(launched.executions) == (2 if error in LATER else 0)
    if error in LATER:
        assert [schedule.last_error for schedule in await found.list()] == [None] * 3


async def test_a_database_that_is_away_ends_the_round(database: Database, failing: dict[str, Exception]) -> None:
    first, *_ = await three(database)
    failing[first.eval_id] = StoreUnavailableError("it is away")
    with pytest.raises(StoreUnavailableError):
        await Schedules(database).launch_due()
    failing.clear()
    assert len((await Schedules(database).launch_due()).executions) == 3


async def test_a_failure_of_one_thing_beside_the_runs_keeps_no_other_from_being_done(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Recovery breaks, and the schedules are launched and their runs carried out all the same."""
    made = await three(database)
    processor = RunProcessor(database, poll_interval=0.01)
    broken = asyncio.Event()

    async def recover() -> None:
        broken.set()
        raise StoreError("a row of a worker is damaged")

    await processor.start()
    monkeypatch.setattr(database.queue, "recover", recover)
    monkeypatch.setattr(database.queue, "lease", 0.0)
    await broken.wait()
    while processor.outcomes.total() < len(made):
        await asyncio.sleep(0.01)
    await processor.stop()
    told = [record for record in caplog.records if "a row of a worker is damaged" in record.getMessage()]
    assert len(told) == 1


def test_the_last_error_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(tmp_path / "runs.db")

    async def prepared() -> None:
        async with Database.open(where, create=True) as database:
            await add_project(database, "p")
            first, *_ = await three(database)
            broken = update(schedules).where(schedules.c.id == first.id).values(cron="every day")
            await database.write(lambda connection: connection.execute(broken).rowcount)
            await Schedules(database).launch_due()

    asyncio.run(prepared())
    assert invoke(["schedules", "list", "--store", where]) == 0
    assert "last error" in capsys.readouterr().out
    assert invoke(["schedules", "list", "--store", where, "--json"]) == 0
    errors = [item["last_error"] for item in json.loads(capsys.readouterr().out)]
    assert errors[:2] == [None, None]
    assert "'every day' is no cron expression" in errors[2]


# --- clocks that change ----------------------------------------------------------------------------------------------

CHANGES = [
    ("Europe/Berlin", "2026-03-29", "2026-10-25"),
    ("America/New_York", "2026-03-08", "2026-11-01"),
    ("America/Santiago", "2026-09-06", "2026-04-05"),  # at midnight
    ("Asia/Kolkata", "2026-03-29", "2026-10-25"),  # never
]
EXPRESSIONS = [
    ("*/15 * * * *", range(0, 60, 15), range(24), True),
    ("0,15,30,45 * * * *", range(0, 60, 15), range(24), True),
    ("*/20 2 * * *", range(0, 60, 20), [2], True),
    ("0 */2 * * *", [0], range(0, 24, 2), True),
    ("30 2 * * *", [30], [2], False),
    ("15 1,2 * * *", [15], [1, 2], False),
    ("0 0 * * *", [0], [0], False),
    ("5,35 1-3 * * *", [5, 35], [1, 2, 3], False),
]


def named(zone: ZoneInfo, day: str, minutes: Any, hours: Any, *, elapsed: bool) -> set[float]:
    """The instants that an expression names from the day before to the day after."""
    midnight = datetime.fromisoformat(day)
    found: set[float] = set()
    if elapsed:  # whatever the clock shows at an instant counts
        first = (midnight - timedelta(days=1)).replace(tzinfo=zone).timestamp()
        for minute in range(3 * 24 * 60 + 60):
            at = datetime.fromtimestamp(first + 60 * minute, zone)
            if at.minute in minutes and at.hour in hours:
                found.add(at.timestamp())
        return found
    for days in (-1, 0, 1):  # each time of the clock once: the first that there is, or right after the gap
        for hour in hours:
            for minute in minutes:
                wall = midnight + timedelta(days=days, hours=hour, minutes=minute)
                at = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
                while at.astimezone(zone).replace(tzinfo=None) < wall or not exists(wall, zone):
                    wall += timedelta(minutes=1)
                    at = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
                found.add(at.timestamp())
    return found


def exists(wall: datetime, zone: ZoneInfo) -> bool:
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall


def cases() -> Iterator[tuple[str, str, str, Any, Any, bool]]:
    for zone, *days in CHANGES:
        for day in days:
            for cron, minutes, hours, elapsed in EXPRESSIONS:
                yield zone, day, cron, minutes, hours, elapsed


@pytest.mark.parametrize(("zone", "day", "cron", "minutes", "hours", "elapsed"), [*cases()])
def test_instants_around_a_change_of_the_clock(
    zone: str, day: str, cron: str, minutes: Any, hours: Any, elapsed: bool
) -> None:
    expected = sorted(named(ZoneInfo(zone), day, minutes, hours, elapsed=elapsed))
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp()
    for minute in range(-70, 6 * 60, 10):  # from wherever it is asked, also in an hour that comes twice
        at = begin + 60 * minute
        assert next_instant(cron, zone, at) == min(instant for instant in expected if instant > at)


def test_every_quarter_of_an_hour_is_as_many_runs_as_the_day_has_quarters() -> None:
    for day, quarters in (("2026-03-29", 92), ("2026-10-25", 100), ("2026-06-01", 96)):
        at = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp() - 1
        end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
        instants: list[float] = []
        while (at := next_instant("*/15 * * * *", "Europe/Berlin", at)) < end:
            instants.append(at)
        assert len(instants) == quarters
        assert {later - earlier for earlier, later in pairwise(instants)} == {900.0}
