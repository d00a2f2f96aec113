"""``duologue schedules``: evals that are launched by themselves, whenever a cron expression says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json, print_table, terminal
from duologue.cli.store_options import ProjectOption
from duologue.errors import NotFoundError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.runs.schedules import Schedule, Schedules
    from duologue.runs.service import RunService

T = TypeVar("T")

schedules = typer.Typer(help="Launch saved evals at set times; any worker does it.", no_args_is_help=True)

_LONGEST = 300
"""Characters of a cell; --json has all of an error."""
_ID = Annotated[str, typer.Argument(help="Id of the schedule.", metavar="ID")]


def _with(store: str | None, project: str | None, work: Callable[[RunService, Schedules], Coroutine[Any, Any, T]]) -> T:
    async def open_and_work() -> T:
        from duologue.runs.schedules import Schedules
        from duologue.runs.service import RunService

        async with RunService.open(store, project=project, create=False) as service:
            return await work(service, Schedules(service.database))

    return asyncio.run(open_and_work())


@schedules.command()
def add(
    eval_: Annotated[str, typer.Argument(help="Name or id of a saved eval.", metavar="EVAL")],
    cron: Annotated[
        str,
        typer.Argument(help="Minute, hour, day of month, month, day of week, such as '0 6 * * MON-FRI'."),
    ],
    timezone: Annotated[str, typer.Option(help="Time zone of the expression, such as Europe/Berlin.")] = "UTC",
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Launch an eval at every instant of a cron expression. A missed one is made up for once."""

    async def work(service: RunService, found: Schedules) -> Schedule:
        known = await service.get_eval_by_name(eval_) or await service.get_eval(eval_)
        if known is None:
            raise NotFoundError(f"the project '{service.project.name}' has no eval '{eval_}'")
        return await found.create(known.id, cron, timezone=timezone)

    made = _with(store, project, work)
    if as_json:
        print_json(asdict(made))
    else:
        echo(f"{made.id}: next at {_next(made)}")
    return ExitCode.PASSED


@schedules.command("list")
def list_(store: DatabaseOption = None, project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """List the schedules of a project, the next one first."""

    async def work(service: RunService, found: Schedules) -> list[tuple[Schedule, str]]:
        names = {item.id: item.name for item in await service.list_evals()}
        every = await found.list(project_id=service.project.id)
        return [(item, names.get(item.eval_id, item.eval_id)) for item in every]

    every = _with(store, project, work)
    if as_json:
        print_json([{**asdict(item), "eval": name} for item, name in every])
    elif not every:
        echo("no schedules")
    else:
        _print(every)
    return ExitCode.PASSED


def _print(every: list[tuple[Schedule, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    failed = any(item.last_error for item, _ in every)
    errors = ("last error",) if failed else ()
    table = Table("id", "eval", "cron", "time zone", "next", "last execution", *errors, header_style="bold")
    for item, name in every:
        last = "" if item.last_execution is None else str(item.last_execution)
        cells = [item.id, name, item.cron, item.timezone, _next(item) if item.enabled else "disabled", last]
        cells += [item.last_error or ""] if failed else []
        table.add_row(*(Text(one_line(cell, _LONGEST)) for cell in cells))
    print_table(terminal(), table)


def _next(schedule: Schedule) -> str:
    if schedule.next_at is None:
        return "never"
    return datetime.fromtimestamp(schedule.next_at, ZoneInfo(schedule.timezone)).isoformat(" ", "seconds")


@schedules.command()
def enable(schedule_id: _ID, store: DatabaseOption = None, project: ProjectOption = None) -> int:
    """Launch it again from the next instant on."""
    return _set_enabled(schedule_id, store, project, True)


@schedules.command()
def disable(schedule_id: _ID, store: DatabaseOption = None, project: ProjectOption = None) -> int:
    """Launch it no more until it is enabled."""
    return _set_enabled(schedule_id, store, project, False)


def _set_enabled(schedule_id: str, store: str | None, project: str | None, enabled: bool) -> int:
    async def work(service: RunService, found: Schedules) -> Schedule:
        known = await found.get(schedule_id)
        made = None
        if known is not None and known.project_id == service.project.id:
            made = await found.set_enabled(schedule_id, enabled)
        if made is None:
            raise NotFoundError(f"the project '{service.project.name}' has no schedule '{schedule_id}'")
        return made

    made = _with(store, project, work)
    echo(f"{made.id}: next at {_next(made)}" if enabled else f"{made.id}: disabled")
    return ExitCode.PASSED


@schedules.command()
def delete(schedule_id: _ID, store: DatabaseOption = None, project: ProjectOption = None) -> int:
    """Delete a schedule. What it has launched stays."""

    async def work(service: RunService, found: Schedules) -> None:
        known = await found.get(schedule_id)
        if known is None or known.project_id != service.project.id:
            raise NotFoundError(f"the project '{service.project.name}' has no schedule '{schedule_id}'")
        await found.delete(schedule_id)

    _with(store, project, work)
    echo(f"deleted {schedule_id}")
    return ExitCode.PASSED
