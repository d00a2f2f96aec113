"""Scenarios that are spoken: whether there are such effects, and whether the agents can be spoken with."""

from __future__ import annotations

from collections.abc import Iterator

from duologue.config.problems import Problems
from duologue.errors import DuologueError, Position
from duologue.runtimes.registry import RuntimeConfigError
from duologue.specs.agents import Agent
from duologue.specs.suite import Suite
from duologue.specs.voice import UserVoice
from duologue.suites.manifests.validate.effects import effect_of
from duologue.suites.plan.build import agents_of
from duologue.suites.runtime_snapshots import found_runtime


def find_broken_voices(suite: Suite, problems: Problems) -> None:
    """Report effects that there are not, and scenarios that are spoken with agents that are not."""
    for spec in _voices(suite):
        for index, effect in enumerate(spec.effects):
            try:
                effect_of(effect)
            except DuologueError as error:
                problems.error(spec.place("effects", index) or Position("?"), str(error).rstrip("."))
    for scenario in suite.scenarios:
        if scenario.voice is None:
            continue
        for agent in agents_of(suite, scenario):
            if not _may_speak(agent):
                told = (
                    f"the scenario '{scenario.name}' is spoken, and the agent '{agent.name}' is not: expected one with "
                    "a runtime for voice, one made of a model, or Python code with a VoiceAgentAdapter"
                )
                problems.error(scenario.place("voice", of_key=True) or Position("?"), told)


def _voices(suite: Suite) -> Iterator[UserVoice]:
    for item in (*suite.scenarios, *suite.personas):
        if item.voice is not None:
            yield item.voice


def _may_speak(agent: Agent) -> bool:
    if agent.runtime is None:
        return agent.http is None
    try:
        return found_runtime(agent)[0].MODE == "voice"
    except RuntimeConfigError:  # which is told elsewhere
        return True
