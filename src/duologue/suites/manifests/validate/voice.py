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
from duologue.voice.synthesis import UnknownVoiceProviderError, require_voice

HUM = "mock/hum"
"""A voice that needs nothing to be installed, and says nothing that could be understood."""


def find_broken_voices(suite: Suite, problems: Problems) -> None:
    """Report effects that there are not, and scenarios that are spoken with agents that are not."""
    for spec in _voices(suite):
        _find_broken_voice(suite, spec, problems)
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


def _find_broken_voice(suite: Suite, spec: UserVoice, problems: Problems) -> None:
    """Report a voice that there is not. Code of the suite may still register the provider when it is imported."""
    if spec.voice is None or spec.voice == HUM or "${" in spec.voice:
        return
    try:
        require_voice(spec.voice)
    except ValueError as error:
        place, told = spec.place("voice") or Position("?"), str(error).rstrip(".")
        code = next((agent.target for agent in suite.agents if agent.target), None)
        if code is not None and isinstance(error, UnknownVoiceProviderError):
            problems.warning(place, f"{told}. It has to be registered by {code}, when that is imported")
        else:
            problems.error(place, told)


REALTIME = {"openai": ("realtime",), "google": ("live", "native-audio", "-exp")}
"""What is in the names of models of realtime APIs, by provider."""


def realtime_provider(provider: str, model: str) -> str | None:
    """The provider of a model that is spoken with over its realtime API; None for any other model."""
    return provider if any(word in model for word in REALTIME.get(provider, ())) else None


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
