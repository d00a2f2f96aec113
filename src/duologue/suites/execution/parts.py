"""A suite of parts: agents and models that exist already in a program, in place of what a file says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from duologue.config.problems import Problems
from duologue.models.base import Model
from duologue.specs.participants import Agent as AgentSpec
from duologue.specs.participants import Model as ModelSpec
from duologue.specs.suite import Suite
from duologue.suites.manifests.assembling import Draft
from duologue.suites.manifests.validating import validated
from duologue.suites.runner.targets import MakeAgent, agent_maker

GIVEN = "given"
"""Provider of a model that a program hands over."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a program hands over, by the names that the suite uses.

    Attributes:
        agents: what makes each agent for a run.
        models: models of agents, simulators and judges. In mock mode they are not asked.
    """

    agents: Mapping[str, MakeAgent] = field(default_factory=dict[str, MakeAgent])
    models: Mapping[str, Model] = field(default_factory=dict[str, Model])


def parts_of(agents: Mapping[str, Any], models: Mapping[str, Model]) -> Parts:
    """The parts, looked at.

    Args:
        agents: by name an AgentAdapter, its class, a function that makes one, or a function of the AgentInput that
            answers.
        models: by name.

    Raises:
        TargetError: something else stands for an agent.
    """
    makers = {name: agent_maker(found, getattr(found, "__name__", name), name) for name, found in agents.items()}
    return Parts(agents=makers, models=dict(models))


def joined(suite: Suite, parts: Parts) -> Suite:
    """The suite with an entry for each part that it does not name itself, found to be without mistakes.

    Raises:
        SuiteError: something in it leads nowhere.
    """
    agents = [_agent(name) for name in parts.agents if suite.named("agents", name) is None]
    models = [ModelSpec(name=name, provider=GIVEN) for name in parts.models if suite.named("models", name) is None]
    whole = suite.changed(agents=(*suite.agents, *agents), models=(*suite.models, *models)).within(suite.folder)
    problems = Problems()
    found = validated(Draft(suite=whole), problems)
    problems.raise_errors()
    assert found is not None
    return found


def _agent(name: str) -> AgentSpec:
    return AgentSpec(name=name, target=f"{GIVEN}:agent")
