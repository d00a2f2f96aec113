"""A user with a goal and the details for it, played by rules: no model, no key, and repeatable with a seed.

It answers what the agent asks for, corrects what the agent gets wrong, agrees when all is right, and leaves when the
goal is reached or its patience runs out. ``agenda_parser`` finds out what the agent's words mean. What was said so far
is folded from the conversation in every turn, so nothing has to be kept and one object serves any number of runs.

An agent's turn *helps* when there is something new to do about it. Each way to help is finite (a detail is new once, a
mistake is corrected once, and so on), so a user whose patience is finite always comes to an end.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from duologue.agents.users.agenda_parser import (
    AgentTurnParser,
    ParsedTurn,
    Slot,
    check_patterns,
    plain,
)
from duologue.agents.users.utterances import (
    QUESTION_PATTERNS,
    SUCCESS_PATTERNS,
    TRANSFER_PATTERNS,
    Speaker,
    SpokenTurn,
    spoken_turns,
)
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, UserDone
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import Message
from duologue.vocabulary import AgentRole

__all__ = ["AgendaUser", "Phrases", "Slot"]

Verbosity = Literal["terse", "normal", "chatty"]

_CONFIRMATIONS = 2
"""Questions for a yes that count as progress."""


@frozen
class Phrases:
    """What an agenda-based user says. ``{goal}``, ``{name}`` and ``{value}`` are filled in where they make sense."""

    opening: str = "Hello, I would like to {goal}."
    """The first words."""
    answers: Sequence[str] = ("{value}.", "It's {value}.", "{value}, please.")
    """Ways to give an answer; one is drawn at random."""
    offer: str = "The {name} is {value}."
    """A detail that was not asked for."""
    yes: str = "Yes, please."
    """Consent, when the agent has everything right."""
    correction: str = "No, the {name} is {value}."
    """When the agent restates a detail wrongly."""
    declines: str = "No, please don't. I have changed my mind."
    """In place of consent, with ``confirm=False``."""
    why: str = "Why do you need that?"
    """In place of an answer, from a user who does not cooperate."""
    unknown: str = "I don't know."
    """To a question about something that the user does not know."""
    okay: str = "Okay."
    """When there is nothing to say."""
    insists: str = "I would still like to {goal}."
    """When the agent considers itself done and the goal is not reached."""
    hello: str = "Hello?"
    """When the agent says nothing."""
    gives_up: str = "This is getting me nowhere, I will leave it. Bye."
    """The last words of a user who has lost patience."""


class AgendaUser(AgentAdapter):
    """A user with a goal, played by rules.

    Args:
        goal: what the user wants, to follow "I would like to …"; a goal that begins with "I" is said as it is.
        slots: the details that the user knows, by name.
        opening: the first words; None for a sentence that states the goal.
        patience: consecutive useless turns of the agent after which the user gives up.
        cooperation: from 0 to 1: how likely the user is to volunteer a detail when the agent leaves the next step to
            the user, and to answer at once when first asked for one.
        verbosity: ``terse`` says values only; ``chatty`` volunteers a detail with each answer, if it cooperates.
        confirm: whether the user says yes when all is right; otherwise it changes its mind and leaves.
        closing: the last words when the goal is reached.
        success_patterns: regular expressions that replace the built-in ways in which an agent says that the goal is
            reached. Questions, conditions and denials do not count.
        transfer_patterns: the same for an agent that hands the user over.
        question_patterns: regular expressions for questions, in addition to the built-in ones.
        phrases: the user's words, for other manners and languages.
        name: the user's name in reports.

    Raises:
        ConfigurationError: an argument cannot be used.
    """

    role: ClassVar[AgentRole] = AgentRole.USER
    repeats: ClassVar[bool] = True

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
        self._parser = AgentTurnParser(
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
        """The given name, or the name of the class."""
        return self._name or type(self).__name__

    def describe(self) -> dict[str, Any]:
        """The goal, the details and the manner."""
        return {
            "goal": self._goal,
            "slots": {slot.name: slot.value for slot in self._parser.slots},
            "patience": self._patience,
            "cooperation": self._cooperation,
            "verbosity": self._verbosity,
            "confirm": self._confirm,
        }

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The user's next words, or the last ones."""
        spoken = spoken_turns(input.shared_messages)
        memory = _remember(spoken, self._parser)
        lines = sum(message["role"] == "user" for message in input.shared_messages)
        chance = input.scope.context.random("user", "agenda", input.scope.participant or 0, lines)
        if not any(utterance.speaker is Speaker.USER for utterance in spoken):
            return self._open(memory, chance)
        unanswered = _unanswered(input.shared_messages)
        if unanswered:
            return self._phrases.hello if unanswered < self._patience else self._give_up("the agent says nothing")
        turn = memory.newest or ParsedTurn()
        return self._end(memory, turn) or self._go_on(memory, turn, chance)

    # --- what to say -------------------------------------------------------------------------------------------------

    def _open(self, memory: _Memory, chance: random.Random) -> str:
        said = self._opening or self._wish(self._phrases.opening)
        pending = [slot for slot in memory.pending(self._parser.slots) if not slot.given_in(said)]
        asked = [(slot, slot.spoken or slot.value) for slot in pending if memory.newest and slot in memory.newest.asked]
        if asked:
            return f"{said} {self._said(asked, chance)}"
        return " ".join([said, *self._chat(pending, chance)])

    def _end(self, memory: _Memory, turn: ParsedTurn) -> UserDone | None:
        """The last words, if the user has reason to leave."""
        if turn.transferred:
            return UserDone(reason="transferred", explanation="the agent hands the user over")
        if memory.useless >= self._patience:
            return self._give_up(f"{memory.useless} turns of the agent in a row did not help")
        reached = turn.success or (turn.more and memory.succeeded)
        if reached and not turn.wrong and not turn.asked:
            return UserDone(reason="goal_reached", message=self._closing)
        if turn.confirms and not self._confirm and not turn.wrong and _all_given(memory, turn):
            return UserDone(reason="gave_up", message=self._phrases.declines, explanation="the user does not confirm")
        return None

    def _go_on(self, memory: _Memory, turn: ParsedTurn, chance: random.Random) -> str:
        phrases, pending = self._phrases, memory.pending(self._parser.slots)
        if turn.wrong:
            return " ".join(_filled(phrases.correction, slot, slot.value) for slot in turn.wrong)
        if turn.confirms and _all_given(memory, turn):
            given = ", ".join(slot.value for slot in turn.asked)
            return f"{phrases.yes.split(',')[0]}, {given}." if given else phrases.yes
        if turn.asked:
            return self._answer(turn.asked, memory, chance)
        if pending and chance.random() < self._cooperation:
            return self._offered(pending[0])
        if turn.more:
            return self._wish(phrases.insists)
        return phrases.unknown if turn.question else phrases.okay

    def _answer(self, asked: Sequence[Slot], memory: _Memory, chance: random.Random) -> str:
        new = all(slot.name not in memory.asked and slot.name not in memory.given for slot in asked)
        if new and chance.random() >= self._cooperation:
            return self._phrases.why
        values = [
            (slot, slot.spoken if slot.spoken and slot.name not in memory.given else slot.value) for slot in asked
        ]
        names = {slot.name for slot in asked}
        others = [slot for slot in memory.pending(self._parser.slots) if slot.name not in names]
        return " ".join([self._said(values, chance), *self._chat(others, chance)])

    def _said(self, values: Sequence[tuple[Slot, str]], chance: random.Random) -> str:
        own = [_filled(slot.say, slot, value) for slot, value in values if slot.say]
        plain = ", ".join(value for slot, value in values if not slot.say)
        if not plain:
            return " ".join(own)
        template = "{value}" if self._verbosity == "terse" else chance.choice(list(self._phrases.answers))
        return " ".join([_filled(template, values[0][0], plain), *own])

    def _chat(self, pending: Sequence[Slot], chance: random.Random) -> list[str]:
        """The detail that a talkative user adds."""
        if self._verbosity != "chatty" or not pending or chance.random() >= self._cooperation:
            return []
        return [self._offered(pending[0])]

    def _offered(self, slot: Slot) -> str:
        return _filled(slot.say or self._phrases.offer, slot, slot.spoken or slot.value)

    def _wish(self, template: str) -> str:
        return f"{self._goal}." if self._goal.startswith(("I ", "I'")) else template.replace("{goal}", self._goal)

    def _give_up(self, why: str) -> UserDone:
        return UserDone(reason="gave_up", message=self._phrases.gives_up, explanation=why)


