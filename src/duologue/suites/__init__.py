"""Suites: scenarios, agents and checks as data, planned as a matrix, played many at once, told in one result.

    from duologue.suites import Engine, Filters

    async with Engine.from_file("suite.yaml") as engine:
        plan = engine.generate_plan(Filters(tags=["smoke"]))
        execution = await engine.execute(plan)
    print(execution.totals)

Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duologue.suites.execution.engine import Engine as Engine
    from duologue.suites.execution.observers import Observer as Observer
    from duologue.suites.execution.settings import Settings as Settings
    from duologue.suites.manifests.loading import Report as Report
    from duologue.suites.manifests.loading import load as load
    from duologue.suites.manifests.loading import validate as validate
    from duologue.suites.mocks.file import ResponseFile as ResponseFile
    from duologue.suites.plan.build import Filters as Filters
    from duologue.suites.plan.build import generate_plan as generate_plan
    from duologue.suites.plan.cases import Plan as Plan
    from duologue.suites.plan.cases import TestCase as TestCase
    from duologue.suites.plan.estimate import Estimate as Estimate
    from duologue.suites.plan.estimate import estimate as estimate
    from duologue.suites.results.execution import Allowance as Allowance
    from duologue.suites.results.execution import ExecutionResult as ExecutionResult
    from duologue.suites.results.groups import Group as Group
    from duologue.suites.results.run import RunResult as RunResult
    from duologue.suites.specs.checking import CheckSpec as CheckSpec
    from duologue.suites.specs.participants import Agent as Agent
    from duologue.suites.specs.participants import Judge as Judge
    from duologue.suites.specs.participants import Model as Model
    from duologue.suites.specs.participants import Persona as Persona
    from duologue.suites.specs.participants import Simulator as Simulator
    from duologue.suites.specs.prompt import Prompt as Prompt
    from duologue.suites.specs.prompt import Tool as Tool
    from duologue.suites.specs.running import Defaults as Defaults
    from duologue.suites.specs.scenario import Scenario as Scenario
    from duologue.suites.specs.scenario import Turn as Turn
    from duologue.suites.specs.suite import Replay as Replay
    from duologue.suites.specs.suite import Suite as Suite

_HOMES = {
    "Agent": "specs.participants",
    "Allowance": "results.execution",
    "CheckSpec": "specs.checking",
    "Defaults": "specs.running",
    "Engine": "execution.engine",
    "Estimate": "plan.estimate",
    "ExecutionResult": "results.execution",
    "Filters": "plan.build",
    "Group": "results.groups",
    "Judge": "specs.participants",
    "Model": "specs.participants",
    "Observer": "execution.observers",
    "Persona": "specs.participants",
    "Plan": "plan.cases",
    "Prompt": "specs.prompt",
    "Replay": "specs.suite",
    "Report": "manifests.loading",
    "ResponseFile": "mocks.file",
    "RunResult": "results.run",
    "Scenario": "specs.scenario",
    "Settings": "execution.settings",
    "Simulator": "specs.participants",
    "Suite": "specs.suite",
    "TestCase": "plan.cases",
    "Tool": "specs.prompt",
    "Turn": "specs.scenario",
    "estimate": "plan.estimate",
    "generate_plan": "plan.build",
    "load": "manifests.loading",
    "validate": "manifests.loading",
}

__all__ = [*sorted(_HOMES)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
