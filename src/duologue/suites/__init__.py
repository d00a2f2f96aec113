"""Suites: scenarios, agents and checks as data, planned as a matrix, run many at once, with one result.

    from duologue.suites import Engine, Filters

    async with Engine.from_file("suite.yaml") as engine:
        plan = engine.generate_plan(Filters(tags=["smoke"]))
        execution = await engine.execute(plan)
    print(execution.totals)

Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duologue.lazy_names import lazy_names

if TYPE_CHECKING:
    from duologue.models.mock.file import ResponseFile as ResponseFile
    from duologue.specs.agents import Agent as Agent
    from duologue.specs.agents import Judge as Judge
    from duologue.specs.agents import Model as Model
    from duologue.specs.agents import Persona as Persona
    from duologue.specs.agents import Simulator as Simulator
    from duologue.specs.checks import CheckSpec as CheckSpec
    from duologue.specs.prompts import Prompt as Prompt
    from duologue.specs.prompts import Tool as Tool
    from duologue.specs.scenario import Scenario as Scenario
    from duologue.specs.scenario import SeedMessage as SeedMessage
    from duologue.specs.scenario import Turn as Turn
    from duologue.specs.suite import Defaults as Defaults
    from duologue.specs.suite import Replay as Replay
    from duologue.specs.suite import Suite as Suite
    from duologue.suites.execution.engine import Engine as Engine
    from duologue.suites.execution.launch import Observer as Observer
    from duologue.suites.manifests.loader import Report as Report
    from duologue.suites.manifests.loader import load as load
    from duologue.suites.manifests.loader import validate as validate
    from duologue.suites.plan.build import Filters as Filters
    from duologue.suites.plan.build import Plan as Plan
    from duologue.suites.plan.build import TestCase as TestCase
    from duologue.suites.plan.build import generate_plan as generate_plan
    from duologue.suites.plan.estimate import Estimate as Estimate
    from duologue.suites.plan.estimate import estimate as estimate
    from duologue.suites.results.execution import Allowance as Allowance
    from duologue.suites.results.execution import ExecutionResult as ExecutionResult
    from duologue.suites.results.execution import Group as Group
    from duologue.suites.results.run import RunResult as RunResult
    from duologue.suites.runner.definition import RunOptions as RunOptions
    from duologue.suites.runner.definition import Settings as Settings

_HOMES = {
    "Agent": "duologue.specs.agents",
    "Allowance": "duologue.suites.results.execution",
    "CheckSpec": "duologue.specs.checks",
    "Defaults": "duologue.specs.suite",
    "Engine": "duologue.suites.execution.engine",
    "Estimate": "duologue.suites.plan.estimate",
    "ExecutionResult": "duologue.suites.results.execution",
    "Filters": "duologue.suites.plan.build",
    "Group": "duologue.suites.results.execution",
    "Judge": "duologue.specs.agents",
    "Model": "duologue.specs.agents",
    "Observer": "duologue.suites.execution.launch",
    "Persona": "duologue.specs.agents",
    "Plan": "duologue.suites.plan.build",
    "Prompt": "duologue.specs.prompts",
    "Replay": "duologue.specs.suite",
    "Report": "duologue.suites.manifests.loader",
    "ResponseFile": "duologue.models.mock.file",
    "RunOptions": "duologue.suites.runner.definition",
    "RunResult": "duologue.suites.results.run",
    "Scenario": "duologue.specs.scenario",
    "SeedMessage": "duologue.specs.scenario",
    "Settings": "duologue.suites.runner.definition",
    "Simulator": "duologue.specs.agents",
    "Suite": "duologue.specs.suite",
    "TestCase": "duologue.suites.plan.build",
    "Tool": "duologue.specs.prompts",
    "Turn": "duologue.specs.scenario",
    "estimate": "duologue.suites.plan.estimate",
    "generate_plan": "duologue.suites.plan.build",
    "load": "duologue.suites.manifests.loader",
    "validate": "duologue.suites.manifests.loader",
}

__all__ = [*sorted(_HOMES)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
