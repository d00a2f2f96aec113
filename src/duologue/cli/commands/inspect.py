"""``duologue inspect``: what a suite contains, and which agents, personas and scenarios combine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Table
from rich.text import Text

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import print_json, print_table, say, terminal
from duologue.errors import ConfigurationError
from duologue.terminal_text import continued, one_line, printable

if TYPE_CHECKING:
    from duologue.specs.scenario import Scenario
    from duologue.specs.suite import Suite

SECTIONS = (
    "agents",
    "models",
    "scenarios",
    "replays",
    "personas",
    "simulators",
    "judges",
    "prompts",
    "tools",
    "mcp_servers",
    "a2a_agents",
    "checks",
    "pack_evals",
    "workflow",
    "defaults",
    "extensions",
)
"""What can be asked for with ``--section``."""


def inspect(
    path: Annotated[Path, typer.Argument(help="A suite, its folder, or the file of a single resource.")],
    section: Annotated[str | None, typer.Option(help=f"Only this section, in full: {', '.join(SECTIONS)}.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> int:
    """Show what a suite contains, and which agents, personas and scenarios combine. Nothing is planned or run."""
    from duologue.config.problems import hint, listed
    from duologue.config.redaction import without_secrets
    from duologue.suites.manifests.loader import load

    if section is not None and section not in SECTIONS:
        raise ConfigurationError(f"unknown section '{section}'{hint(section, SECTIONS)} Known: {listed(SECTIONS)}")
    suite = load(path)
    whole = without_secrets(suite.written(), keep_references=True)
    if section is not None:
        _show_section(whole.get(section), as_json)
    elif as_json:
        print_json({"suite": whole, "combinations": [combination(suite, item) for item in suite.scenarios]})
    else:
        _show_all(suite)
    return ExitCode.PASSED


def combination(suite: Suite, scenario: Scenario) -> dict[str, Any]:
    """What varies around a scenario, and how many test cases that makes."""
    from duologue.suites.plan.build import agents_of, personas_of, perturbations_of, regions_of, trials_of

    agents = [agent.name for agent in agents_of(suite, scenario)]
    personas = [name for name in personas_of(scenario) if name]
    regions = list(regions_of(suite, scenario))
    variants, trials = len(perturbations_of(scenario)), trials_of(suite, scenario)
    return {
        "scenario": scenario.name,
        "agents": agents,
        "personas": personas,
        "regions": regions,
        "variants": variants,
        "trials": trials,
        "test_cases": len(agents) * max(1, len(personas)) * len(regions) * variants * trials,
    }


def _show_section(value: Any, as_json: bool) -> None:
    if as_json:
        print_json(value)
        return
    from duologue.config.yaml_writer import yaml_text

    terminal().print(Text("none\n" if value is None else yaml_text(value, for_terminal=True)), soft_wrap=True, end="")


def _show_all(suite: Suite) -> None:
    console = terminal()
    say(console, Text(one_line(suite.name), "bold").append(f"  {continued(suite.description)}", "dim"))
    held = _held(suite)
    width = max(map(len, held), default=0)
    for section, words in held.items():
        say(console, f"{section:<{width}}  {one_line(words)}")
    if not suite.scenarios:
        return
    table = Table(header_style="bold", title="\nWhat combines", title_justify="left")
    for column in ("scenario", "user", "agents", "decided by", "cases"):
        table.add_column(column, overflow="fold")
    every = [combination(suite, scenario) for scenario in suite.scenarios]
    for scenario, found in zip(suite.scenarios, every, strict=True):
        row = [
            scenario.name,
            _user(suite, scenario, found),
            _agents(found),
            _decided_by(suite, scenario, found),
            _cases(found),
        ]
        table.add_row(*(Text(printable(cell)) for cell in row))
    print_table(console, table)
    total = sum(found["test_cases"] for found in every)
    more = "; plus the recordings of replays" if suite.replays else ""
    console.print(Text(f"{total} test case{'' if total == 1 else 's'} of scenarios{more}", "dim"))


def _held(suite: Suite) -> dict[str, str]:
    held: dict[str, str] = {}
    for section in SECTIONS:
        value = getattr(suite, section)
        if isinstance(value, tuple) and value:
            held[section] = ", ".join(_named(section, item) for item in cast("tuple[Any, ...]", value))
    if suite.workflow:
        held["workflow"] = f"{' → '.join(suite.workflow.states)}, begins with {suite.workflow.entry}"
    settings = suite.defaults.written()
    if settings:
        held["defaults"] = ", ".join(f"{key}: {value}" for key, value in settings.items() if key != "output")
    if suite.extensions:
        held["extensions"] = f"{', '.join(suite.extensions)} (no effect)"
    return held


def _named(section: str, item: Any) -> str:
    name = str(next((getattr(item, key) for key in ("name", "id", "type") if hasattr(item, key)), "?"))
    match section:
        case "agents":
            how = item.runtime and f"runtime {item.runtime.get('kind', '?')}"
            return f"{name} ({how or item.model or item.target or (item.http.url if item.http else '')})"
        case "models":
            return f"{name} ({item.provider}{f'/{item.model}' if item.model else ''})"
        case "simulators" | "judges":
            return f"{name} ({item.model})"
        case "personas":
            return f"{name} ({item.way})" if item.way else name
        case "tools":
            return f"{name} ({item.mode})"
        case _:
            return name


def _user(suite: Suite, scenario: Scenario, found: dict[str, Any]) -> str:
    fixed = sum(turn.role == "user" for turn in scenario.turns)
    lines = [f"{fixed} fixed line{'s' if fixed != 1 else ''}"] if fixed else []
    people = [*found["personas"], *(turn.persona or "" for turn in scenario.turns if turn.role == "simulated_user")]
    if scenario.simulates_a_user:
        known = {item.name: _named("personas", item) for item in suite.personas}
        named = [known.get(name, name) for name in people if name]
        lines.append(f"simulated: {', '.join(dict.fromkeys(named)) or 'anyone'}")
    return "\n".join(lines)


def _agents(found: dict[str, Any]) -> str:
    return ", ".join(found["agents"])


def _decided_by(suite: Suite, scenario: Scenario, found: dict[str, Any]) -> str:
    from duologue.specs.suite import find_named
    from duologue.suites.plan.build import attackers_of

    agents = [find_named(suite.agents, name) for name in found["agents"]]
    prompts = [suite.prompt_for(agent.prompt or scenario.prompt) for agent in agents if agent and agent.is_native]
    guardrails = max((sum(item.enabled for item in prompt.guardrails) for prompt in prompts if prompt), default=0)
    checks = len(suite.checks) + len(scenario.checks) + sum(len(turn.checks) for turn in scenario.turns)
    criteria = len(scenario.criteria) + bool(scenario.success_criteria) + bool(scenario.failure_criteria)
    attacks = len(attackers_of(suite, scenario))
    parts = [(checks, "check"), (criteria, "criterion"), (guardrails, "guardrail"), (attacks, "attack")]
    words = {"check": "checks", "criterion": "criteria", "guardrail": "guardrails", "attack": "attacks"}
    return ", ".join(f"{count} {word if count == 1 else words[word]}" for count, word in parts if count) or "nothing"


def _cases(found: dict[str, Any]) -> str:
    factors = [
        (len(found["agents"]), "agents"),
        (len(found["personas"]), "personas"),
        (len(found["regions"]), "regions"),
        (found["variants"], "variants"),
        (found["trials"], "trials"),
    ]
    told = " × ".join(f"{count} {word}" for count, word in factors if count > 1)
    return f"{found['test_cases']}" + (f"\n{told}" if told else "")
