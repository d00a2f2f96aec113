"""What an agenda-based user remembers: a fold over the conversation, so that nothing has to be kept between turns.

An agent's turn *helps* when there is something new to do about it. Each way to help is finite (a detail is new once, a
mistake is corrected once, and so on), so a user whose patience is finite always comes to an end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from duologue.agents.users.agenda_hearing import Ear, Heard, Slot
from duologue.agents.users.agenda_values import plain
from duologue.agents.users.utterances import Speaker, Utterance

CONFIRMATIONS = 2
"""Questions for a yes that count as progress."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The conversation so far, as the user sees it.

    Attributes:
        told: names of the slots that the user has given.
        asked: names of the slots that the agent has asked for, before its newest turn.
        corrected: names of the slots that the agent had restated wrongly, before its newest turn.
        confirmed: how often the agent has asked for a yes.
        vague: how often it left it to the user to go on while details were untold.
        succeeded: whether it has ever said that the goal is reached.
        useless: how many of its newest turns in a row did not help.
        heard: what its newest turn means; None when it has not spoken yet.
        words: what it has said, turn by turn.
    """

    told: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    corrected: frozenset[str] = frozenset()
    confirmed: int = 0
    vague: int = 0
    succeeded: bool = False
    useless: int = 0
    heard: Heard | None = None
    words: frozenset[str] = field(default=frozenset())

    def pending(self, slots: Sequence[Slot]) -> list[Slot]:
        """The slots that are still to be given."""
        return [slot for slot in slots if slot.name not in self.told]


def remember(heard: Sequence[Utterance], ear: Ear) -> Memory:
    """What remains of a conversation."""
    memory = Memory()
    for utterance in heard:
        if utterance.speaker is Speaker.USER:
            told = {slot.name for slot in ear.slots if slot.told_in(utterance.text)}
            memory = replace(memory, told=memory.told | told)
        else:
            memory = _listen(memory, utterance.text, ear)
    return memory


def _listen(memory: Memory, text: str, ear: Ear) -> Memory:
    """The memory after one more turn of the agent; what the turn before it asked for now lies in the past."""
    if memory.heard:
        memory = replace(
            memory,
            asked=memory.asked | {slot.name for slot in memory.heard.asked},
            corrected=memory.corrected | {slot.name for slot in memory.heard.wrong},
        )
    heard, words = ear.hear(text), plain(text)
    vague = not (heard.asked or heard.wrong or heard.confirms or heard.success) and bool(memory.pending(ear.slots))
    helps = words not in memory.words and _helps(memory, heard, vague, len(ear.slots))
    return replace(
        memory,
        confirmed=memory.confirmed + heard.confirms,
        vague=memory.vague + vague,
        succeeded=memory.succeeded or heard.success,
        useless=0 if helps else memory.useless + 1,
        heard=heard,
        words=memory.words | {words},
    )


def _helps(memory: Memory, heard: Heard, vague: bool, slots: int) -> bool:
    return (
        any(slot.name not in memory.asked for slot in heard.asked)
        or any(slot.name not in memory.corrected for slot in heard.wrong)
        or (heard.confirms and memory.confirmed < CONFIRMATIONS)
        or (heard.success and not memory.succeeded)
        or (vague and memory.vague < slots)
    )
