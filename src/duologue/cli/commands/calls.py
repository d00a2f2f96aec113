"""``duologue calls``: conversations that agents had with real people: pull, list, show, label, delete, to-case."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.commands.generate_cases import AboutOption, ModelOption, print_documents
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json, print_table, say, terminal
from duologue.cli.services import agent_named, with_service
from duologue.cli.store_options import ProjectOption
from duologue.errors import ConfigurationError, NotFoundError
from duologue.terminal_text import continued, one_line

if TYPE_CHECKING:
    from duologue.runs.project_cases import TestCases
    from duologue.runs.service import RunService
    from duologue.runs.store.calls import CallSource, ProductionCall, PulledCalls
    from duologue.transcripts.recording import Recording

calls = typer.Typer(help="Production calls of Retell, Vapi and ElevenLabs.", no_args_is_help=True)

_CALL = typer.Argument(help="Id of a call, or its id at the platform.", metavar="CALL")
_AGENT = typer.Option("--agent", help="Name or id of the saved agent.")


@calls.command()
def pull(
    platform: Annotated[
        str | None,
        typer.Argument(help="retell, vapi or elevenlabs. Default: every source that is saved.", metavar="[PLATFORM]"),
    ] = None,
    platform_agent_id: Annotated[
        str | None, typer.Argument(help="Id of the agent at the platform.", metavar="[AGENT_ID]")
    ] = None,
    agent: Annotated[str | None, _AGENT] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="NAME", help="Secret or variable with the key, as RETELL_API_KEY.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="URL of the API. Default: the platform's.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Fetch no calls before that day.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--allow-private-addresses", help="Let --url lead to loopback and private addresses.")
    ] = False,
    pages: Annotated[int, typer.Option("--pages", min=1, max=20, help="Pages of 100 calls, at most.")] = 20,
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Fetch calls that are not here yet, the newest first. The source is remembered, and what is left comes later."""
    if (platform is None) != (platform_agent_id is None):
        raise ConfigurationError("name both the platform and the id of the agent there, or neither")
    given = [name for name, value in (("--key", key), ("--url", url), ("--since", since)) if value is not None]
    if platform is None and given:
        raise ConfigurationError(f"{given[0]} belongs to one source: name the platform and the id of the agent there")
    spec: dict[str, Any] = {"url": url, "since": _day(since), "allow_private_addresses": private or None}
    spec["api_key"] = f"${{{key}}}" if key else None

    async def work(service: RunService) -> list[PulledCalls]:
        agent_id = (await agent_named(service, agent)).id if agent else None
        sources: list[CallSource] = []
        if platform is not None and platform_agent_id is not None:
            known = {name: value for name, value in spec.items() if value is not None}
            sources.append(await service.put_call_source(platform, platform_agent_id, agent_id=agent_id, **known))
        else:
            sources += await service.list_call_sources(agent_id=agent_id)
        if not sources:
            raise ConfigurationError("no source of calls is saved; name a platform and the id of an agent there")
        return [await service.pull_calls(source.id, pages=pages) for source in sources]

    found = with_service(store, project, work)
    if as_json:
        print_json([item.as_data() for item in found])
        return ExitCode.PASSED
    for item in found:
        for problem in item.problems:
            echo(f"Note: {one_line(problem)}", err=True)
        under_way = f", {item.under_way} under way" if item.under_way else ""
        rest = "; there are more, pull again" if item.more else ""
        counts = f"{item.new} new, {item.known} known{under_way}{rest}"
        echo(one_line(f"{item.source.platform} {item.source.platform_agent_id}: {counts}"))
    return ExitCode.PASSED


