"""What a simulated user is told, in pieces that can be left out one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from duologue.specs.agents import Persona
from duologue.specs.scenario import Scenario


class Fact(NamedTuple):
    """A piece of what the simulated user is told.

    Attributes:
        field: where it is written, such as ``facts`` or ``agenda.slots``.
        key: which one there: its name, or its text.
    """

    field: str
    key: str


class Situation(TypedDict):
    """A scenario and the persona that plays its user."""

    scenario: Scenario
    persona: Persona | None


_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


def facts_of(scenario: Scenario, persona: Persona | None) -> list[Fact]:
    """Everything that the simulated user is told and that can be left out."""
    found = [Fact("description", text) for text in _sentences(scenario.description)]
    if persona is None:
        return found
    if persona.agenda is not None:
        return [*found, *(Fact("agenda.slots", slot.name) for slot in persona.agenda.slots)]
    found += [Fact("persona.description", text) for text in _sentences(persona.description)]
    found += [Fact("facts", name) for name in persona.facts]
    found += [Fact("goals", text) for text in persona.goals]
    found += [Fact("constraints", text) for text in persona.constraints]
    found += [Fact("lines", str(place)) for place, _ in enumerate(persona.lines or ())]
    return found + [Fact("style", text) for text in (persona.style.friction_tags if persona.style else ())]


def with_facts(scenario: Scenario, persona: Persona | None, kept: Sequence[Fact]) -> Situation:
    """The scenario and the persona with these facts only."""
    have = set(kept)
    sentences = [text for text in _sentences(scenario.description) if Fact("description", text) in have]
    if not sentences and not (persona or scenario.goal or scenario.turns or scenario.messages):
        sentences = _sentences(scenario.description)[:1]  # a scenario without anything cannot be played
    scenario = scenario.changed(description=" ".join(sentences))
    if persona is None:
        return Situation(scenario=scenario, persona=None)
    if persona.agenda is not None:
        slots = tuple(slot for slot in persona.agenda.slots if Fact("agenda.slots", slot.name) in have)
        return Situation(scenario=scenario, persona=persona.changed(agenda=persona.agenda.changed(slots=slots)))
    about = [text for text in _sentences(persona.description) if Fact("persona.description", text) in have]
    style = persona.style
    if style is not None:
        style = style.changed(friction_tags=tuple(tag for tag in style.friction_tags if Fact("style", tag) in have))
    lines = tuple(line for place, line in enumerate(persona.lines or ()) if Fact("lines", str(place)) in have)
    return Situation(
        scenario=scenario,
        persona=persona.changed(
            description=" ".join(about),
            facts={name: value for name, value in persona.facts.items() if Fact("facts", name) in have},
            goals=tuple(text for text in persona.goals if Fact("goals", text) in have),
            constraints=tuple(text for text in persona.constraints if Fact("constraints", text) in have),
            style=style,
            lines=(lines or persona.lines[:1]) if persona.lines else None,
        ),
    )


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]
