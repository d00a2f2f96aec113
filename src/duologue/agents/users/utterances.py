"""The conversation as the user hears it: who said what, in words, and nothing of what happens behind the scenes.

Every simulated user reads the conversation through this module, so tool calls, tool results, instructions and audio
bytes reach none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from duologue.messages import ContentPart, Message

AUDIO = "[audio message]"
"""What stands for speech that came without its words."""
_STANDS_FOR = {"input_audio": AUDIO, "audio": AUDIO, "output_audio": AUDIO, "image_url": "[image]", "file": "[file]"}


class Speaker(StrEnum):
    """Who is heard."""

    USER = "user"
    AGENT = "agent"


_SPEAKERS = {"user": Speaker.USER, "assistant": Speaker.AGENT}


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """What one side said before the other side spoke again."""

    speaker: Speaker
    text: str


def utterances(messages: Iterable[Message]) -> list[Utterance]:
    """What was said, in order. Several messages of one side in a row are one utterance, so the sides alternate."""
    heard: list[Utterance] = []
    for message in messages:
        speaker = _SPEAKERS.get(message["role"])
        text = spoken_text(message)
        if speaker is None or not text:
            continue
        if heard and heard[-1].speaker is speaker:
            text = f"{heard.pop().text}\n{text}"
        heard.append(Utterance(speaker=speaker, text=text))
    return heard


def last_of(heard: Iterable[Utterance], speaker: Speaker) -> str:
    """The newest words of that side; '' if it has said nothing."""
    return next((item.text for item in reversed(list(heard)) if item.speaker is speaker), "")


def spoken_text(message: Message) -> str:
    """The words of a message. Where there are none, other parts leave a word in brackets, such as ``[image]``."""
    content = message.get("content")
    if not isinstance(content, list):
        return (content or "").strip()
    words = "\n".join(part.get("text", "") for part in content if part["type"] == "text").strip()
    return words or " ".join(dict.fromkeys(_stand_in(part) for part in content if part["type"] != "text"))


def _stand_in(part: ContentPart) -> str:
    return _STANDS_FOR.get(part["type"], f"[{part['type']}]")
