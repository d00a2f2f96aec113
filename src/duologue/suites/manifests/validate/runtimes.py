"""Runtimes of a suite's agents: whether there is such a runtime, and whether it can drive the agent and its cases."""

from __future__ import annotations

from duologue.config.problems import Problems
from duologue.errors import ConfigurationError, Position
from duologue.runtimes.base import EvalRuntime
from duologue.runtimes.registry import RuntimeConfigError
from duologue.specs.agents import Agent
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite
from duologue.suites.plan.build import agents_of
from duologue.suites.runtime_snapshots import agent_snapshot, found_runtime, holds_conversation


def find_broken_runtimes(suite: Suite, problems: Problems, *, whole: bool = True) -> None:
    """Report runtimes that there are not, settings that they refuse, and tool calls that they cannot mock.

    Args:
        suite: all of it.
        problems: takes what is wrong.
        whole: prompts are all known, so that a runtime can be asked whether it can drive the agent.
    """
    found: dict[str, EvalRuntime] = {}
    for agent in suite.agents:
        if agent.runtime is None:
            continue
        try:
            found[agent.name], _ = found_runtime(agent, agent_snapshot(suite, agent) if whole else None)
        except RuntimeConfigError as error:
            for problem in error.problems:
                place = agent.place("runtime", *problem.path)
                told = str(problem) if place is None else problem.message
                problems.error(place or Position("?"), told.rstrip("."))
        except ConfigurationError as error:
            problems.error(agent.place("runtime") or Position("?"), str(error).rstrip("."))
    if found:
        _find_unmocked(suite, found, problems)
        _find_unheard(suite, problems)


def _find_unmocked(suite: Suite, found: dict[str, EvalRuntime], problems: Problems) -> None:
    if suite.defaults.tool_mode == "live":
        return
    for scenario in suite.scenarios:
        if not scenario.expected_tool_calls:
            continue
        for agent in agents_of(suite, scenario):
            runtime = found.get(agent.name)
            if runtime is not None and not runtime.MOCKS_TOOLS:
                problems.error(
                    scenario.place("expected_tool_calls") or Position("?"), unmocked(scenario, agent, runtime)
                )


def _find_unheard(suite: Suite, problems: Problems) -> None:
    holding = {agent.name for agent in suite.agents if holds_conversation(agent)}
    for scenario in suite.scenarios if holding else ():
        field = "turns" if scenario.turns else "messages"
        for agent in agents_of(suite, scenario):
            if agent.name in holding and (told := unheard(scenario, agent)):
                problems.error(scenario.place(field) or Position("?"), told)


def unheard(scenario: Scenario, agent: Agent) -> str:
    """Why the lines of a scenario cannot be said to an agent whose runtime has a user of its own; '' if they can."""
    lines = len(scenario.turns) + len(scenario.messages)
    if lines <= 1:
        return ""
    return (
        f"the scenario '{scenario.name}' has {lines} lines, and the runtime of the agent '{agent.name}' holds the "
        "conversation by itself, with a user of its own: expected no more than the first message. Describe what the "
        "user wants in the description or a persona instead"
    )


def unmocked(scenario: Scenario, agent: Agent, runtime: EvalRuntime | None) -> str:
    """Why tool calls cannot be expected of an agent whose tools are to be mocked."""
    who = f"the runtime '{runtime.KIND}' of the agent '{agent.name}'" if runtime else f"the agent '{agent.name}'"
    return (
        f"the scenario '{scenario.name}' expects tool calls, and {who} cannot mock tools. Set "
        "tool_mode to live if the agent's own tools may be used, choose a runtime that mocks tools, such as native, or "
        "take the expected_tool_calls out"
    )
