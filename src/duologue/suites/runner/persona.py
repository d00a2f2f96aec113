"""A persona of a suite as the simulator is told it."""

from __future__ import annotations

from typing import Any

from duologue.agents.users.persona import Level, Persona
from duologue.errors import ConfigurationError
from duologue.specs.participants import Persona as PersonaSpec
from duologue.specs.suite import Suite

_LEVELS: dict[str, Level] = {
    **dict.fromkeys(("low", "short", "terse", "brief"), "low"),
    **dict.fromkeys(("medium", "normal", "moderate"), "medium"),
    **dict.fromkeys(("high", "long", "verbose", "detailed"), "high"),
}
_BASE = {"context_slot": "", "domain_hint": "general", "user_context": "user"}
_GOALS = "Interact naturally and helpfully"
_CONSTRAINTS = "Be respectful and constructive"
_NESTED = 10
"""Variables within values of variables are filled in so often."""


def persona_of(spec: PersonaSpec) -> Persona:
    """The persona as a simulator takes it."""
    style = spec.style
    return Persona(
        description=spec.description,
        language=spec.language or "",
        goals=spec.goals,
        constraints=spec.constraints,
        traits=style.friction_tags if style else (),
        verbosity=_level(style.verbosity) if style else None,
        challenge=_level(style.challenge_level) if style else None,
        facts=spec.facts,
    )


def instruction_of(spec: PersonaSpec, suite: Suite, region: str) -> str | None:
    """The persona's own instruction for the simulator, filled in; None if it has none.

    Raises:
        ConfigurationError: a variable that it must have has no value, or a fragment cannot be read.
    """
    if spec.system_prompt is not None:
        return spec.system_prompt
    if spec.system_template is None:
        return None
    return _filled(spec, suite, region)


def _filled(spec: PersonaSpec, suite: Suite, region: str) -> str:
    values = {**spec.optional_vars, **_BASE, **_described(spec), "region": region, **_fragments(spec, suite)}
    lacking = [name for name in spec.required_vars if not values.get(name)]
    if lacking:
        raise ConfigurationError(
            f"the persona '{spec.name}' needs the variable '{lacking[0]}', which has no value: give it one in "
            "optional_vars"
        )
    text = spec.system_template or ""
    for _ in range(_NESTED):
        before = text
        for name, value in values.items():
            text = text.replace("{{" + name + "}}", value)
        if text == before:
            break
    return text


def _described(spec: PersonaSpec) -> dict[str, str]:
    style = spec.style
    return {
        "persona_goals": ", ".join(spec.goals) or _GOALS,
        "persona_constraints": ", ".join(spec.constraints) or _CONSTRAINTS,
        "verbosity": (style.verbosity if style else None) or "medium",
        "challenge_level": (style.challenge_level if style else None) or "medium",
        "friction_tags": (", ".join(style.friction_tags) if style else "") or "none",
    }


def _fragments(spec: PersonaSpec, suite: Suite) -> dict[str, Any]:
    texts: dict[str, str] = {}
    for fragment in spec.fragments:
        if fragment.path is None:
            continue
        try:
            texts[fragment.name] = suite.path(fragment.path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            if fragment.required:
                told = f"the fragment '{fragment.name}' ({fragment.path}) cannot be read: {error}"
                raise ConfigurationError(f"the persona '{spec.name}': {told}") from error
    return texts


def _level(word: str | None) -> Level | None:
    return _LEVELS.get(word.lower()) if word else None