def _day(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--since is {text!r}; expected a day such as 2026-01-31") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


@calls.command("list")
def list_(
    agent: Annotated[str | None, _AGENT] = None,
    label: Annotated[str | None, typer.Option("--label", help="Only calls that are labelled good, or bad.")] = None,
    unseen: Annotated[bool, typer.Option("--unseen", help="Only calls that nobody has looked at.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 50,
    after: Annotated[str | None, typer.Option(help="Continue after the call with this id.")] = None,
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """List calls, those that began last first."""

    async def work(service: RunService) -> list[ProductionCall]:
        agent_id = (await agent_named(service, agent)).id if agent else None
        seen = False if unseen else None
        return await service.list_calls(agent_id=agent_id, label=label, seen=seen, limit=limit, after=after)

    found = with_service(store, project, work)
    if as_json:
        print_json([item.as_data() for item in found])
    else:
        _print_list(found)
    return ExitCode.PASSED


def _print_list(found: Sequence[ProductionCall]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not found:
        echo("no calls")
        return
    table = Table("began", "platform", "call", "seconds", "label", "seen", "id", header_style="bold")
    for call in found:
        data = call.as_data()
        seconds = "" if call.seconds is None else f"{call.seconds:.0f}"
        seen = "yes" if call.seen_at is not None else ""
        cells = (data["started_at"], call.platform, call.platform_call_id, seconds, call.label or "", seen, call.id)
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    print_table(terminal(), table)


@calls.command()
def show(
    call: Annotated[str, _CALL],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it as a recording, for replays and suites.")
    ] = None,
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what was said in a call. It counts as seen then."""

    async def work(service: RunService) -> tuple[ProductionCall, Recording]:
        found = await service.get_call((await _named(service, call)).id, mark_seen=True)
        assert found is not None
        return found, await service.call_recording(found.id)

    found, recording = with_service(store, project, work)
    if out is not None:
        _write(out, found, recording)
    if as_json:
        print_json(found.as_data())
        return ExitCode.PASSED
    _print_call(found, recording)
    return ExitCode.PASSED


def _write(out: Path, call: ProductionCall, recording: Recording) -> None:
    import json

    from duologue.config.files import write_atomic

    if out.exists():
        raise ConfigurationError(f"{out} exists already, and nothing is overwritten: choose another name")
    data: Any = call.data
    if call.platform == "elevenlabs":  # which no format of recordings is
        data = {"id": call.platform_call_id, "messages": [item.message for item in recording.messages]}
    write_atomic(out, json.dumps(data, indent=2))


def _print_call(call: ProductionCall, recording: Recording) -> None:
    from rich.text import Text

    from duologue.messages import text_of, tool_calls_of

    console, data = terminal(), call.as_data()
    say(console, Text(one_line(f"{call.platform} {call.platform_call_id}"), style="bold"))
    for name in ("id", "started_at", "seconds", "label"):
        if data.get(name) is not None:
            say(console, f"  {name.replace('_', ' '):<12}{one_line(str(data[name]))}")
    if recording.error is not None:
        say(console, continued(str(recording.error)))
    for item in recording.messages:
        called = " ".join(f"[{one.get('function', {}).get('name', '')}]" for one in tool_calls_of(item.message))
        said = continued(" ".join(filter(None, (text_of(item.message), called))))
        say(console, Text(f"{item.message['role']}: ", style="dim").append(said, style=""))


@calls.command()
def label(
    call: Annotated[str, _CALL],
    label: Annotated[str, typer.Argument(help="good, bad, or none to take the label away.", metavar="LABEL")],
    store: DatabaseOption = None,
    project: ProjectOption = None,
) -> int:
    """Say that a call was good or bad."""

    async def work(service: RunService) -> None:
        await service.label_call((await _named(service, call)).id, None if label == "none" else label)

    with_service(store, project, work)
    echo(f"{one_line(call)}: {one_line(label)}")
    return ExitCode.PASSED


@calls.command()
def delete(call: Annotated[str, _CALL], store: DatabaseOption = None, project: ProjectOption = None) -> int:
    """Delete what was said in a call. It is not fetched again."""

    async def work(service: RunService) -> None:
        await service.delete_call((await _named(service, call)).id)

    with_service(store, project, work)
    echo(f"deleted {one_line(call)}")
    return ExitCode.PASSED


@calls.command("to-run")
def to_run(call: Annotated[str, _CALL], store: DatabaseOption = None, project: ProjectOption = None) -> int:
    """Store a call as a run without a verdict, so that people can label it like one."""

    async def work(service: RunService) -> str:
        return await service.record_call((await _named(service, call)).id)

    echo(with_service(store, project, work))
    return ExitCode.PASSED


@calls.command("to-case")
def to_case(
    call: Annotated[str, _CALL],
    literal: Annotated[
        bool, typer.Option("--literal", help="No model: the user says exactly what was said in the call.")
    ] = False,
    about: AboutOption = "",
    model: ModelOption = None,
    save: Annotated[bool, typer.Option("--save", help="Save it in the project. Default: print it as YAML.")] = False,
    store: DatabaseOption = None,
    project: ProjectOption = None,
) -> int:
    """Make a test case of a call: a model writes it, or the user's words are said again."""

    async def work(service: RunService) -> TestCases:
        found = await _named(service, call)
        return await service.create_test_case_from_call(
            found.id, write=not literal, instructions=about, model=model, save=save
        )

    made = with_service(store, project, work)
    for problem in made.problems:
        echo(f"Note: {one_line(problem)}", err=True)
    if save:
        echo(f"saved the scenario '{one_line(made.saved[0].name)}'")
    else:
        print_documents(made.scenarios, made.personas)
    return ExitCode.PASSED


@calls.command()
def sources(store: DatabaseOption = None, project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """List where calls come from."""

    async def work(service: RunService) -> list[CallSource]:
        return await service.list_call_sources()

    found = with_service(store, project, work)
    if as_json:
        print_json([item.as_data() for item in found])
        return ExitCode.PASSED
    for item in found:
        data = item.as_data()
        synced = data.get("synced_at", "never")
        echo(one_line(f"{item.id}  {item.platform} {item.platform_agent_id}  fetched: {synced}"))
    if not found:
        echo("no sources")
    return ExitCode.PASSED


async def _named(service: RunService, call: str) -> ProductionCall:
    found = await service.find_call(call)
    if found is None:
        raise NotFoundError(f"the project '{service.project.name}' has no call '{call}'")
    return found
