"""What an agenda-based user makes of the agent's words: what it asks for, what it restates, whether it is done.

Rules and patterns, no model. What to say in answer is decided in ``agenda``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

from duologue.agents.users.agenda_values import Kind, agrees, found, kind_of, plain_name, says
from duologue.agents.users.endings import (
    MORE_PATTERNS,
    SUCCESS_PATTERNS,
    TRANSFER_PATTERNS,
    announces,
    any_match,
    denies,
    sentences,
)
from duologue.errors import ConfigurationError

QUESTION_PATTERNS = (
    r"\?[\"')]*$",
    r"^(?:and |please |so )?(?:what|which|when|where|who|how|could you|can you|may i|would you)\b",
    r"\b(?:tell|give|send|provide|let) (?:me|us)\b",
    r"\b(?:i|we)(?:'ll| will| would| also| still)? need\b",
    r"\bplease (?:provide|confirm|enter|say|specify|share)\b",
)
_RESTATES = (
    r"\b(?:so|then) (?:that|this|it)(?:'s| is| will be| would be)\b",
    r"\bthat(?:'s| is|'d be| would be) (?:a|an|for)\b",
    r"\b(?:to confirm|to sum up|to summari[sz]e|just to|you said|you would like|you'd like|i have you|noted|got it)\b",
    r"\byour (?:booking|order|reservation|appointment|table|request)\b",
    r"\b(?:booked|confirmed|reserved)\b",
    r"\b(?:correct|right)\?",
)
_CONFIRMS = (
    r"^(?:\w+[,.]? )?(?:shall|should|do you want|would you like|do you confirm|can you confirm|could you confirm)\b",
    r"^(?:\w+[,.]? )?(?:is (?:that|this|it|everything)|are (?:these|those)|does (?:that|this))\b",
    r"\b(?:shall i|should i|is that (?:right|correct|ok|okay|fine))\b",
    r"\b(?:correct|right|okay|ok|agreed)\?",
    r"\bplease confirm\b",
)
_ASKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\btime\b", (r"\btimes?\b", r"\bwhen\b", r"\bhow late\b")),
    (r"\b(?:day|date)\b", (r"\bdates?\b", r"\bdays?\b", r"\bwhen\b")),
    (r"mail\b", (r"\be-?mail\b",)),
    (r"\b(?:phone|telephone|mobile)\b", (r"\b(?:phone|telephone|mobile|number to (?:call|reach))\b",)),
    (r"\b(?:people|persons|guests|party|passengers|size)\b", (r"\bhow many\b", r"\bhow large\b", r"\bparty size\b")),
    (r"\bname\b", (r"\bnames?\b", r"\bwho am i (?:speaking|talking)\b")),
    (r"\baddress\b", (r"\baddress\b", r"\bwhere (?:shall|should|do|can|to)\b", r"\bdeliver(?:ed)? to\b")),
    (r"\ballerg", (r"\ballerg", r"\bdiet")),
)


@dataclass(frozen=True)
class Slot:
    """One detail that the user knows.

    Attributes:
        name: such as ``party size``; says how the value is compared, and how the agent is likely to ask for it.
        value: what is true, as the user says it unless ``spoken`` is given.
        ask: patterns (regular expressions, in any case) of questions for this detail, beside those that follow from
            the name.
        say: how the user gives it, with ``{value}`` and ``{name}`` in it; None for short phrases.
        spoken: how the user says the value at first, such as ``half past seven``. Asked again, the user says ``value``.
        restated: patterns with one group that find this detail in what the agent restates, for the kinds of values that
            are not recognised anyway: times, weekdays, numbers of people, names, telephone numbers, e-mail addresses.
    """

    name: str
    value: str
    _: KW_ONLY
    ask: Sequence[str] = ()
    say: str | None = None
    spoken: str | None = None
    restated: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.value.strip():
            raise ConfigurationError(f"a slot needs a name and a value; found name={self.name!r}, value={self.value!r}")
        check_patterns(f"slot '{self.name}'", [*self.ask, *self.restated])
        _try_template(self)

    @property
    def kind(self) -> Kind:
        """What the value is."""
        return kind_of(self.name, self.value)

    def wordings(self) -> list[str]:
        """How the value may be said."""
        return [self.spoken, self.value] if self.spoken else [self.value]

    def told_in(self, text: str) -> bool:
        """Whether the text gives this detail."""
        return any(says(text, self.kind, wording) for wording in self.wordings())

    def asked_in(self, sentence: str) -> bool:
        """Whether this question is for this detail."""
        if any_match(self.ask, sentence):
            return True
        name = plain_name(self.name)
        known = [pattern for named, patterns in _ASKS if re.search(named, name) for pattern in patterns]
        return any_match(known or [rf"\b{re.escape(word)}" for word in name.split() if len(word) > 2], sentence)

    def wrong_in(self, sentence: str) -> bool:
        """Whether the sentence gives this detail another value, and the right one nowhere."""
        own = [match[1] for pattern in self.restated for match in re.finditer(pattern, sentence, re.IGNORECASE)]
        if own and not any(says(mention, Kind.OTHER, wording) for mention in own for wording in self.wordings()):
            return True
        mentions = found(self.kind, sentence)
        return bool(mentions) and not any(
            agrees(self.kind, value, one) for value in self.wordings() for one in mentions
        )


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the agent's words mean to the user.

    Attributes:
        asked: slots that it asks for, in the user's order.
        wrong: slots that it restates with a wrong value.
        confirms: whether it asks for a yes.
        question: whether it asks something, whatever it is.
        more: whether it asks if there is anything else.
        success: whether it says that the goal is reached.
        transferred: whether it hands the user over.
        refuses: whether it says that something cannot be.
    """

    asked: tuple[Slot, ...] = ()
    wrong: tuple[Slot, ...] = ()
    confirms: bool = False
    question: bool = False
    more: bool = False
    success: bool = False
    transferred: bool = False
    refuses: bool = False


