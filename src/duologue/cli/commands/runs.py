"""``duologue runs``: what is stored and queued: list, show, create, submit, retry, cancel, process, delete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.commands.runs_transfer import export, import_
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json, print_table, say, terminal
from duologue.cli.store_options import ConcurrencyOption, ProjectOption, ProjectsOption
from duologue.config.durations import parse_duration
from duologue.errors import ConfigurationError, NotFoundError, StoreConflictError
from duologue.terminal_text import continued, one_line

if TYPE_CHECKING:
    from duologue.runs.service import RunService
    from duologue.runs.store.records import Cancelled, StoredRun

T = TypeVar("T")

runs = typer.Typer(help="Durable runs: stored, queued, and carried out by workers.", no_args_is_help=True)
runs.command("import")(import_)
runs.command("export")(export)

_IDS = typer.Argument(help="Ids of runs.", metavar="ID…")
_EVAL = typer.Option("--eval", help="Only runs of this eval, by name or id.")
_EXECUTION = typer.Option("--execution", help="Only runs of the execution with this number.")


@asynccontextmanager
async def _service(store: str | None, project: str | None, *, create: bool = False) -> AsyncGenerator[RunService]:
    from duologue.runs.service import RunService

    made = None if create else False
    async with RunService.open(store, project=project, create=made, new_project=create) as service:
        yield service


def _with(
    store: str | None,
    project: str | None,
    work: Callable[[RunService], Coroutine[Any, Any, T]],
    *,
    create: bool = False,
) -> T:
    async def open_and_work() -> T:
        async with _service(store, project, create=create) as service:
            return await work(service)

    return asyncio.run(open_and_work())


async def _eval_id(service: RunService, name: str) -> str:
    """The id of an eval that is named by its name or id."""
    found = await service.get_eval_by_name(name) or await service.get_eval(name)
    if found is None:
        raise NotFoundError(f"the project '{service.project.name}' has no eval '{name}'")
    return found.id


async def _known_execution(service: RunService, number: int | None) -> int | None:
    """The number of an execution, once it is known to be in the project."""
    if number is not None and await service.get_execution(number) is None:
        raise NotFoundError(f"the project '{service.project.name}' has no execution {number}")
    return number


def _no_run(service: RunService, run_id: str) -> str:
    return f"the project '{service.project.name}' has no run '{run_id}'"


def _told(done: str, problems: Sequence[str]) -> int:
    """Say what was done and what could not be, one line for each run; returns the exit code."""
    if done:
        echo(done)
    for problem in problems:
        echo(f"Error: {one_line(problem)}", err=True)
    return ExitCode.USAGE if problems else ExitCode.PASSED


# Looking


@runs.command("list")
def list_(
    store: DatabaseOption = None,
    project: ProjectOption = None,
    eval_: Annotated[str | None, _EVAL] = None,
    execution: Annotated[int | None, _EXECUTION] = None,
    status: Annotated[
        str | None, typer.Option(help="Only runs that are queued, running, completed, error or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 50,
    after: Annotated[int | None, typer.Option(help="Continue after the run with this number.")] = None,
    as_json: JsonOption = False,
) -> int:
    """List runs, the newest first."""

    async def work(service: RunService) -> list[StoredRun]:
        return await service.list_runs(
            eval_id=await _eval_id(service, eval_) if eval_ else None,
            execution_id=await _known_execution(service, execution),
            status=status,
            limit=limit,
            after=after,
            descending=True,
            messages=False,
        )

    found = _with(store, project, work)
    if as_json:
        print_json([_as_json(run) for run in found])
    else:
        _print_list(found)
    return ExitCode.PASSED


def _print_list(found: Sequence[StoredRun]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not found:
        echo("no runs")
        return
    table = Table("number", "id", "run", "status", "outcome", "execution", "created", header_style="bold")
    for run in found:
        cells = (
            str(run.number),
            run.id,
            run.case.title,
            run.status.value,
            run.outcome or "",
            "" if run.execution_id is None else str(run.execution_id),
            _instant(run.created_at),
        )
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    print_table(terminal(), table)


@runs.command()
def show(
    run_id: Annotated[str, typer.Argument(help="Id of the run.", metavar="ID")],
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show a run: its state, its result and the conversation so far."""

    async def work(service: RunService) -> StoredRun:
        found = await service.get_run(run_id)
        if found is None:
            raise NotFoundError(_no_run(service, run_id))
        return found

    run = _with(store, project, work)
    if as_json:
        print_json(_as_json(run))
    else:
        _print_run(run)
    return ExitCode.PASSED


