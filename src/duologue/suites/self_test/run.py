"""Runs the scenarios of a suite against agents that must not pass, and against the oracles that must."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from duologue.conversation.adapter import AgentAdapter
from duologue.frozen import changed, frozen
from duologue.specs.scenario import Scenario
from duologue.suites.execution.engine import Engine, Parts
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.run import RunResult, reason_of
from duologue.suites.runner.definition import RunOptions
from duologue.suites.self_test.controls import AgreeingAgent, EchoingAgent, OracleAgent, SilentAgent
from duologue.suites.self_test.findings import FindingKind, LintFinding
from duologue.vocabulary import RunStatus, Verdict

_CONTROLS: tuple[tuple[FindingKind, type[AgentAdapter], str], ...] = (
    ("passes-when-silent", SilentAgent, "an agent that says nothing and calls no tool"),
    ("passes-when-agreeing", AgreeingAgent, "an agent that agrees with everything and does nothing"),
    ("passes-when-echoing", EchoingAgent, "an agent that repeats the words of the user"),
)


@frozen
class SelfTest:
    """What came of a self-test.

    Attributes:
        findings: scenarios that let the wrong agents pass, or stop the right one.
        played: how many runs were played.
        left_out: scenarios that could not be tested, each with the reason.
    """

    findings: tuple[LintFinding, ...]
    played: int
    left_out: tuple[tuple[str, str], ...] = ()


async def self_test(engine: Engine, names: Iterable[str] = (), options: RunOptions | None = None) -> SelfTest:
    """Run each scenario once against every control agent, and against its oracle where it has one.

    A scenario with several personas, regions or variants is tested in the first of each.

    Args:
        engine: of the suite. Its own agents are not called.
        names: of scenarios; none for all.
        options: how the runs are run.
    """
    wanted = set(names)
    first: dict[str, TestCase] = {}
    for case in engine.generate_plan(trials=1, seed=0).cases:
        if case.kind == "scenario" and (not wanted or case.scenario in wanted):
            first.setdefault(case.scenario, case)
    findings: list[LintFinding] = []
    left_out = {name: _BY_FILE for name in first if _is_judged_by_file(engine, name)}
    cases = [case for name, case in first.items() if name not in left_out]
    played = 0
    for kind, make, what in _CONTROLS:
        runs = await _played(engine, cases, lambda _case, make=make: make(), options)
        played += len(runs)
        for run in runs:
            scenario = engine.suite.scenario(run.case.scenario)
            if run.verdict is Verdict.PASS:
                text = f"{what} passes; let a check or criterion ask for what only a good agent does"
                findings.append(_finding(kind, scenario, text))
            elif run.status is RunStatus.ERROR:
                left_out.setdefault(scenario.name, reason_of(run))
    with_oracle = [case for case in cases if engine.suite.scenario(case.scenario).oracle]

    def oracle(case: TestCase) -> AgentAdapter:
        return OracleAgent(engine.suite.scenario(case.scenario).oracle)

    for run in await _played(engine, with_oracle, oracle, options):
        played += 1
        scenario = engine.suite.scenario(run.case.scenario)
        if run.verdict is not Verdict.PASS and run.status is RunStatus.COMPLETED:
            text = f"its own oracle does not pass: {reason_of(run)}"
            findings.append(changed(_finding("oracle-fails", scenario, text), field="oracle"))
        elif run.status is RunStatus.ERROR:
            left_out.setdefault(scenario.name, reason_of(run))
    order = {scenario.name: place for place, scenario in enumerate(engine.suite.scenarios)}
    findings.sort(key=lambda item: order[item.scenario])
    return SelfTest(findings=tuple(findings), played=played, left_out=tuple(left_out.items()))


_BY_FILE = "its judge answers from a file, whatever the agent says"


def _is_judged_by_file(engine: Engine, name: str) -> bool:
    """Whether what a mock judge has ready decides, which says nothing about the agent."""
    suite, scenario = engine.suite, engine.suite.scenario(name)
    checks = [*scenario.checks, *suite.checks, *(check for turn in scenario.turns for check in turn.checks)]
    if not scenario.judged and not any(check.type.startswith("llm_judge") for check in checks):
        return False
    mocks = {model.name for model in suite.models if model.provider == "mock"} | {"mock"}
    return engine.mocking or any(judge.model in mocks for judge in suite.judges)


def _finding(kind: FindingKind, scenario: Scenario, text: str) -> LintFinding:
    field = "criteria" if scenario.judged else "checks"
    return LintFinding(
        kind=kind, scenario=scenario.name, field=field, text=text, position=scenario.place(field) or scenario.place()
    )


async def _played(
    engine: Engine, cases: Sequence[TestCase], make: Callable[[TestCase], AgentAdapter], options: RunOptions | None
) -> tuple[RunResult, ...]:
    """Play cases with another agent in the place of theirs."""
    if not cases:
        return ()
    before = engine.adapt, engine.parts
    # Agents of the suite are not even loaded: what they need may be missing where scenarios are written.
    engine.parts = Parts(
        agents={**before[1].agents, **{agent.name: SilentAgent for agent in engine.suite.agents}},
        models=before[1].models,
    )
    engine.adapt = lambda case, parts: changed(
        parts, agents=tuple(make(case) if isinstance(item, SilentAgent) else item for item in parts.agents)
    )
    plan = Plan(suite=engine.suite.name, cases=tuple(changed(case, index=n) for n, case in enumerate(cases)), seed=0)
    try:
        return (await engine.execute(plan, options)).runs
    finally:
        engine.adapt, engine.parts = before
