"""Who plays the guest in the demo: the embedded language model if it is here, an agenda if it is not."""

from __future__ import annotations

from dataclasses import dataclass

from duologue.agents.judge import JudgeAgent
from duologue.agents.users.agenda import AgendaUser
from duologue.agents.users.persona import Persona
from duologue.agents.users.simulator import UserSimulatorAgent
from duologue.conversation.adapter import AgentAdapter
from duologue.demo.scenarios import DemoScenario

EMBEDDED = "local"


@dataclass(frozen=True, kw_only=True)
class Guests:
    """How guests are played.

    Attributes:
        embedded: whether by the embedded language model.
        explanation: what the person in front of the terminal is told.
    """

    embedded: bool
    explanation: str

    def cast(self, scenario: DemoScenario) -> list[AgentAdapter]:
        """The simulated guest of that scenario, and a judge whose word is advisory where there is a model."""
        if not self.embedded:
            return [AgendaUser(scenario.goal, scenario.slots)]
        guest = UserSimulatorAgent(model=EMBEDDED, goal=scenario.goal, persona=Persona(facts=scenario.slots))
        judge = JudgeAgent(model=EMBEDDED, criteria=[f"The agent does what the guest wants: {scenario.goal}"])
        return [guest, judge]


def choose_guests(agenda: bool) -> Guests:
    """The embedded model, unless it is not installed or an agenda is asked for."""
    from duologue.models import local

    status = local.status()
    if agenda:
        return Guests(
            embedded=False, explanation="The guests follow an agenda, as you asked; no language model is used."
        )
    if status.problem:
        return Guests(
            embedded=False,
            explanation=f"The guests follow an agenda, because the embedded model cannot be used. {status.problem}",
        )
    [model, *_] = status.models
    return Guests(
        embedded=True,
        explanation=(
            f"The guests are played by the embedded language model {model.name}, on this machine. A model this small\n"
            "is not fit to judge: the verdicts rest on checks of tool calls and of the restaurant's book, and the\n"
            "model's own judgement is shown as advisory."
        ),
    )
