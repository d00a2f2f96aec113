"""Which other agents and skills the agent used. Both appear as tool calls."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from duologue.checks.base import CheckType, Finding, finding
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of, listed, named, subsequence_length
from duologue.checks.text import Texts
from duologue.checks.tool_calls import ToolsCalled, ToolsNotCalled
from duologue.models.resources import Resources

ACTIVATE = "skill__activate"
"""The tool that activates a skill; its argument ``name`` says which."""


@check("agent_invoked", family="Agents and skills")
class AgentInvoked(CheckType):
    """The agent delegated to every one of these agents. The score is the share it delegated to."""

    renamed: ClassVar = {"agent_names": "agents"}

    agents: Texts
    """Agent names: the names of the tools that call them."""
    min_calls: int = Field(default=1, ge=1)
    """Minimum number of calls of each agent."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        return ToolsCalled(tools=self.agents, min_calls=self.min_calls).look(subject, resources)


@check("agent_not_invoked", family="Agents and skills")
class AgentNotInvoked(CheckType):
    """The agent delegated to none of these agents."""

    renamed: ClassVar = {"agent_names": "agents"}

    agents: Texts
    """Agent names."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        return ToolsNotCalled(tools=self.agents).look(subject, resources)


@check("agent_response_contains", family="Agents and skills")
class AgentResponseContains(CheckType):
    """At least one answer of an agent that was delegated to contains this text."""

    renamed: ClassVar = {"agent_name": "agent"}

    agent: str = Field(min_length=1)
    """Agent name."""
    contains: str = Field(min_length=1)
    """Text to look for. Case matters."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        calls = named(subject.calls, self.agent)
        if not calls:
            return finding(False, f"'{self.agent}' was not called upon")
        hits = [call for call in calls if self.contains in (call.result or "")]
        told = f"{len(hits)} of {len(calls)} answers of '{self.agent}' contain '{self.contains}'"
        return finding(bool(hits), told, ids_of(hits or calls), answers=[(call.result or "")[:500] for call in calls])


@check("skill_activated", family="Agents and skills")
class SkillActivated(CheckType):
    """Every one of these skills was activated. The score is the share that was."""

    looks_for: ClassVar[str | None] = ACTIVATE
    renamed: ClassVar = {"skills": "skill_names"}

    skill_names: Texts
    """Skill names."""
    min_calls: int = Field(default=1, ge=1)
    """Minimum number of activations of each skill."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        activated = activations(subject)
        missing = [name for name in self.skill_names if activated.count(name) < self.min_calls]
        told = f"not activated: {listed(missing)}" if missing else f"activated: {listed(self.skill_names)}"
        score = 1 - len(missing) / len(self.skill_names)
        return finding(score, told, ids_of(named(subject.calls, ACTIVATE)), activated=activated)


@check("skill_not_activated", family="Agents and skills")
class SkillNotActivated(CheckType):
    """None of these skills was activated."""

    looks_for: ClassVar[str | None] = ACTIVATE
    renamed: ClassVar = {"skills": "skill_names"}

    skill_names: Texts
    """Skill names."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        activated = activations(subject)
        hits = [name for name in self.skill_names if name in activated]
        told = f"activated: {listed(hits)}" if hits else f"not activated: {listed(self.skill_names)}"
        ids = ids_of(named(subject.calls, ACTIVATE)) if hits else []
        return finding(not hits, told, ids, activated=activated)


@check("skill_activation_order", family="Agents and skills")
class SkillActivationOrder(CheckType):
    """The skills were activated in this order, others in between allowed. The score is the share reached."""

    looks_for: ClassVar[str | None] = ACTIVATE

    sequence: Texts
    """Skill names."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        activated = activations(subject)
        matched = subsequence_length(self.sequence, activated)
        good = matched == len(self.sequence)
        told = f"in this order: {listed(self.sequence)}" if good else f"'{self.sequence[matched]}' is not in its place"
        return finding(matched / len(self.sequence), told, activated=activated)


def activations(subject: Subject) -> list[str]:
    """The skills that were activated, in order; activations that failed are left out."""
    calls = named(subject.calls, ACTIVATE)
    return [str(call.arguments.get("name", "")) for call in calls if call.error is None]
