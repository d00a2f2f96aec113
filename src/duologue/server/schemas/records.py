"""What is recorded of a run, as it is answered: its transcript, model calls and artifacts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class TranscriptMessage(BaseModel):
    """A message of a conversation, and what is known about it."""

    id: str
    """What checks and decisions cite, such as ``m3``."""
    turn: int
    """From 0."""
    author: str | None
    """The name of the participant; null for a line of the script."""
    message: dict[str, Any]
    """The chat message."""
    cut: str | None
    """Why it ends before its author had finished; null for a whole message."""


class TranscriptAnswer(BaseModel):
    """The conversation of a run so far."""

    run_id: str
    """The run."""
    attempt: int
    """Of which attempt it is; 0 as long as nothing was recorded."""
    messages: list[TranscriptMessage]
    """In the order in which they were said."""


class ModelCallAnswer(BaseModel):
    """A call of a language model."""

    id: str
    """The id of its event in the journal, such as ``1.17``."""
    asker: str
    """Which participant or check has asked."""
    model: str
    """Which model."""
    turn: int
    """In which turn."""
    call: str
    """The id of the call in its run, such as ``c3.1``."""
    response: dict[str, Any] | None
    """The assistant message; null for a call that failed."""
    usage: dict[str, int]
    """Tokens that it read and wrote."""
    cost: float | None
    """US dollars; null where no price is known."""
    seconds: float
    """How long it took."""
    attempts: int
    """How often it was tried."""
    error: str | None
    """Why it failed."""
    finish_reason: str | None
    """Why the model stopped."""


class ArtifactAnswer(BaseModel):
    """Bytes that a run has: a picture, a recording."""

    sha256: str
    """Digest of the bytes, their name."""
    mime_type: str
    """What they are, as whoever made them says."""
    size: int
    """How many bytes."""
