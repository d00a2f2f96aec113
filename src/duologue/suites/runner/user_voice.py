"""How the user of a test case sounds and behaves: what the scenario says, and over it what the persona says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duologue.conversation.voice_state import InterruptionConfig, SoundEffect
from duologue.frozen import frozen
from duologue.specs.agents import Persona
from duologue.specs.scenario import Scenario
from duologue.specs.voice import UserVoice
from duologue.suites.manifests.validate.effects import effect_of
from duologue.voice.synthesis import DEFAULT_VOICE

_FIELDS = tuple(UserVoice.model_fields)


@frozen
class SpokenUser:
    """The voice of a user, ready to be used.

    Attributes:
        voice: its name.
        effects: what happens to its sound.
        interruptions: how it cuts in; None for not at all.
        manners: what else it does.
    """

    voice: str = DEFAULT_VOICE
    effects: Sequence[SoundEffect] = ()
    interruptions: InterruptionConfig | None = None
    manners: UserVoice = UserVoice.model_construct()


def spoken_user(scenario: Scenario, persona: Persona | None, voice: str = DEFAULT_VOICE) -> SpokenUser:
    """The user of a test case.

    Args:
        scenario, persona: that say how it sounds.
        voice: where neither names one.

    Raises:
        ConfigurationError: an effect is none, or has other parameters.
    """
    said: dict[str, Any] = {}
    for spec in (scenario.voice, persona.voice if persona else None):
        if spec is not None:
            said |= {name: getattr(spec, name) for name in _FIELDS if name in spec.model_fields_set}
    merged = UserVoice.model_construct(None, **said)
    cuts = merged.interruptions
    return SpokenUser(
        voice=merged.voice or voice,
        effects=[effect_of(spec) for spec in merged.effects],
        interruptions=None
        if cuts is None
        else InterruptionConfig(
            probability=cuts.probability,
            delay_range=(cuts.delay[0], cuts.delay[1]),
            strategy="random_phrase" if cuts.phrases else "contextual",
            phrases=cuts.phrases,
        ),
        manners=merged,
    )
