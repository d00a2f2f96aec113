"""The telephone of the restaurant: speech to text, the assistant, text to speech, all on this machine."""

from __future__ import annotations

from typing import Any

from parts import TODAY

from duologue import ComposableVoiceAgent
from duologue.demo.restaurant.dialogue import Dialogue
from duologue.demo.restaurant.store import Store
from duologue.demo.restaurant.tools import Toolbox


class Telephone(ComposableVoiceAgent):
    """One call at a time."""

    def __init__(self) -> None:
        dialogue = Dialogue(Toolbox(Store(TODAY)), TODAY)
        super().__init__(
            "local", lambda said: _answer(dialogue, said), "local/heart", greeting="The Olive Tree, good evening."
        )


def _answer(dialogue: Dialogue, said: Any) -> str:
    return str(dialogue.reply(str(said[-1]["content"]))[-1]["content"])
