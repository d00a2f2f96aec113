"""Which models take sound in a request."""

from __future__ import annotations

import re

from duologue.models.base import Model
from duologue.models.names import parse_name

_TAKES_SOUND = re.compile(
    r"gpt-(?:4o-(?:mini-)?)?audio|gemini-(?!embedding)(?!.*(?:-tts|-image|embedding))|voxtral|ultravox"
    r"|qwen[\w.-]*(?:omni|audio)|phi-4-multimodal|minicpm-o|gemma-?3n"
)


def takes_sound(model: Model, name: str | None = None) -> bool:
    """Whether a model takes sound in a request, as far as that is known.

    Args:
        model: says it in an attribute ``accepts_audio``; one without it is known by its name.
        name: under which it was chosen; None for its own.
    """
    told: object = getattr(model, "accepts_audio", None)
    if isinstance(told, bool):
        return told
    reference = parse_name(name or model.name).reference.lower()
    return _TAKES_SOUND.search(reference.rpartition("/")[2]) is not None