@frozen
class _Memory:
    """The conversation so far, from the user's point of view."""

    given: frozenset[str] = frozenset()
    """Names of the slots that the user has given."""
    asked: frozenset[str] = frozenset()
    """Names of the slots that the agent had asked for before its newest turn."""
    corrected: frozenset[str] = frozenset()
    """Names of the slots that the agent had restated wrongly before its newest turn."""
    confirmed: int = 0
    """How often the agent has asked for a yes."""
    vague: int = 0
    """How often the agent left the next step to the user while details were still open."""
    succeeded: bool = False
    """Whether the agent has ever said that the goal is reached."""
    useless: int = 0
    """How many of the agent's newest turns in a row did not help."""
    newest: ParsedTurn | None = None
    """The agent's newest turn; None if it has not spoken yet."""
    texts: frozenset[str] = frozenset()
    """Everything the agent has said, turn by turn."""

    def pending(self, slots: Sequence[Slot]) -> list[Slot]:
        """The slots that are still to be given."""
        return [slot for slot in slots if slot.name not in self.given]


def _remember(spoken: Sequence[SpokenTurn], parser: AgentTurnParser) -> _Memory:
    memory = _Memory()
    for utterance in spoken:
        if utterance.speaker is Speaker.USER:
            given = {slot.name for slot in parser.slots if slot.given_in(utterance.text)}
            memory = replace(memory, given=memory.given | given)
        else:
            memory = _after_agent_turn(memory, utterance.text, parser)
    return memory


