"""What the parts of a run share about a voice conversation: how lines are spoken, who listens, and the timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, cast

from duologue.errors import ConfigurationError
from duologue.frozen import frozen

SoundEffect = Callable[[bytes], bytes]
"""From PCM16, mono, 24 kHz, to the same."""


def sound_effects(given: object, name: str) -> tuple[SoundEffect, ...]:
    """Effects as a user gives them: several, one, or None for none.

    Raises:
        ConfigurationError: one of them is no function.
    """
    if given is None:
        return ()
    is_one = callable(given) or isinstance(given, str) or not isinstance(given, Iterable)
    several = [cast("object", given)] if is_one else list(cast("Iterable[object]", given))
    for effect in several:
        if not callable(effect):
            raise ConfigurationError(
                f"{name}: expected functions from PCM16 to PCM16, such as [duologue.effects.phone_quality()]; found "
                f"{repr(effect)[:80]}"
            )
    return tuple(cast("list[SoundEffect]", several))


class TimelineEvent(Protocol):
    """Something that happened in a conversation in voice: a :class:`duologue.voice.VoiceEvent`."""

    @property
    def time(self) -> float:
        """Seconds since the conversation began."""
        ...

    @property
    def type(self) -> str:
        """Such as ``agent_start_speaking``."""
        ...

    @property
    def name(self) -> str | None:
        """Of a tool."""
        ...

    @property
    def latency(self) -> float | None:
        """Seconds that the agent took until it spoke."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """More."""
        ...


@frozen
class Delivery:
    """How a line of the user is said.

    Attributes:
        voice_style: such as ``whispering``, for voices that support styles.
        audio_effects: replace the effects of the user for this line; None to keep them.
    """

    voice_style: str | None = None
    audio_effects: Sequence[SoundEffect] | None = None


@frozen
class VoiceListeners:
    """Who listens to a conversation in voice.

    Attributes:
        on_audio_chunk: called with each piece of sound of the agent that is heard.
        on_voice_event: called with each event of the timeline. Both may be async.
        audio_playback: both sides are played on this machine.
    """

    on_audio_chunk: Callable[[Any], object] | None = None
    on_voice_event: Callable[[Any], object] | None = None
    audio_playback: bool = False


class VoiceState:
    """What the steps and sessions of one run share.

    Attributes:
        effects: of the user's sound from now on; None for those of the simulated user.
        delivery: of the next line of the user.
        listeners: to the sound.
        timelines: of the calls of the run.
    """

    def __init__(self, listeners: VoiceListeners | None = None) -> None:
        self.effects: Sequence[SoundEffect] | None = None
        self.delivery: Delivery | None = None
        self.listeners = listeners or VoiceListeners()
        self.timelines: list[Callable[[], Sequence[TimelineEvent]]] = []


# --- interruptions by chance -----------------------------------------------------------------------------------------

_PHRASES = (
    "Sorry, can I stop you there?",
    "Wait, wait.",
    "Hold on, one question.",
    "No, that is not what I meant.",
    "Sorry to interrupt.",
)


@frozen
class InterruptionConfig:
    """How often the user cuts in while the agent answers, in ``proceed(interruptions=…)``. The run's seed decides when.

    Attributes:
        probability: for each answer of the agent, from 0 to 1.
        delay_range: seconds after the agent's first words in which the user cuts in.
        strategy: ``contextual``: the simulated user decides what to say; ``random_phrase``: one of ``phrases``.
        phrases: for ``random_phrase``.

    Raises:
        ConfigurationError: a value is out of range.
    """

    probability: float = 0.3
    delay_range: tuple[float, float] = (0.5, 3.0)
    strategy: Literal["contextual", "random_phrase"] = "contextual"
    phrases: Sequence[str] = _PHRASES

    def __post_init__(self) -> None:
        if not _is_number(self.probability) or not 0 <= self.probability <= 1:
            raise ConfigurationError(f"InterruptionConfig(probability={self.probability!r}): expected 0 to 1")
        if not _is_range(self.delay_range):
            raise ConfigurationError(
                f"InterruptionConfig(delay_range={self.delay_range!r}): expected two numbers of seconds, the first not "
                "larger than the second, and neither below 0"
            )
        if self.strategy not in {"contextual", "random_phrase"}:
            raise ConfigurationError(
                f"InterruptionConfig(strategy={self.strategy!r}): expected 'contextual' or 'random_phrase'"
            )
        if isinstance(self.phrases, str) or (self.strategy == "random_phrase" and not self.phrases):
            raise ConfigurationError("InterruptionConfig(phrases=…): expected a list of at least one phrase")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_range(value: object) -> bool:
    """Whether it is two numbers from 0, the first not larger than the second."""
    if not isinstance(value, Sequence) or len(cast("Sequence[object]", value)) != 2:
        return False
    low, high = cast("Sequence[Any]", value)
    return _is_number(low) and _is_number(high) and 0 <= low <= high