def _print_run(run: StoredRun) -> None:
    from rich.text import Text

    from duologue.messages import text_of

    console = terminal()
    word = run.outcome or run.status.value
    say(console, Text(one_line(run.case.title), style="bold").append(f"  {word}", style=""))
    facts = {
        "id": run.id,
        "status": run.status.value,
        "execution": run.execution_id,
        "attempts": run.attempts,
        "worker": run.owner,
        "created": _instant(run.created_at),
        "started": _instant(run.started_at),
        "completed": _instant(run.completed_at),
        "score": run.score,
        "latency": None if "latency_ms" not in run.metadata else f"{run.metadata['latency_ms']} ms",
    }
    for name, value in facts.items():
        if value not in {None, ""}:
            say(console, f"  {name:<10}{one_line(str(value))}")
    for text in dict.fromkeys(filter(None, (run.error, run.reason))):
        say(console, continued(text))
    for message in run.messages:
        say(console, Text(f"{message['role']}: ", style="dim").append(continued(text_of(message)), style=""))


# Creating


@runs.command()
def create(
    eval_: Annotated[str, typer.Argument(help="Name or id of a saved eval.", metavar="EVAL")],
    store: DatabaseOption = None,
    project: ProjectOption = None,
    priority: Annotated[int, typer.Option(help="Runs with a higher one are carried out first.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Seed for every random choice.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Queue one run for each scenario and persona of a saved eval."""

    async def work(service: RunService) -> list[StoredRun]:
        return await service.create_runs(await _eval_id(service, eval_), priority=priority, seed=seed)

    _print_created(_with(store, project, work), as_json)
    return ExitCode.PASSED


def _print_created(made: Sequence[StoredRun], as_json: bool) -> None:
    if as_json:
        print_json([_as_json(run) for run in made])
        return
    noun = "run" if len(made) == 1 else "runs"
    echo(f"queued {len(made):,} {noun} as execution {made[0].execution_id}")
    echo("Carry them out:  duologue runs process", err=True)


@runs.command()
def submit(
    suite: Annotated[str, typer.Argument(help="A suite file or folder.", metavar="SUITE")],
    store: DatabaseOption = None,
    project: Annotated[
        str | None, typer.Option("--project", help="Name of the project; it is made if there is none.")
    ] = None,
    scenario: Annotated[list[str], typer.Option("--scenario", help="Only these scenarios.")] = [],  # noqa: B006
    agent: Annotated[list[str], typer.Option("--agent", help="Only these agents.")] = [],  # noqa: B006
    persona: Annotated[list[str], typer.Option("--persona", help="Only these personas.")] = [],  # noqa: B006
    tag: Annotated[list[str], typer.Option("--tag", help="Only scenarios with any of these tags.")] = [],  # noqa: B006
    trials: Annotated[int | None, typer.Option(min=1, help="Repeat each case this many times.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed for every random choice.")] = None,
    mock: Annotated[str | None, typer.Option(help="Answer for every model from this response file.")] = None,
    mock_all: Annotated[bool, typer.Option("--mock-all", help="Answer for every model with fixed text.")] = False,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place", help="The suite has code of its own, and every worker sees its folder at the same path."
        ),
    ] = False,
    priority: Annotated[int, typer.Option(help="Runs with a higher one are carried out first.")] = 0,
    as_json: JsonOption = False,
) -> int:
    """Queue the test cases of a suite for workers. Their definitions are kept, so that later edits change nothing."""
    from duologue.runs.snapshots import SnapshotError
    from duologue.runs.submit import submit_suite
    from duologue.suites.execution.engine import Engine
    from duologue.suites.plan.build import Filters

    engine = Engine.from_file(suite)
    if mock is not None or mock_all:
        engine.enable_mock_mode(mock)
    plan = engine.generate_plan(
        Filters(scenarios=scenario, agents=agent, personas=persona, tags=tag), trials=trials, seed=seed
    )

    async def work(service: RunService) -> list[StoredRun]:
        made = await submit_suite(
            service.database, service.project.id, engine, plan, in_place=in_place, priority=priority
        )
        assert made.execution is not None
        return await service.list_runs(execution_id=made.execution.id, messages=False)

    try:
        made = _with(store, project, work, create=True)
    except SnapshotError as error:
        if not in_place:
            error.add_note("If every worker sees this folder at the same path, submit the suite with --in-place.")
        raise
    _print_created(made, as_json)
    return ExitCode.PASSED


# Changing


@runs.command()
def retry(
    run_ids: Annotated[list[str], _IDS] = [],  # noqa: B006
    store: DatabaseOption = None,
    project: ProjectOption = None,
    execution: Annotated[int | None, typer.Option("--execution", help="All runs of it that ended in an error.")] = None,
) -> int:
    """Queue runs again that ended in an error. What came of them is cleared; their journals are kept.

    Those that cannot be retried are named, and the exit code is 2; the others are queued all the same.
    """
    _require_choice(run_ids, execution)

    async def work(service: RunService) -> tuple[int, list[str]]:
        wanted, problems = list(run_ids), list[str]()
        if (number := await _known_execution(service, execution)) is not None:
            wanted += [run.id for run in await service.list_runs(execution_id=number, status="error", messages=False)]
        wanted = list(dict.fromkeys(wanted))
        for run_id in wanted:
            try:
                if await service.retry_run(run_id) is None:
                    problems.append(_no_run(service, run_id))
            except StoreConflictError as error:
                problems.append(f"run '{run_id}': {error}")
        return len(wanted) - len(problems), problems

    queued, problems = _with(store, project, work)
    return _told(f"queued {queued:,} again" if queued or not problems else "", problems)


@runs.command()
def cancel(
    run_ids: Annotated[list[str], _IDS] = [],  # noqa: B006
    store: DatabaseOption = None,
    project: ProjectOption = None,
    execution: Annotated[int | None, typer.Option("--execution", help="All runs of it that are not over.")] = None,
) -> int:
    """Cancel runs: those that wait are over at once, those under way are stopped by their workers.

    Those that there are not, or that were over before, are named, and the exit code is 2; the others are cancelled all
    the same.
    """
    _require_choice(run_ids, execution)

    async def work(service: RunService) -> tuple[Cancelled, list[str]]:
        wanted = list(run_ids)
        if (number := await _known_execution(service, execution)) is not None:
            wanted += [run.id for run in await service.list_runs(execution_id=number, messages=False)]
        done = await service.cancel_runs(*wanted)
        problems = [_no_run(service, run_id) for run_id in done.unknown]
        over = {run_id: status for run_id, status in done.over.items() if run_id in run_ids}
        return done, [*problems, *(f"run '{run_id}' was over before: {status}" for run_id, status in over.items())]

    done, problems = _with(store, project, work)
    waited, running = len(done.cancelled), len(done.stopping)
    told = f"cancelled: {waited:,} waiting, {running:,} running (their workers stop them)"
    return _told(told if waited or running or not problems else "", problems)


@runs.command()
def process(
    store: DatabaseOption = None,
    concurrency: ConcurrencyOption = None,
    project: ProjectsOption = [],  # noqa: B006
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no line for each run.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Carry out all queued runs, and end when none is left.

    Exit code 0: all passed, or nothing was queued. 1: a run failed. 3: runs ended in an error, undecided or cancelled.
    130: interrupted; what was under way goes back into the queue. Runs of an execution are judged together with the
    others of it that are over, by the thresholds of its suite (pass_rate, allow_undecided, allow_errors), as 'duologue
    run' does.
    """
    from duologue.cli.commands.worker import process_queue

    return process_queue(store, concurrency, project, quiet=quiet, as_json=as_json)


@runs.command()
def delete(
    run_ids: Annotated[list[str], _IDS] = [],  # noqa: B006
    store: DatabaseOption = None,
    project: ProjectOption = None,
    eval_: Annotated[str | None, _EVAL] = None,
    execution: Annotated[int | None, _EXECUTION] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Only runs that were over before, such as 30d or 12h.", metavar="DURATION")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete runs with their results and journals. Runs that wait or are under way stay, unless their ids are given.

    Nothing is ever deleted without this command. 'duologue db vacuum' then gives the space back. Ids that there are not
    are named, and the exit code is 2; the others are deleted all the same.
    """
    if not run_ids and eval_ is None and execution is None and older_than is None:
        raise ConfigurationError("name the runs: ids, --eval, --execution or --older-than")
    age = None if older_than is None else _age(older_than)

    async def work(service: RunService) -> tuple[int, list[str]]:
        wanted = list(dict.fromkeys(run_ids)) or await _over(service, eval_, execution, age)
        if wanted and not yes:
            typer.confirm(f"Delete {len(wanted):,} runs of the project '{service.project.name}'?", abort=True)
        if not run_ids:
            return await service.delete_runs(*wanted, only_over=True), []
        problems = [_no_run(service, run_id) for run_id in wanted if not await service.delete_run(run_id)]
        return len(wanted) - len(problems), problems

    deleted, problems = _with(store, project, work)
    return _told(f"deleted {deleted:,}" if deleted or not problems else "", problems)


async def _over(service: RunService, eval_: str | None, execution: int | None, age: float | None) -> list[str]:
    """Ids of runs that are over, and have been for so many seconds."""
    found = await service.list_runs(
        eval_id=await _eval_id(service, eval_) if eval_ else None,
        execution_id=await _known_execution(service, execution),
        messages=False,
    )
    from duologue.runs.store.records import OVER

    now = await service.database.read(service.database.now)
    return [
        run.id
        for run in found
        if run.status in OVER and (age is None or (run.completed_at or run.updated_at) <= now - age)
    ]


def _age(written: str) -> float:
    """The seconds of a duration that may also be in days: ``30d``."""
    try:
        if written.endswith("d"):
            return float(written[:-1]) * 86_400
        return parse_duration(written)
    except ValueError as error:
        raise typer.BadParameter(f"{written!r}; expected days such as 30d, or {error}") from None


def _require_choice(run_ids: Sequence[str], execution: int | None) -> None:
    if not run_ids and execution is None:
        raise ConfigurationError("name the runs by their ids, or all of an execution with --execution")


def _instant(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _as_json(run: StoredRun) -> dict[str, Any]:
    from dataclasses import fields

    plain = {field.name: getattr(run, field.name) for field in fields(run)}
    return {**plain, "status": run.status.value, "case": run.case.as_data()}
