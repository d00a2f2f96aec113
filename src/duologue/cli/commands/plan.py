"""``duologue plan``: what would be run, and what it would take."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.reports.display import money, plural
from duologue.stats.proportion import percent

if TYPE_CHECKING:
    from duologue.runs.earlier_costs import MeasuredCost
    from duologue.suites.execution.engine import Engine
    from duologue.suites.plan.build import Plan
    from duologue.suites.plan.estimate import Estimate
    from duologue.suites.plan.precision import Precision

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
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Plan trials that end when they decide about their case.")
    ] = False,
    pass_threshold: Annotated[
        str | None, typer.Option(help="Share of its trials that a case must pass with --until-decided, such as 80%.")
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option(
            help="Results folder that says what the cases took before. Default: the last execution of the suite."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed for every random choice.")] = None,
    jobs: Annotated[int | None, typer.Option("-j", "--jobs", min=1, help="Number of cases to run at once.")] = None,
    mock: Annotated[bool, typer.Option("--mock", help="Estimate for mock models that answer from a file.")] = False,
    every: Annotated[bool, typer.Option("--all", help=f"List every test case, not only the first {_SHOWN}.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> int:
    """Show the test cases of a suite in the order in which they would run.

    Also estimates calls, cost and time, also from earlier runs of the same cases, and how wide the intervals of pass
    rates will be. No model is called and nothing is spent.
    """
    from duologue.cli.commands.run import threshold_of
    from duologue.cli.output import print_json
    from duologue.context import SystemClock
    from duologue.suites.execution.engine import Engine
    from duologue.suites.plan.build import Filters
    from duologue.suites.plan.estimate import estimate
    from duologue.suites.runner.definition import DEFAULT_CONCURRENCY, RunOptions

    engine = Engine.from_file(suite)
    filters = Filters(
        scenarios=scenario, agents=agent, personas=persona, regions=region, replays=replay, tags=tag, labels=label
    )
    made = engine.generate_plan(filters, trials=trials, seed=seed, until_decided=until_decided)
    concurrency = jobs or engine.suite.defaults.concurrency or DEFAULT_CONCURRENCY
    found = estimate(engine.suite, made, concurrency=concurrency, now=SystemClock().now(), mocking=mock)
    options = RunOptions(pass_threshold=threshold_of(pass_threshold)).over(engine.suite.defaults)
    outlook = _outlook(engine, made, earlier, concurrency, options.pass_threshold or 1.0)
    if as_json:
        print_json({**_plan_data(made), "estimate": _estimate_data(found), **outlook.as_data()})
    else:
        _print(made, found, None if every else _SHOWN, outlook)
    return ExitCode.PASSED


@frozen
class _Outlook:
    """What the trials will buy, and what they took before; None where no earlier execution says it."""

    precision: Precision
    measured: MeasuredCost | None

    def as_data(self) -> dict[str, Any]:
        """As plain data."""
        return {"precision": asdict(self.precision), "measured": self.measured and asdict(self.measured)}

    def lines(self) -> list[str]:
        """For people."""
        found, measured = self.precision, self.measured
        of = f"{plural(found.trials, 'trial')} at a pass rate of {percent(found.rate)}"
        lines = [f"{percent(found.confidence)} intervals: a test case ±{found.case_half * 100:.0f} points ({of})"]
        if found.all_low is not None and found.all_high is not None:
            low, high = f"±{found.all_low * 100:.0f}", f"±{found.all_high * 100:.0f}"
            span = f"{low} points" if low == high else f"{low} to {high} points"
            lines[0] += f", all runs {span} over {plural(found.scenarios, 'scenario')}"
        if found.expected_runs is not None:
            lines.append(f"probably {plural(found.expected_runs, 'run')} until all test cases are decided")
        if measured is not None:
            spent = f"{money(measured.cost, int(measured.unpriced))}, {measured.tokens:,} tokens"
            runs = f"{plural(measured.runs, 'run')} of {plural(measured.cases, 'test case')}"
            lines.append(f"as in {measured.folder}: {runs} take {spent}, {_duration(measured.seconds)}")
        return lines


def _outlook(engine: Engine, made: Plan, folder: Path | None, concurrency: int, threshold: float) -> _Outlook:
    """What earlier runs say. A folder that is named must be there; the last one, which nobody named, need not."""
    from duologue.runs.distributed.suite import newest_execution
    from duologue.runs.earlier_costs import CaseCost, costs_in, measured
    from duologue.suites.plan.precision import precision_of

    output = engine.suite.defaults.output
    base = engine.suite.path(output.dir) if output else Path("duologue-runs")
    place = folder or newest_execution(base, engine.suite.name)
    costs = dict[str, CaseCost]()
    if place is not None:
        try:
            costs = costs_in(place)
        except ConfigurationError:
            if folder is not None:
                raise
    earlier = {group: (cost.passed, cost.decided) for group, cost in costs.items()}
    return _Outlook(
        precision=precision_of(made, earlier, threshold),
        measured=measured(made, costs, place, concurrency=concurrency) if place is not None else None,
    )


def _plan_data(made: Plan) -> dict[str, Any]:
    return {"suite": made.suite, "seed": made.seed, "cases": [case.as_data() for case in made.cases]}


def _estimate_data(found: Estimate) -> dict[str, Any]:
    return {**asdict(found), "calls": found.calls, "tokens": found.tokens}


def _print(made: Plan, found: Estimate, most: int | None, outlook: _Outlook) -> None:
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
    for line in [*_lines(made, found), *outlook.lines()]:
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
