"""``duologue plan``: what would be run, and what it would take."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from duologue.suites.plan.build import Plan
    from duologue.suites.plan.estimate import Estimate

_SHOWN = 200
"""Test cases that are listed, unless all are asked for."""


def plan(
    suite: Annotated[str, typer.Argument(help="A suite file or folder.", metavar="SUITE")],
    scenario: Annotated[list[str], typer.Option("--scenario", help="Only these scenarios.")] = [],  # noqa: B006
    agent: Annotated[list[str], typer.Option("--agent", "--provider", help="Only these agents.")] = [],  # noqa: B006
    persona: Annotated[list[str], typer.Option("--persona", help="Only these personas.")] = [],  # noqa: B006
    region: Annotated[list[str], typer.Option("--region", help="Only these regions.")] = [],  # noqa: B006
    replay: Annotated[list[str], typer.Option("--replay", "--eval", help="Only these replays.")] = [],  # noqa: B006
    tag: Annotated[list[str], typer.Option("--tag", help="Only scenarios with any of these tags.")] = [],  # noqa: B006
    label: Annotated[list[str], typer.Option("--label", help="Only these labels, as key=value.")] = [],  # noqa: B006
    trials: Annotated[int | None, typer.Option(min=1, help="Repeat each case this many times.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed for every random choice.")] = None,
    jobs: Annotated[int | None, typer.Option("-j", "--jobs", min=1, help="Number of cases to run at once.")] = None,
    mock: Annotated[bool, typer.Option("--mock", help="Estimate for mock models that answer from a file.")] = False,
    every: Annotated[bool, typer.Option("--all", help=f"List every test case, not only the first {_SHOWN}.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> int:
    """Show the test cases of a suite in the order in which they would run.

    Also estimates calls, cost and time. No model is called and nothing is spent.
    """
    from duologue.cli.output import print_json
    from duologue.context import SystemClock
    from duologue.suites.execution.engine import Engine
    from duologue.suites.plan.build import Filters
    from duologue.suites.plan.estimate import estimate
    from duologue.suites.runner.definition import DEFAULT_CONCURRENCY

    engine = Engine.from_file(suite)
    filters = Filters(
        scenarios=scenario, agents=agent, personas=persona, regions=region, replays=replay, tags=tag, labels=label
    )
    made = engine.generate_plan(filters, trials=trials, seed=seed)
    concurrency = jobs or engine.suite.defaults.concurrency or DEFAULT_CONCURRENCY
    found = estimate(engine.suite, made, concurrency=concurrency, now=SystemClock().now(), mocking=mock)
    if as_json:
        print_json({**_plan_data(made), "estimate": _estimate_data(found)})
    else:
        _print(made, found, None if every else _SHOWN)
    return ExitCode.PASSED


def _plan_data(made: Plan) -> dict[str, Any]:
    return {"suite": made.suite, "seed": made.seed, "cases": [case.as_data() for case in made.cases]}


def _estimate_data(found: Estimate) -> dict[str, Any]:
    return {**asdict(found), "calls": found.calls, "tokens": found.tokens}


def _print(made: Plan, found: Estimate, most: int | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from duologue.cli.output import print_table, say, terminal
    from duologue.terminal_text import one_line

    console = terminal()
    columns = ("scenario", "agent", "persona", "region", "perturbation", "recording", "trial")
    rows = [{**case.as_data(), "trial": case.trial if case.trials > 1 else None} for case in made.cases]
    used = [name for name in columns if any(row.get(name) not in {None, "default"} for row in _hashable(rows))]
    table = Table("#", header_style="bold")
    for name in used:
        table.add_column(name, overflow="fold")
    for index, row in enumerate(rows[:most]):
        table.add_row(str(index + 1), *(Text(one_line(_cell(row.get(name)))) for name in used))
    print_table(console, table)
    if most is not None and len(rows) > most:
        console.print(Text(f"… and {len(rows) - most:,} more; --all lists them", style="dim"))
    for line in _lines(made, found):
        say(console, one_line(line))


def _hashable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: _cell(value) or None for key, value in row.items()} for row in rows]


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())  # pyright: ignore[reportUnknownVariableType]
    return "" if value is None else str(value)


def _lines(made: Plan, found: Estimate) -> list[str]:
    noun = "test case" if len(made) == 1 else "test cases"
    money = f"about ${found.cost:,.2f}" if found.cost else "no cost"
    who = ", ".join(f"{role} {getattr(found, role).calls:,}" for role in ("agent", "user", "judge"))
    lines = [
        f"{len(made):,} {noun}, seed {made.seed}",
        f"about {found.calls:,} model calls ({who}), {found.tokens:,} tokens, {money}, {_duration(found.seconds)}",
    ]
    if found.unpriced:
        lines.append(f"no price is known for {', '.join(found.unpriced)}; give the model a 'pricing' in the suite")
    return lines


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
