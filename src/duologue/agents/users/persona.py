"""Who the simulated user is: plain data, and its compact text for a model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["low", "medium", "high"]


class Persona(BaseModel):
    """Who the simulated user is. Only the fields that are set appear in the prompt.

    A persona is independent of scenarios: the scenario describes the situation, the persona how the person behaves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", description="The person's name.")
    description: str = Field(default="", description="Who the person is, in a sentence or two.")
    style: str = Field(default="", description="How the person writes or speaks, such as 'short, all in lower case'.")
    language: str = Field(default="", description="The person's language, such as 'German'.")
    goals: tuple[str, ...] = Field(default=(), description="What the person wants in every conversation.")
    constraints: tuple[str, ...] = Field(default=(), description="What the person would not do or say.")
    traits: tuple[str, ...] = Field(default=(), description="Traits, such as 'impatient' or 'hard of hearing'.")
    verbosity: Level | None = Field(default=None, description="How much the person says at once.")
    challenge: Level | None = Field(default=None, description="How hard the person makes it for the agent.")
    facts: dict[str, str] = Field(default={}, description="Facts that the person knows and may give, by name.")

    def render(self) -> str:
        """One line for each field that is set; '' if none is."""
        lines = {
            "Name": self.name,
            "Who": self.description,
            "Style": "; ".join(part for part in (self.style, _VERBOSITY.get(self.verbosity or "", "")) if part),
            "Language": self.language,
            "Traits": ", ".join(self.traits),
            "Wants": "; ".join(self.goals),
            "Never": "; ".join(self.constraints),
            "Towards the agent": _CHALLENGE.get(self.challenge or "", ""),
            "Knows": "; ".join(f"{name}: {value}" for name, value in self.facts.items()),
        }
        return "\n".join(f"{label}: {_one_line(text)}" for label, text in lines.items() if text)


_VERBOSITY = {"low": "a few words at a time", "medium": "one or two sentences at a time", "high": "talks at length"}
_CHALLENGE = {
    "low": "helpful and easy to satisfy",
    "medium": "fair, and asks again when an answer is not enough",
    "high": "doubts what is said, objects, and is hard to satisfy",
}


def as_persona(persona: Persona | str | None) -> Persona:
    """The persona; a string is its description."""
    if isinstance(persona, str):
        return Persona(description=persona)
    return persona or Persona()


def _one_line(text: str) -> str:
    return " ".join(text.split())
