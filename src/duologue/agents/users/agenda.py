"""A user with a goal and the details for it, played by rules: no model, no key, the same under the same seed.

It answers what the agent asks for, corrects what the agent gets wrong, agrees when all is right, and leaves when the
goal is reached or its patience is at an end. What the agent's words mean is found in ``agenda_hearing``, and what was
said so far in ``agenda_memory``: everything follows from the conversation, so one object serves any number of runs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from duologue.agents.users.agenda_hearing import QUESTION_PATTERNS, Ear, Heard, Slot, check_patterns
from duologue.agents.users.agenda_memory import Memory, remember
from duologue.agents.users.endings import SUCCESS_PATTERNS, TRANSFER_PATTERNS
from duologue.agents.users.utterances import Speaker, utterances
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, UserDone
from duologue.errors import ConfigurationError
from duologue.messages import Message
from duologue.vocabulary import AgentRole

__all__ = ["AgendaUser", "Phrases", "Slot"]

Verbosity = Literal["terse", "normal", "chatty"]


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """What an agenda-based user says. ``{goal}``, ``{name}`` and ``{value}`` are filled in where they make sense.

    Attributes:
        opening: the first words.
        answers: how an answer is given; one is drawn.
        offer: a detail that was not asked for.
        yes, correction, declines: to a question for a yes.
        why: in place of an answer, by a user who does not cooperate.
        unknown: to a question for something that the user does not know.
        okay: when there is nothing to say.
        insists: when the agent is done and the goal is not reached.
        hello: when the agent says nothing.
        gives_up: the last words of a user who has lost patience.
    """

    opening: str = "Hello, I would like to {goal}."
    answers: Sequence[str] = ("{value}.", "It's {value}.", "{value}, please.")
    offer: str = "The {name} is {value}."
    yes: str = "Yes, please."
    correction: str = "No, the {name} is {value}."
    declines: str = "No, please don't. I have changed my mind."
    why: str = "Why do you need that?"
    unknown: str = "I don't know."
    okay: str = "Okay."
    insists: str = "I would still like to {goal}."
    hello: str = "Hello?"
    gives_up: str = "This is getting me nowhere, I will leave it. Bye."


class AgendaUser(AgentAdapter):
    """A user with a goal, played by rules.

    Args:
        goal: what the user wants, to follow "I would like to …"; one that begins with "I" is said as it is.
        slots: the details that the user knows, by name.
        opening: the first words; None for a sentence with the goal.
        patience: turns of the agent in a row that may be of no use before the user gives up.
        cooperation: from 0 to 1: how likely the user is to give a detail that was not asked for when the agent leaves
            it to the user to go on, and to answer at once when it is first asked for one.
        verbosity: ``terse`` says values only; ``chatty`` adds a detail that was not asked for, if it cooperates.
        confirm: whether the user says yes when all is right; with False it changes its mind instead, and leaves.
        closing: the last words when the goal is reached.
        success_patterns: how the agent says that the goal is reached, in place of the usual words. A sentence that is a
            question, a condition or a denial does not count.
        transfer_patterns: how the agent says that it hands the user over, in place of the usual words.
        question_patterns: how a sentence that asks for something is known, beside the usual ways.
        phrases: what the user says, for other manners and other languages.
        name: what reports call this user.

    Raises:
        ConfigurationError: an argument cannot be used.
    """

    role: ClassVar[AgentRole] = AgentRole.USER

    def __init__(
        self,
        goal: str,
        slots: Mapping[str, str] | Sequence[Slot] = (),
        *,
        opening: str | None = None,
        patience: int = 3,
        cooperation: float = 1.0,
        verbosity: Verbosity = "normal",
        confirm: bool = True,
        closing: str = "Thank you, bye.",
        success_patterns: Sequence[str] | None = None,
        transfer_patterns: Sequence[str] | None = None,
        question_patterns: Sequence[str] = (),
        phrases: Phrases | None = None,
        name: str | None = None,
    ) -> None:
        if patience < 1:
            raise ConfigurationError(f"patience must be 1 turn or more; found {patience}")
        if not 0 <= cooperation <= 1:
            raise ConfigurationError(f"cooperation must be from 0 to 1; found {cooperation}")
        if verbosity not in {"terse", "normal", "chatty"}:
            raise ConfigurationError(f"verbosity must be 'terse', 'normal' or 'chatty'; found {verbosity!r}")
        self._goal = _as_wish(goal)
        self._ear = Ear(
            slots=_checked_slots(slots),
            questions=(*QUESTION_PATTERNS, *_checked("question_patterns", question_patterns)),
            success=_checked("success_patterns", SUCCESS_PATTERNS if success_patterns is None else success_patterns),
            transfer=_checked(
                "transfer_patterns", TRANSFER_PATTERNS if transfer_patterns is None else transfer_patterns
            ),
        )
        self._opening = opening
        self._patience = patience
        self._cooperation = cooperation
        self._verbosity = verbosity
        self._confirm = confirm
        self._closing = closing
        self._phrases = phrases or Phrases()
        self._name = name

    @property
    def name(self) -> str:
        """The given name, or the class's."""
        return self._name or type(self).__name__

    def describe(self) -> dict[str, Any]:
        """The goal, the details and the manner."""
        return {
            "goal": self._goal,
            "slots": {slot.name: slot.value for slot in self._ear.slots},
            "patience": self._patience,
            "cooperation": self._cooperation,
            "verbosity": self._verbosity,
            "confirm": self._confirm,
        }

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """What the user says next, or says last."""
        heard = utterances(input.messages)
        memory = remember(heard, self._ear)
        spoken = sum(message["role"] == "user" for message in input.messages)
        chance = input.scope.context.random("user", "agenda", input.scope.participant or 0, spoken)
        if not any(utterance.speaker is Speaker.USER for utterance in heard):
            return self._open(memory, chance)
        unanswered = _unanswered(input.messages)
        if unanswered:
            return self._phrases.hello if unanswered < self._patience else self._give_up("the agent says nothing")
        said = memory.heard or Heard()
        return self._end(memory, said) or self._go_on(memory, said, chance)

    # --- what to say -------------------------------------------------------------------------------------------------

    def _open(self, memory: Memory, chance: random.Random) -> str:
        said = self._opening or self._wish(self._phrases.opening)
        pending = [slot for slot in memory.pending(self._ear.slots) if not slot.told_in(said)]
        asked = [(slot, slot.spoken or slot.value) for slot in pending if memory.heard and slot in memory.heard.asked]
        if asked:
            return f"{said} {self._said(asked, chance)}"
        return " ".join([said, *self._chat(pending, chance)])

    def _end(self, memory: Memory, heard: Heard) -> UserDone | None:
        """The last words, if it is over."""
        if heard.transferred:
            return UserDone(reason="transferred", explanation="the agent hands the user over")
        if memory.useless >= self._patience:
            return self._give_up(f"{memory.useless} turns of the agent in a row were of no use")
        reached = heard.success or (heard.more and memory.succeeded)
        if reached and not heard.wrong and not heard.asked:
            return UserDone(reason="goal_reached", message=self._closing)
        if heard.confirms and not self._confirm and not heard.wrong and _all_told(memory, heard):
            return UserDone(reason="gave_up", message=self._phrases.declines, explanation="the user does not confirm")
        return None

    def _go_on(self, memory: Memory, heard: Heard, chance: random.Random) -> str:
        phrases, pending = self._phrases, memory.pending(self._ear.slots)
        if heard.wrong:
            return " ".join(_filled(phrases.correction, slot, slot.value) for slot in heard.wrong)
        if heard.confirms and _all_told(memory, heard):
            given = ", ".join(slot.value for slot in heard.asked)
            return f"{phrases.yes.split(',')[0]}, {given}." if given else phrases.yes
        if heard.asked:
            return self._answer(heard.asked, memory, chance)
        if pending and chance.random() < self._cooperation:
            return self._offered(pending[0])
        if heard.more:
            return self._wish(phrases.insists)
        return phrases.unknown if heard.question else phrases.okay

    def _answer(self, asked: Sequence[Slot], memory: Memory, chance: random.Random) -> str:
        new = all(slot.name not in memory.asked and slot.name not in memory.told for slot in asked)
        if new and chance.random() >= self._cooperation:
            return self._phrases.why
        values = [(slot, slot.spoken if slot.spoken and slot.name not in memory.told else slot.value) for slot in asked]
        names = {slot.name for slot in asked}
        others = [slot for slot in memory.pending(self._ear.slots) if slot.name not in names]
        return " ".join([self._said(values, chance), *self._chat(others, chance)])

    def _said(self, values: Sequence[tuple[Slot, str]], chance: random.Random) -> str:
        own = [_filled(slot.say, slot, value) for slot, value in values if slot.say]
        plain = ", ".join(value for slot, value in values if not slot.say)
        if not plain:
            return " ".join(own)
        template = "{value}" if self._verbosity == "terse" else chance.choice(list(self._phrases.answers))
        return " ".join([_filled(template, values[0][0], plain), *own])

    def _chat(self, pending: Sequence[Slot], chance: random.Random) -> list[str]:
        """What a talkative user adds."""
        if self._verbosity != "chatty" or not pending or chance.random() >= self._cooperation:
            return []
        return [self._offered(pending[0])]

    def _offered(self, slot: Slot) -> str:
        return _filled(slot.say or self._phrases.offer, slot, slot.spoken or slot.value)

    def _wish(self, template: str) -> str:
        return f"{self._goal}." if self._goal.startswith(("I ", "I'")) else template.replace("{goal}", self._goal)

    def _give_up(self, why: str) -> UserDone:
        return UserDone(reason="gave_up", message=self._phrases.gives_up, explanation=why)


