"""Simulated users that follow rules instead of a model: what they want, what they know, and how they say it."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator

from duologue.config.problems import listed
from duologue.config.spec import Count, Items, Share, Spec, Text


def _pattern(written: str) -> str:
    try:
        re.compile(written)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"a regular expression: {error}") from error
    return written


def _pattern_with_group(written: str) -> str:
    if re.compile(_pattern(written)).groups == 0:
        raise ValueError("a regular expression with a group around the value, such as 'gate (\\w+)'")
    return written


def _template(written: str) -> str:
    try:
        written.format(value="", name="")
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        told = "a text with no placeholders but {value} and {name}; write {{ and }} for braces"
        raise ValueError(told) from error
    return written


SpeechPattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
"""A regular expression that is searched in what the agent says; case is ignored."""
_Template = Annotated[str, Field(min_length=1), AfterValidator(_template)]


class AgendaSlot(Spec):
    """One detail that a user with an agenda knows."""

    name: Text
    """Name such as ``party size``. It decides which questions ask for the detail and how values are compared."""
    value: Text
    """The true value, and how the user says it unless ``spoken`` is given."""
    ask: Items[SpeechPattern] = ()
    """Regular expressions for further questions that ask for this detail; case is ignored."""
    say: _Template | None = None
    """The user's answer, with ``{value}`` and ``{name}``. Default: a short phrase."""
    spoken: Text | None = None
    """How the user first says the value, such as ``half past seven``. Asked again, the user says ``value``."""
    restated: Items[Annotated[str, AfterValidator(_pattern_with_group)]] = ()
    """Regular expressions, each with one group, that find this detail where the agent restates it. Times, weekdays,
    numbers of people, names, telephone numbers and e-mail addresses are found without."""

    @field_validator("name", "value")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("a text that is not blank")
        return value


class AgendaPhrases(Spec):
    """What a user with an agenda says, for other manners and languages."""

    opening: Text | None = None
    """The first words, with ``{goal}``. Default: ``Hello, I would like to {goal}.``"""
    answers: Annotated[Items[_Template], Field(min_length=1)] | None = None
    """Ways to give an answer, with ``{value}`` and ``{name}``; one is drawn at random. Default: ``{value}.``,
    ``It's {value}.`` and ``{value}, please.``"""
    offer: _Template | None = None
    """A detail that was not asked for. Default: ``The {name} is {value}.``"""
    yes: Text | None = None
    """Consent, when the agent has everything right. Default: ``Yes, please.``"""
    correction: _Template | None = None
    """When the agent restates a detail wrongly. Default: ``No, the {name} is {value}.``"""
    declines: Text | None = None
    """In place of consent, with ``confirm: false``. Default: ``No, please don't. I have changed my mind.``"""
    why: Text | None = None
    """In place of an answer, from a user who does not cooperate. Default: ``Why do you need that?``"""
    unknown: Text | None = None
    """To a question about something that the user does not know. Default: ``I don't know.``"""
    okay: Text | None = None
    """When there is nothing to say. Default: ``Okay.``"""
    insists: Text | None = None
    """When the agent considers itself done and the goal is not reached, with ``{goal}``. Default:
    ``I would still like to {goal}.``"""
    hello: Text | None = None
    """When the agent says nothing. Default: ``Hello?``"""
    gives_up: Text | None = None
    """The last words of a user who has lost patience. Default:
    ``This is getting me nowhere, I will leave it. Bye.``"""


def _as_list(value: Any) -> Any:
    """Slots by name as a list of them."""
    if not isinstance(value, dict):
        return value
    texts = TypeAdapter(dict[Text, Text], config=ConfigDict(strict=True)).validate_python(value)
    return [{"name": name, "value": text} for name, text in texts.items()]


_Slots = Annotated[
    Items[AgendaSlot], BeforeValidator(_as_list, json_schema_input_type=dict[str, str] | Items[AgendaSlot])
]


class Agenda(Spec):
    """What a user wants and knows who is played by rules: no model, no key, and repeatable with a seed."""

    goal: Text
    """What the user wants, to follow ``I would like to``, such as ``book a table``. A goal that begins with ``I`` is
    said as it is."""
    slots: _Slots = ()
    """The details that the user knows: values by name, or a list that also says how they are asked for and said."""
    opening: Text | None = None
    """The first words. Default: a sentence that states the goal."""
    patience: Count = 3
    """Consecutive unhelpful answers of the agent after which the user gives up."""
    cooperation: Share = 1.0
    """How likely the user is to volunteer a detail when the agent leaves the next step to the user, and to answer at
    once when first asked for one, 0 to 1."""
    verbosity: Literal["terse", "normal", "chatty"] = "normal"
    """``terse`` says values only; ``chatty`` volunteers a detail with each answer, if it cooperates."""
    confirm: bool = True
    """Whether the user says yes when all is right; otherwise it changes its mind and leaves."""
    closing: Text = "Thank you, bye."
    """The last words when the goal is reached."""
    success_patterns: Annotated[Items[SpeechPattern], Field(min_length=1)] | None = None
    """Regular expressions that replace the built-in ways in which an agent says that the goal is reached. Questions,
    conditions and denials do not count."""
    transfer_patterns: Annotated[Items[SpeechPattern], Field(min_length=1)] | None = None
    """The same for an agent that hands the user over."""
    question_patterns: Items[SpeechPattern] = ()
    """Regular expressions for questions, in addition to the built-in ones."""
    phrases: AgendaPhrases = AgendaPhrases()
    """The user's words, for other manners and languages."""

    @field_validator("goal")
    @classmethod
    def _is_a_goal(cls, value: str) -> str:
        if not value.strip().rstrip(".!"):
            raise ValueError("what the user wants, such as 'book a table for four'")
        return value

    @field_validator("slots")
    @classmethod
    def _are_different(cls, slots: tuple[AgendaSlot, ...]) -> tuple[AgendaSlot, ...]:
        names = [slot.name for slot in slots]
        twice = dict.fromkeys(name for name in names if names.count(name) > 1)
        if twice:
            raise ValueError(f"each name once; {listed(twice)} is there more than once")
        return slots
