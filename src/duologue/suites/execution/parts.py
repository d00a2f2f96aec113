"""Agents and models that a program hands over, in place of what the suite says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from duologue.config.problems import Problems
from duologue.frozen import frozen
from duologue.models.base import Model
from duologue.specs.agents import Agent as AgentSpec
from duologue.specs.agents import Model as ModelSpec
from duologue.specs.suite import Suite, find_named
from duologue.suites.manifests.loader import Draft
from duologue.suites.manifests.validate import validated

if TYPE_CHECKING:
    from duologue.suites.runner.python_agents import MakeAgent

GIVEN = "given"
"""Provider of a model that a program hands over."""


@frozen
class Parts:
    """What a program hands over, by the names that the suite uses.

    Attributes:
        agents: what makes each agent for a run.
        models: models of agents, simulators and judges. In mock mode they are not asked.
    """

    agents: Mapping[str, MakeAgent] = field(default_factory=dict[str, "MakeAgent"])
    models: Mapping[str, Model] = field(default_factory=dict[str, Model])


def parts_of(agents: Mapping[str, Any], models: Mapping[str, Model]) -> Parts:
    """The parts, looked at.

    Args:
        agents: by name an AgentAdapter, its class, a function that makes one, or a function of the AgentInput that
            answers.
        models: by name.

    Raises:
        TargetError: the target of an agent is something else.
    """
    from duologue.suites.runner.python_agents import agent_maker

    makers = {name: agent_maker(found, getattr(found, "__name__", name), name) for name, found in agents.items()}
    return Parts(agents=makers, models=dict(models))


def joined(suite: Suite, parts: Parts) -> Suite:
    """The suite with an entry for each part that it does not name itself, found to be without mistakes.

    Raises:
        SuiteError: something in it leads nowhere.
    """
    agents = [_agent(name) for name in parts.agents if find_named(suite.agents, name) is None]
    models = [ModelSpec(name=name, provider=GIVEN) for name in parts.models if find_named(suite.models, name) is None]
    whole = suite.changed(agents=(*suite.agents, *agents), models=(*suite.models, *models)).within(suite.folder)
    problems = Problems()
    found = validated(Draft(suite=whole), problems)
    problems.raise_errors()
    assert found is not None
    return found


def _agent(name: str) -> AgentSpec:
    return AgentSpec(name=name, target=f"{GIVEN}:agent")
