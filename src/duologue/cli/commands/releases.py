"""``duologue gate`` and ``duologue environments``: what decides about a release of an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json, print_table, terminal
from duologue.cli.services import agent_named, environment_named, eval_named, with_service
from duologue.cli.store_options import ProjectOption
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.runs.service import RunService
    from duologue.runs.store.releases import Deployment, Environment, GateResult

environments = typer.Typer(help="Where agents are deployed to, and what was deployed.", no_args_is_help=True)

_VERSION = typer.Option("--version", min=1, help="Version of the agent. Default: the newest published one.")
_ENVIRONMENT = typer.Argument(help="Name or id of the environment.", metavar="ENVIRONMENT")


def gate(
    agent: Annotated[str, typer.Argument(help="Name or id of a saved agent.", metavar="AGENT")],
    version: Annotated[int | None, _VERSION] = None,
    eval_: Annotated[
        str | None, typer.Option("--eval", help="Eval that has to have passed. Default: that of the environment.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", help="Environment that the agent is to be deployed to.")
    ] = None,
    deploy: Annotated[
        bool,
        typer.Option("--deploy", help="If it passed, call the webhook of the environment and record the deployment."),
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Print what the webhook would be sent; send and record nothing.")
    ] = False,
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say whether exactly this version of an agent passed an eval: exit 0 if it did, 1 if not.

    The newest execution of the version that is over decides, by the thresholds of the eval.
    """
    if (deploy or preview) and environment is None:
        raise ConfigurationError(f"{'--deploy' if deploy else '--preview'} needs --environment")

    async def work(service: RunService) -> tuple[GateResult | None, Deployment | None, dict[str, Any] | None]:
        known = await agent_named(service, agent)
        eval_id = (await eval_named(service, eval_)).id if eval_ else None
        place = await environment_named(service, environment) if environment else None
        if preview and place is not None:
            webhook = await service.preview_deployment(place.id, known.id, version=version)
            return None, None, webhook.as_data()
        if deploy and place is not None:
            done, found = await service.deploy(place.id, known.id, version=version, eval_id=eval_id)
            return found, done, None
        place_id = place.id if place else None
        found = await service.check_gate(known.id, eval_id, version=version, environment_id=place_id)
        return found, None, None

    found, done, webhook = with_service(store, project, work)
    if webhook is not None:
        print_json(webhook)
        return ExitCode.PASSED
    if as_json:
        told = found.as_data() if found else {"passed": True, "reason": "the environment has no eval that decides"}
        print_json({**told, "deployment": done.as_data() if done else None})
    else:
        _print_gate(found, done)
    if found is not None and not found.passed:
        return ExitCode.FAILED
    return ExitCode.UNCERTAIN if done is not None and done.status != "deployed" else ExitCode.PASSED


def _print_gate(found: GateResult | None, done: Deployment | None) -> None:
    if found is not None:
        echo(one_line(found.reason))
        for note in found.notes:
            echo(f"Note: {one_line(note)}", err=True)
    if done is not None:
        echo(one_line(f"deployment {done.id}: {done.status}: {done.message}"))


# Environments


@environments.command("add")
def add_environment(
    name: Annotated[str, typer.Argument(help="Name of the environment, such as production.", metavar="NAME")],
    agent: Annotated[str | None, typer.Option("--agent", help="The only agent that may be deployed here.")] = None,
    eval_: Annotated[str | None, typer.Option("--eval", help="Eval that has to have passed.")] = None,
    platform: Annotated[str, typer.Option("--platform", help="retell, vapi, elevenlabs or webhook.")] = "webhook",
    platform_agent_id: Annotated[
        str | None, typer.Option("--platform-agent-id", help="ID of the agent on its platform.")
    ] = None,
    webhook: Annotated[str | None, typer.Option("--webhook", metavar="URL", help="URL that is told.")] = None,
    header: Annotated[
        list[str], typer.Option("--header", help="'Name: value' of the webhook, with ${NAME} for what is secret.")
    ] = [],  # noqa: B006 - typer's way
    secret: Annotated[
        str | None, typer.Option("--secret", metavar="NAME", help="Name of the secret that signs the webhook.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--allow-private-addresses", help="Let the webhook lead to loopback and private addresses.")
    ] = False,
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Save an environment."""
    headers = dict(_header(item) for item in header)

    async def work(service: RunService) -> Environment:
        fields: dict[str, Any] = {
            "agent_id": (await agent_named(service, agent)).id if agent else None,
            "eval_id": (await eval_named(service, eval_)).id if eval_ else None,
            "platform_agent_id": platform_agent_id,
            "webhook_url": webhook,
            "headers": headers or None,
            "signing_secret": secret,
            "allow_private_addresses": private or None,
        }
        given = {key: value for key, value in fields.items() if value is not None}
        return await service.create_environment(name=name, platform=platform, **given)

    made = with_service(store, project, work)
    if as_json:
        print_json(made.as_data())
    else:
        echo(f"{made.id}: {one_line(made.name)}")
    return ExitCode.PASSED


def _header(text: str) -> tuple[str, str]:
    name, mark, value = text.partition(":")
    if not mark or not name.strip():
        raise ConfigurationError(f"--header {name!r}: expected 'Name: value'")
    return name.strip(), value.strip()


@environments.command("list")
def list_environments(store: DatabaseOption = None, project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """List the environments of a project."""

    async def work(service: RunService) -> list[Environment]:
        return await service.list_environments()

    found = with_service(store, project, work)
    if as_json:
        print_json([item.as_data() for item in found])
        return ExitCode.PASSED
    rows = [(item.name, item.spec.platform, item.spec.webhook_url or "", item.id) for item in found]
    print_rows(("name", "platform", "webhook", "id"), rows, "no environments")
    return ExitCode.PASSED


@environments.command("delete")
def delete_environment(
    environment: Annotated[str, _ENVIRONMENT], store: DatabaseOption = None, project: ProjectOption = None
) -> int:
    """Delete an environment with the history of its deployments."""

    async def work(service: RunService) -> None:
        await service.delete_environment((await environment_named(service, environment)).id)

    with_service(store, project, work)
    echo(f"deleted the environment '{one_line(environment)}'")
    return ExitCode.PASSED


@environments.command("history")
def history(
    environment: Annotated[
        str | None, typer.Argument(help="Only of this environment.", metavar="[ENVIRONMENT]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 50,
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """List what was deployed, or refused by the gate, the newest first."""

    async def work(service: RunService) -> tuple[list[Deployment], dict[str, str], dict[str, str]]:
        place = (await environment_named(service, environment)).id if environment else None
        found = await service.list_deployments(environment_id=place, limit=limit)
        places = {item.id: item.name for item in await service.list_environments()}
        agents = {item.id: item.name for item in await service.list_agents()}
        return found, places, agents

    found, places, agents = with_service(store, project, work)
    if as_json:
        print_json([item.as_data() for item in found])
        return ExitCode.PASSED
    rows = [
        (
            str(item.id),
            item.as_data()["created_at"],
            places.get(item.environment_id, item.environment_id),
            f"{agents.get(item.agent_id, item.agent_id)} {item.agent_version}",
            item.status,
            item.message,
        )
        for item in found
    ]
    print_rows(("id", "at", "environment", "agent", "status", "message"), rows, "no deployments")
    return ExitCode.PASSED


def print_rows(heads: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> None:
    """Print a table of plain texts, or what is said where there are no rows."""
    from rich.table import Table
    from rich.text import Text

    if not rows:
        echo(none)
        return
    table = Table(*heads, header_style="bold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    print_table(terminal(), table)
