"""``duologue baseline``: executions that others are compared with, by name, in results folders or in a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.commands.releases import print_rows
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json
from duologue.cli.services import eval_named, with_service
from duologue.cli.store_options import ProjectOption
from duologue.errors import ConfigurationError, NotFoundError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.runs.service import RunService
    from duologue.runs.store.releases import Baseline

baseline = typer.Typer(help="Executions that others are compared with, by name.", no_args_is_help=True)
_OfEval = Annotated[str | None, typer.Option("--eval", help="With --database: only of this eval, by name or id.")]


@baseline.command("set")
def set_(
    place: Annotated[
        str, typer.Argument(help="A results folder. With --database: number of a stored execution.", metavar="PLACE")
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the baseline.")] = "default",
    database: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Give an execution a name, to compare others with. A baseline that had the name has it no longer.

    In a database, each eval and agent has baselines of its own.
    """
    if database is not None:
        if not place.isdecimal():
            raise ConfigurationError(f"{place}: expected the number of a stored execution, because of --database")
        made = with_service(database, project, lambda service: service.set_baseline(int(place), name=name))
        data, told = made.as_data(), f"execution {made.execution_id} is the baseline '{made.name}'"
    else:
        from duologue.context import SystemClock
        from duologue.runs.store.baselines import set_baseline

        found = set_baseline(name, Path(place), now=SystemClock().now())
        told = f"the baseline '{found.name}' is the execution {found.execution} of {found.suite}, in {found.folder}"
        data = {**vars(found)}
    if as_json:
        print_json(data)
    else:
        echo(one_line(told))
    return ExitCode.PASSED


@baseline.command("list")
def list_(
    eval_: _OfEval = None,
    database: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """List the baselines of a project."""
    if database is None:
        from duologue.runs.store.baselines import read_baselines

        held = read_baselines()
        if as_json:
            print_json([{**vars(item)} for item in held])
        for item in () if as_json else held:
            echo(one_line(f"{item.name}  {item.suite}  {item.execution}  {item.folder}  set {item.set_at}"))
        if not held and not as_json:
            echo("no baselines; set one: duologue baseline set FOLDER")
        return ExitCode.PASSED

    async def work(service: RunService) -> list[tuple[Baseline, str, str]]:
        eval_id = (await eval_named(service, eval_)).id if eval_ else None
        evals = {item.id: item.name for item in await service.list_evals()}
        agents = {item.id: item.name for item in await service.list_agents()}
        found = await service.list_baselines(eval_id=eval_id)
        return [(item, evals.get(item.eval_id, ""), agents.get(item.agent_id or "", "")) for item in found]

    found = with_service(database, project, work)
    if as_json:
        print_json([{**item.as_data(), "eval": of, "agent": agent} for item, of, agent in found])
        return ExitCode.PASSED
    rows = [
        (item.name, of, f"{agent} {item.agent_version or ''}".strip(), str(item.execution_id), item.id)
        for item, of, agent in found
    ]
    print_rows(("name", "eval", "agent", "execution", "id"), rows, "no baselines")
    return ExitCode.PASSED


@baseline.command("show")
def show(
    name: Annotated[
        str | None, typer.Argument(help="Name of the baseline; with --database, also its id. Default: all.")
    ] = None,
    eval_: _OfEval = None,
    database: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show a baseline, or all of them."""
    if name is None:
        return list_(eval_, database, project, as_json)
    if database is not None:
        print_json(with_service(database, project, lambda service: _stored(service, name, eval_)).as_data())
        return ExitCode.PASSED
    from duologue.runs.store.baselines import baseline_named

    item = baseline_named(name)[0]
    if as_json:
        print_json([{**vars(item)}])
    else:
        echo(one_line(f"{item.name}  {item.suite}  {item.execution}  {item.folder}  set {item.set_at}"))
    return ExitCode.PASSED


@baseline.command("delete")
def delete(
    name: Annotated[str, typer.Argument(help="Name of the baseline; with --database, also its id.")],
    eval_: _OfEval = None,
    database: DatabaseOption = None,
    project: ProjectOption = None,
) -> int:
    """Delete a baseline. Its execution stays."""
    if database is None:
        from duologue.runs.store.baselines import delete_baseline

        delete_baseline(name)
    else:

        async def work(service: RunService) -> None:
            await service.delete_baseline((await _stored(service, name, eval_)).id)

        with_service(database, project, work)
    echo(f"deleted the baseline '{one_line(name)}'")
    return ExitCode.PASSED


async def _stored(service: RunService, name: str, eval_: str | None) -> Baseline:
    if (found := await service.get_baseline(name)) is not None:
        return found
    eval_id = (await eval_named(service, eval_)).id if eval_ else None
    every = await service.list_baselines(eval_id=eval_id, name=name)
    if len(every) > 1:
        raise ConfigurationError(f"there are {len(every)} baselines '{name}'; name the eval with --eval, or use an id")
    if not every:
        raise NotFoundError(f"the project '{service.project.name}' has no baseline '{name}'")
    return every[0]