def _all_told(memory: Memory, heard: Heard) -> bool:
    """Whether the user has already given all that is asked for: then a question for a yes is one."""
    return all(slot.name in memory.told for slot in heard.asked)


def _unanswered(messages: Sequence[Message]) -> int:
    """How often the user has spoken since the agent did."""
    count = 0
    for message in reversed(messages):
        if message["role"] == "assistant":
            break
        count += message["role"] == "user"
    return count


def _filled(template: str, slot: Slot, value: str) -> str:
    return template.format(value=value, name=slot.name.replace("_", " "))


def _as_wish(goal: str) -> str:
    goal = goal.strip().rstrip(".!")
    if not goal:
        raise ConfigurationError("goal is empty; say what the user wants, such as 'book a table for four'")
    return goal if goal.startswith(("I ", "I'")) else goal[0].lower() + goal[1:]


def _checked(where: str, patterns: Sequence[str]) -> tuple[str, ...]:
    check_patterns(where, patterns)
    return tuple(patterns)


def _checked_slots(slots: Mapping[str, str] | Sequence[Slot]) -> tuple[Slot, ...]:
    given = [Slot(name, value) for name, value in slots.items()] if isinstance(slots, Mapping) else list(slots)
    names = [slot.name for slot in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"slots: {', '.join(twice)} given more than once; each name stands for one detail")
    return tuple(given)