def _after_agent_turn(memory: _Memory, text: str, parser: AgentTurnParser) -> _Memory:
    """The memory after one more turn of the agent; what the turn before asked for now lies in the past."""
    if memory.newest:
        memory = replace(
            memory,
            asked=memory.asked | {slot.name for slot in memory.newest.asked},
            corrected=memory.corrected | {slot.name for slot in memory.newest.wrong},
        )
    turn, words = parser.parse(text), plain(text)
    vague = not (turn.asked or turn.wrong or turn.confirms or turn.success) and bool(memory.pending(parser.slots))
    helps = words not in memory.texts and _helps(memory, turn, vague, len(parser.slots))
    return replace(
        memory,
        confirmed=memory.confirmed + turn.confirms,
        vague=memory.vague + vague,
        succeeded=memory.succeeded or turn.success,
        useless=0 if helps else memory.useless + 1,
        newest=turn,
        texts=memory.texts | {words},
    )


def _helps(memory: _Memory, turn: ParsedTurn, vague: bool, slots: int) -> bool:
    return (
        any(slot.name not in memory.asked for slot in turn.asked)
        or any(slot.name not in memory.corrected for slot in turn.wrong)
        or (turn.confirms and memory.confirmed < _CONFIRMATIONS)
        or (turn.success and not memory.succeeded)
        or (vague and memory.vague < slots)
    )


def _all_given(memory: _Memory, turn: ParsedTurn) -> bool:
    """Whether the user has already given all that is asked for: only then is a question for a yes just that."""
    return all(slot.name in memory.given for slot in turn.asked)


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
