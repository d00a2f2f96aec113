"""``duologue lint``: whether the scenarios of a suite can tell a good agent from a bad one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.recorded_run import JobsOption, JsonOption, MockAllOption, MockOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json
from duologue.stats.proportion import percent
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.suites.execution.engine import Engine
    from duologue.suites.self_test.findings import LintFinding
    from duologue.suites.self_test.mutants import KillRate
    from duologue.suites.self_test.run import SelfTest


def lint(
    suite: Annotated[Path, typer.Argument(help="A suite file or folder.", metavar="SUITE")],
    self_test: Annotated[
        bool,
        typer.Option("--self-test", help="Also run each scenario against agents that must not pass, and its oracle."),
    ] = False,
    mutants: Annotated[
        int | None,
        typer.Option(min=1, help="Also run the suite against this many broken copies of each agent."),
    ] = None,
    scenario: Annotated[list[str], typer.Option("--scenario", help="Only these scenarios.")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Seed for the choice of broken copies.")] = 0,
    mock: MockOption = None,
    mock_all: MockAllOption = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Report scenarios that cannot tell a good agent from a bad one.

    Without options nothing is run: criteria that judges decide differently, that contradict each other or cannot be
    met, and answers that the simulated user knows.

    Exit code 0: nothing was found. 1: something was. 2: the suite cannot be read.
    """
    from duologue.suites.execution.engine import Engine
    from duologue.suites.self_test.static import lint as look_at

    engine = Engine.from_file(suite)
    for name in scenario:
        engine.suite.scenario(name)
    if mock is not None or mock_all:
        engine.enable_mock_mode(mock)
    findings = look_at(engine.suite, scenario)
    tested: SelfTest | None = None
    rate: KillRate | None = None
    if self_test or mutants:
        tested, rate = asyncio.run(_run(engine, scenario, self_test=self_test, mutants=mutants, seed=seed, jobs=jobs))
    if tested is not None:
        findings = _without_repetitions([*findings, *tested.findings])
    looked_at = len(set(scenario)) or len(engine.suite.scenarios)
    if as_json:
        print_json(_data(engine.suite.name, looked_at, findings, tested, rate))
    else:
        _print(looked_at, findings, tested, rate)
    return ExitCode.FAILED if findings else ExitCode.PASSED


async def _run(
    engine: Engine, names: Sequence[str], *, self_test: bool, mutants: int | None, seed: int, jobs: int | None
) -> tuple[SelfTest | None, KillRate | None]:
    from duologue.suites.runner.definition import RunOptions
    from duologue.suites.self_test.mutants import kill_rate
    from duologue.suites.self_test.run import self_test as run_controls

    options = RunOptions(concurrency=jobs)
    async with engine:
        tested = await run_controls(engine, names, options) if self_test else None
        rate = await kill_rate(engine, most=mutants, seed=seed, names=names, options=options) if mutants else None
    return tested, rate


def _without_repetitions(findings: Sequence[LintFinding]) -> list[LintFinding]:
    """The findings; what was seen in the text and then in a run is said once."""
    found: dict[tuple[str, str, str], LintFinding] = {}
    for item in findings:
        once = item.kind.startswith("passes-when")
        found.setdefault((item.scenario, item.kind, "" if once else item.field + item.text), item)
    return list(found.values())


def _print(scenarios: int, findings: Sequence[LintFinding], tested: SelfTest | None, rate: KillRate | None) -> None:
    from duologue.reports.display import plural

    for item in findings:
        place = f"{one_line(item.position)}: " if item.position else ""
        echo(f"{place}{one_line(item.scenario)}: {item.kind}: {one_line(item.field)}: {one_line(item.text)}")
    for name, why in tested.left_out if tested else ():
        echo(f"Note: {one_line(name)} could not be tested: {one_line(why)}")
    if rate is not None:
        _print_rate(rate)
    count = len({item.scenario for item in findings})
    every = plural(scenarios, "scenario")
    echo(f"{plural(len(findings), 'finding')} in {count} of {every}" if findings else f"{every}, no findings")


def _print_rate(rate: KillRate) -> None:
    for agent, count in rate.passing:
        if not count:
            echo(f"Note: no scenario passes with {one_line(agent)}, so that none can notice a fault")
    for item in rate.survivors:
        echo(f"not noticed: {one_line(item.mutant.agent)}: {item.mutant.kind}: {one_line(item.mutant.text)}")
    found = rate.killed
    if found.rate is None:
        echo("No fault could be tried.")
        return
    echo(
        f"Faults noticed: {found.successes} of {found.total} ({percent(found.rate)}, {percent(found.confidence)} "
        f"interval {percent(found.low)} to {percent(found.high)})"
    )


def _data(
    suite: str, scenarios: int, findings: Sequence[LintFinding], tested: SelfTest | None, rate: KillRate | None
) -> dict[str, Any]:
    return {
        "suite": suite,
        "scenarios": scenarios,
        "findings": [{**asdict(item), "position": str(item.position) if item.position else None} for item in findings],
        "left_out": [{"scenario": name, "reason": why} for name, why in tested.left_out] if tested else [],
        "faults": _rate_data(rate) if rate else None,
    }


def _rate_data(rate: KillRate) -> dict[str, Any]:
    return {
        "noticed": {**asdict(rate.killed), "rate": rate.killed.rate},
        "passing": dict(rate.passing),
        "tried": [
            {
                "agent": item.mutant.agent,
                "kind": item.mutant.kind,
                "change": item.mutant.text,
                "noticed_by": list(item.killed_by),
                "applied": item.applied,
            }
            for item in rate.results
        ],
    }
