"""Who takes part in one run, and what checks may ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.conversation.setup import Check, ScriptStep
from duologue.errors import ScriptError
from duologue.frozen import frozen
from duologue.suites.manifests.validate.checks import resources_of
from duologue.suites.runner.models import JudgeModels, SuiteModels
from duologue.vocabulary import AgentRole

if TYPE_CHECKING:
    from duologue.checks import Resources
    from duologue.suites.runner.user_voice import SpokenUser


@frozen
class Participants:
    """Who takes part in one run, and what happens in it.

    Attributes:
        name, description: of the scenario.
        agents: the participants.
        script: the steps; empty for a free conversation.
        checks: of every turn and of the whole conversation, in addition to those in the steps.
        metadata: facts that the journal keeps.
    """

    name: str
    description: str
    agents: tuple[AgentAdapter, ...]
    script: tuple[ScriptStep, ...]
    checks: tuple[Check, ...]
    metadata: Mapping[str, Any]


def resources_for(models: SuiteModels, scenario: str) -> Resources:
    """What checks and guardrails may ask in the runs of a scenario or replay."""
    held: Resources = resources_of(models.suite)
    judges = JudgeModels(models, scenario)
    defaults = models.suite.judge_defaults
    name = (defaults.judge if defaults else None) or next(iter(judges), None)
    if name is not None:
        return replace(held, judges=judges, judge=judges.later(name))
    if models.mocking:
        return replace(held, judge=models.model("judge", scenario=scenario, judge="default"))
    return held


class SilentUser(AgentAdapter):
    """The user of a scenario in which every line is written down: it takes part, and is never asked.

    Args:
        spoken: how it sounds where its lines are spoken; None in writing.
    """

    role: ClassVar[AgentRole] = AgentRole.USER

    def __init__(self, spoken: SpokenUser | None = None) -> None:
        self.voice = spoken.voice if spoken else None
        self.audio_effects = tuple(spoken.effects) if spoken else ()

    @property
    def name(self) -> str:
        """What reports call it."""
        return "user"

    async def call(self, input: AgentInput) -> NoReturn:
        """Refuse: the script holds what the user says."""
        raise ScriptError("every line of the user is written in the scenario; none is left to be made up", who="user")