@dataclass(frozen=True, kw_only=True)
class Ear:
    """Hears with given slots and patterns."""

    slots: tuple[Slot, ...]
    questions: tuple[str, ...] = QUESTION_PATTERNS
    success: tuple[str, ...] = SUCCESS_PATTERNS
    transfer: tuple[str, ...] = TRANSFER_PATTERNS
    restates: tuple[str, ...] = field(default=_RESTATES)

    def hear(self, text: str) -> Heard:
        """What these words mean: all that the agent said in its turn."""
        parts = sentences(text)
        questions = [part for part in parts if any_match(self.questions, part)]
        confirming = any(any_match(_CONFIRMS, part) for part in questions)
        restated = [part for part in parts if not denies(part) and (confirming or any_match(self.restates, part))]
        asked = tuple(slot for slot in self.slots if any(slot.asked_in(part) for part in questions))
        return Heard(
            asked=asked,
            wrong=tuple(slot for slot in self.slots if _wrong(slot, restated)),
            confirms=confirming,
            question=bool(questions),
            more=any(any_match(MORE_PATTERNS, part) for part in questions),
            success=announces(text, self.success),
            transferred=announces(text, self.transfer),
            refuses=any(denies(part) for part in parts),
        )


def check_patterns(where: str, patterns: Sequence[str]) -> None:
    """Check that each is a regular expression.

    Raises:
        ConfigurationError: one is not.
    """
    if isinstance(patterns, str):
        raise ConfigurationError(f"{where}: patterns are a list of texts; found the text {patterns!r}")
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(f"{where}: {pattern!r} is not a regular expression: {error}") from error


def _wrong(slot: Slot, restated: Sequence[str]) -> bool:
    """A detail is wrong where it is given wrongly and nowhere rightly."""
    return any(slot.wrong_in(part) for part in restated) and not any(slot.told_in(part) for part in restated)


def _try_template(slot: Slot) -> None:
    try:
        (slot.say or "").format(value=slot.value, name=slot.name)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"slot '{slot.name}': say={slot.say!r} cannot be filled in; it may hold {{value}} and {{name}} only"
        ) from error
