"""``duologue generate cases`` and ``duologue generate edit``: test cases that a language model writes and changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json
from duologue.cli.recorded_files import recordings_in
from duologue.cli.services import agent_named, scenario_named, with_service
from duologue.cli.store_options import ProjectOption
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.messages import Message
    from duologue.runs.service import RunService
    from duologue.specs.agents import Persona
    from duologue.specs.metrics import MetricSpec
    from duologue.specs.scenario import Scenario

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", help="Model that writes, such as openai/gpt-5-mini. Default: the project's, else the default model."
    ),
]
AboutOption = Annotated[str, typer.Option("--about", metavar="TEXT", help="What the test cases should be about.")]
_MOST = 200


def cases(
    suite: Annotated[
        str | None,
        typer.Argument(help="A suite whose agent is tested. Default: a saved agent of a database.", metavar="[SUITE]"),
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="Name of the agent. Default: the only one of the suite.")
    ] = None,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Version of a saved agent.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=_MOST, help="How many test cases.")] = 10,
    sources: Annotated[
        list[Path],
        typer.Option("--from", help="Recordings that show what users ask for, or a folder of them. Can be repeated."),
    ] = [],  # noqa: B006 - typer's way
    run: Annotated[list[str], typer.Option("--run", help="Id of a stored run, as a recording.")] = [],  # noqa: B006
    about: AboutOption = "",
    model: ModelOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for a file of each scenario and persona.")
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Save them in the project of the database.")] = False,
    force: Annotated[bool, typer.Option("--force", help="With --out: overwrite existing files.")] = False,
    store: DatabaseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let a model write test cases for an agent: from its prompt, its tools and recorded conversations.

    They are printed as YAML, unless --out or --save says where they go.
    """
    talks = [[item.message for item in found.messages] for found in recordings_in(sources, None)] if sources else []
    if suite is not None:
        if save or run or version is not None:
            raise ConfigurationError("--save, --run and --version are for saved agents, not for those of a suite")
        scenarios, personas, problems = _of_suite(suite, agent, count, talks, about, model)
        saved = 0
    else:

        async def work(service: RunService) -> tuple[Sequence[Scenario], Sequence[Persona], Sequence[str], int]:
            agent_id = (await agent_named(service, agent)).id if agent else None
            made = await service.generate_test_cases(
                agent_id,
                version=version,
                count=count,
                run_ids=run,
                conversations=talks,
                instructions=about,
                model=model,
                save=save,
            )
            return made.scenarios, made.personas, made.problems, len(made.saved)

        scenarios, personas, problems, saved = with_service(store, project, work)
    for problem in problems:
        echo(f"Note: {one_line(problem)}", err=True)
    if as_json:
        written = {"scenarios": scenarios, "personas": personas}
        data: dict[str, Any] = {key: [item.written() for item in items] for key, items in written.items()}
        print_json({**data, "problems": list(problems)})
    elif saved:
        echo(f"saved {_counted(saved, 'scenario')} and {_counted(len(personas), 'persona')}")
    elif out is None:
        print_documents(scenarios, personas)
    if out is not None:
        _write(out, scenarios, personas, force=force)
    return ExitCode.PASSED


def edit(
    scenario: Annotated[str, typer.Argument(help="Name or id of a saved scenario.", metavar="SCENARIO")],
    instruction: Annotated[
        str, typer.Argument(help="What should be different, such as 'make the user impatient'.", metavar="INSTRUCTION")
    ],
    agent: Annotated[str | None, typer.Option("--agent", help="Saved agent that is tested, for its tools.")] = None,
    model: ModelOption = None,
    save: Annotated[bool, typer.Option("--save", help="Save the change. Default: print the scenario.")] = False,
    store: DatabaseOption = None,
    project: ProjectOption = None,
) -> int:
    """Let a model change a saved scenario as an instruction says."""

    async def work(service: RunService) -> tuple[Sequence[Scenario], Sequence[Persona], Sequence[str]]:
        found = await scenario_named(service, scenario)
        agent_id = (await agent_named(service, agent)).id if agent else None
        made, different = await service.edit_test_case(found.id, instruction, agent_id=agent_id, model=model, save=save)
        return made.scenarios, made.personas, different

    scenarios, personas, different = with_service(store, project, work)
    if save:
        echo(f"changed {one_line(scenario)}: {', '.join(different)}")
    else:
        print_documents(scenarios, personas)
    return ExitCode.PASSED


