"""The suite that a recorded run is continued with: its own, or one that is made of what its journal says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from duologue.errors import ConfigurationError
from duologue.frozen import changed
from duologue.journal.events import Entry, JudgeDecided, RunStarted
from duologue.messages import text_of
from duologue.specs.agents import Agent
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Suite, find_named
from duologue.suites.execution.engine import Engine
from duologue.suites.forks.recorded import first_turns, total_turns
from duologue.suites.plan.build import TestCase

GIVEN_AGENT = "given agent"
"""The name of an agent that is no agent of the suite."""


def engine_for(
    entries: Sequence[Entry],
    case: TestCase,
    *,
    suite: Path | None,
    agent: str | None = None,
    model: str | None = None,
    criteria: Sequence[str] = (),
    folder: Path | None = None,
) -> tuple[Engine, TestCase]:
    """What continues a recorded run.

    Args:
        entries: of its journal.
        case: which test case it was.
        suite: the file of the suite; None for a run of other code.
        agent: another agent: one of the suite, a target such as ``bot.py:answer``, or a URL.
        model: another model for an agent that is made of one.
        criteria: what must be true, for a run of other code; empty for what its judge decided.
        folder: that a file in a target is relative to; None for the current one.

    Returns:
        The engine, and the test case with the agent that is asked for.

    Raises:
        ConfigurationError: it is not said who the agent is, or an argument leads nowhere.
    """
    if suite is not None:
        engine = Engine.from_file(suite)
    else:
        engine = Engine(suite=_suite_of(entries, case, criteria).within((folder or Path()).absolute()))
    made = engine.suite
    if agent is not None and find_named(made.agents, agent) is None:
        if not _is_target(agent):
            made.agent(agent)  # says which there are
        given = _agent(agent, (folder or Path()).absolute())
        engine.suite = made.changed(agents=(*made.agents, given)).within(made.folder)
        agent = GIVEN_AGENT
    case = changed(case, agent=agent or case.agent)
    if not find_named(engine.suite.agents, case.agent):
        raise ConfigurationError(
            f"the journal does not say how the agent '{case.agent}' is called; name it with --agent, such as "
            "bot.py:answer, or name the suite with --suite"
        )
    if model is not None:
        engine.suite = _with_model(engine.suite, case.agent or "", model)
    engine.suite.scenario(case.scenario)
    return engine, case


def _is_target(agent: str) -> bool:
    return ":" in agent


def _agent(written: str, folder: Path) -> Agent:
    if written.startswith(("http://", "https://")):
        return Agent.model_validate({"name": GIVEN_AGENT, "http": {"url": written}})
    file, _, name = written.rpartition(":")
    target = f"{folder / file}:{name}" if file.endswith(".py") else written
    return Agent.model_validate({"name": GIVEN_AGENT, "target": target})


def _with_model(suite: Suite, name: str, model: str) -> Suite:
    agent = suite.agent(name)
    if not agent.model:
        raise ConfigurationError(f"--model: the agent '{name}' is not made of a model; name another agent instead")
    agents = tuple(item.changed(model=model) if item is agent else item for item in suite.agents)
    return suite.changed(agents=agents).within(suite.folder)


def _suite_of(entries: Sequence[Entry], case: TestCase, criteria: Sequence[str]) -> Suite:
    """A suite with the scenario that a run of other code has played, as far as its journal says."""
    started = entries[0].event
    assert isinstance(started, RunStarted), "a journal begins with the beginning of its run"
    decided = [entry.event for entry in entries if isinstance(entry.event, JudgeDecided)]
    found = criteria or [item.criterion for event in decided[-1:] for item in event.decisions]
    if not found:
        raise ConfigurationError(
            f"the run {started.run_id} was recorded by code, and its journal holds no criteria that can be decided "
            "again; give them with --criterion, or name a suite with its scenario and checks with --suite"
        )
    recorded = first_turns(entries, total_turns(entries))
    simulated = any(line.simulated for line in recorded.lines)
    turns = [] if simulated else [Turn(content=text_of(line.message)) for line in recorded.lines]
    scenario = Scenario(
        name=case.scenario,
        description=started.scenario.description or case.scenario,
        turns=tuple(turns),
        criteria=tuple(found),
        max_turns=None if turns else started.scenario.max_turns,
    )
    return Suite(name=case.scenario, scenarios=(scenario,))
