"""Fields of arenas that have no effect here: dropped when a file is read, each with a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from duologue.compat.promptkit.arena_shapes import ArenaShape, DefaultsShape, WorkflowStateShape
from duologue.compat.promptkit.shapes import (
    ContextPolicyShape,
    PackEvalShape,
    PersonaShape,
    PersonaStyleShape,
    ProviderShape,
    RelevanceShape,
    ResilienceShape,
    SamplingShape,
    ScenarioShape,
    TurnShape,
    VariableShape,
    VoiceActivityShape,
)
from duologue.config.problems import Problems
from duologue.config.spec import Spec
from duologue.errors import Position
from duologue.specs.agents import Model, PersonaStyle, Sampling
from duologue.specs.checks import PackEvalSpec
from duologue.specs.prompts import Variable
from duologue.specs.scenario import ContextPolicy, Relevance, Scenario, Turn
from duologue.specs.suite import Defaults, Suite, WorkflowState
from duologue.suites.manifests.loader import UNSUPPORTED

_OWN_VOICE = "users speak with the voice of this machine; convert the arena to name another"
_FIELDS: dict[type[Spec], Mapping[str, str]] = {
    ProviderShape: UNSUPPORTED[Model],
    SamplingShape: UNSUPPORTED[Sampling],
    ScenarioShape: {
        **{name: why for name, why in UNSUPPORTED[Scenario].items() if name != "duplex"},
        "voice": _OWN_VOICE,
    },
    TurnShape: {"tts": UNSUPPORTED[Turn]["speech"], "streaming": UNSUPPORTED[Turn]["streaming"]},
    PersonaShape: {"voice": _OWN_VOICE},
    PersonaStyleShape: UNSUPPORTED[PersonaStyle],
    VoiceActivityShape: {"min_speech_ms": "silence ends a turn of the agent, however short it was"},
    ResilienceShape: {
        "selfplay_inter_turn_delay_ms": "the user waits for inter_turn_delay_ms before each of its turns",
    },
    ContextPolicyShape: UNSUPPORTED[ContextPolicy],
    RelevanceShape: UNSUPPORTED[Relevance],
    VariableShape: UNSUPPORTED[Variable],
    PackEvalShape: UNSUPPORTED[PackEvalSpec],
    WorkflowStateShape: {
        **UNSUPPORTED[WorkflowState],
        "control": "every transition takes effect at once, as with 'control: agent'",
    },
    ArenaShape: UNSUPPORTED[Suite],
    DefaultsShape: UNSUPPORTED[Defaults],
}
"""Why a field has no effect, by shape and field."""


def drop_unsupported(shape: Spec, problems: Problems) -> None:
    """Remove the fields from the data that a manifest was read from, and warn of those that are set.

    A scenario that has nothing but steps is an error: none of it would be played.
    """
    for item in _every(shape):
        for field, why in _FIELDS.get(type(item), {}).items():
            if item.read_from is None or field not in item.read_from:
                continue
            if getattr(item, field) != type(item).model_fields[field].default:
                place = item.place(field, of_key=True) or Position("?")
                if field == "steps":
                    (problems.warning if getattr(item, "turns", ()) else problems.error)(place, why)
                else:
                    problems.warning(place, f"has no effect here: {why}")
            if field != "steps":
                del item.read_from[field]


def _every(spec: Spec) -> Iterator[Spec]:
    """A spec and all specs within it."""
    yield spec
    for _, value in spec:
        if isinstance(value, Spec):
            values: list[Any] = [value]
        elif isinstance(value, tuple):
            values = list(cast("tuple[Any, ...]", value))
        else:
            values = list(cast("dict[str, Any]", value).values()) if isinstance(value, dict) else []
        for item in values:
            if isinstance(item, Spec):
                yield from _every(item)