def metric(
    about: Annotated[
        str, typer.Argument(help="What it looks at, such as 'does it ask before it acts'.", metavar="ABOUT")
    ],
    agent: Annotated[str | None, typer.Option("--agent", help="Saved agent whose conversations are graded.")] = None,
    binary: Annotated[bool, typer.Option("--binary", help="Graded with yes or no, not from 0 to 5.")] = False,
    model: ModelOption = None,
    save: Annotated[bool, typer.Option("--save", help="Save it as a draft. Default: print it.")] = False,
    store: DatabaseOption = None,
    project: ProjectOption = None,
) -> int:
    """Let a model draft a metric with its rubric."""

    async def work(service: RunService) -> MetricSpec:
        agent_id = (await agent_named(service, agent)).id if agent else None
        kind = "binary" if binary else "scored"
        return await service.draft_metric(about, agent_id=agent_id, score_type=kind, model=model, save=save)

    made = with_service(store, project, work)
    if save:
        echo(f"saved the metric '{one_line(made.name)}' as a draft")
    else:
        from duologue.config.yaml_writer import yaml_text

        echo(yaml_text(made.written(), for_terminal=True).rstrip("\n"))
    return ExitCode.PASSED


def print_documents(scenarios: Sequence[Scenario], personas: Sequence[Persona]) -> None:
    """Scenarios and personas as YAML documents on standard output."""
    from duologue.suites.manifests.writer import resource_text

    echo("---\n".join(resource_text(item) for item in (*personas, *scenarios)).rstrip("\n"))


def _of_suite(
    path: str, agent: str | None, count: int, talks: Sequence[Sequence[Message]], about: str, model: str | None
) -> tuple[Sequence[Scenario], Sequence[Persona], Sequence[str]]:
    from duologue.models.choice import choose
    from duologue.suites.cases import facts_of, generate_cases
    from duologue.suites.execution.engine import Engine
    from duologue.suites.runner.models import SuiteModels

    suite = Engine.from_file(path).suite
    names = [item.name for item in suite.agents]
    if agent is None and len(names) > 1:
        raise ConfigurationError(f"the suite has several agents; name one with --agent: {', '.join(names)}")
    found = suite.agent(agent or names[0])
    known = model is not None and any(item.name == model for item in suite.models)
    choice = choose(SuiteModels(suite).model(model, scenario="") if known and model else model, purpose="generate")
    made = asyncio.run(
        generate_cases(
            choice,
            facts_of(found, suite.prompts, suite.tools),
            count=count,
            conversations=talks,
            instructions=about,
            taken=[item.name for item in suite.scenarios],
            personas_taken=[item.name for item in suite.personas],
            known_tools=found.model is not None and not (suite.mcp_servers or suite.a2a_agents),
        )
    )
    return made.scenarios, made.personas, made.problems


def _write(folder: Path, scenarios: Sequence[Scenario], personas: Sequence[Persona], *, force: bool) -> None:
    from duologue.suites.manifests.writer import write_resources

    paths = write_resources(personas, folder / "personas", replace=force) if personas else []
    paths += write_resources(scenarios, folder / "scenarios", replace=force)
    parts = ["scenarios: [scenarios/*.yaml]", *(["personas: [personas/*.yaml]"] if personas else [])]
    echo(f"{_counted(len(paths), 'file')} in {one_line(folder)}", err=True)
    echo(f"Name them in a suite there: {', '.join(parts)}", err=True)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
