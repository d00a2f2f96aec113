"""How a scenario is spoken: sessions, who decides that somebody has finished, and the voices of lines."""

from __future__ import annotations

from typing import Literal

from duologue.specs.spec import Amount, Duration, Spec


class VoiceActivity(Spec):
    """When silence means that somebody has finished."""

    silence_threshold_ms: Amount = 500
    """Milliseconds of silence that end a turn."""
    min_speech_ms: Amount = 1000
    """Milliseconds of speech before silence counts."""
    max_turn_duration_s: Amount = 60
    """Seconds after which a turn ends anyway."""


class TurnDetection(Spec):
    """Who decides that somebody has finished speaking."""

    mode: Literal["vad", "asm"] = "vad"
    """Voice activity on our side, or the provider itself."""
    vad: VoiceActivity | None = None
    """For the mode ``vad``."""


class Resilience(Spec):
    """What happens when a spoken session breaks off."""

    max_retries: Amount = 0
    """How often a turn is tried again, in a new session if need be."""
    retry_delay_ms: Amount = 1000
    """Milliseconds before it is tried again."""
    inter_turn_delay_ms: Amount | None = None
    """Milliseconds between turns."""
    selfplay_inter_turn_delay_ms: Amount | None = None
    """Milliseconds between turns of a simulated user."""
    partial_success_min_turns: Amount = 1
    """Turns after which a session that breaks off counts as finished."""
    ignore_last_turn_session_end: bool = True
    """A session may end during the last turn."""


class Duplex(Spec):
    """A spoken conversation over one open session."""

    timeout: Duration = "10m"
    """How long the session may last."""
    turn_detection: TurnDetection | None = None
    """Who decides that somebody has finished speaking."""
    resilience: Resilience | None = None
    """What happens when the session breaks off."""


class Speech(Spec):
    """How a line is spoken."""

    provider: str
    """Who speaks it: a model of the suite."""
    voice: str | None = None
    """Which voice."""
