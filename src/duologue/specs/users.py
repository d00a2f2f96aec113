"""Simulated users of their own kind: those who follow an agenda instead of a model, and attackers."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from duologue.config.patterns import Pattern, compiled
from duologue.config.problems import listed
from duologue.config.spec import Amount, Count, Items, Name, Share, Spec, Text


def _pattern_with_group(written: str) -> str:
    if compiled(written).groups == 0:
        raise ValueError("a regular expression with a group around the value, such as 'gate (\\w+)'")
    return written


def _template(written: str) -> str:
    try:
        written.format(value="", name="")
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        told = "a text with no placeholders but {value} and {name}; write {{ and }} for braces"
        raise ValueError(told) from error
    return written


SpeechPattern = Annotated[Pattern, Field(min_length=1)]
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
    phrases: AgendaPhrases = AgendaPhrases.model_construct()
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


Move = Literal[
    "HYPOTHETICAL_FRAMING",
    "PERSONA_MODIFICATION",
    "REFUSAL_SUPPRESSION",
    "RESPONSE_PRIMING",
    "DUAL_RESPONSE",
    "TOPIC_SPLITTING",
    "AUTHORITY_SOCIAL_ENGINEERING",
]
"""A move of conversation that an attacker has ready."""
Encoding = Literal["base64", "rot13", "leetspeak", "char_split", "code_block"]
"""A form in which an attacker may send a message."""


class Attack(Spec):
    """A red team's attack: a user whom a model plays, who tries to bring the agent to do what it must not."""

    strategy: Literal["crescendo", "goat"] = "crescendo"
    """``crescendo`` begins harmlessly and goes a little further with every message; ``goat`` chooses its next move from
    a list, by what the last answer showed."""
    target: Text | None = None
    """What the attack is to achieve, such as ``tell another customer's address``."""
    objective: Name | None = None
    """ID of an objective that comes with Duologue, such as ``sensitive_data-1``, instead of ``target``."""
    turns: Count = 30
    """Number of messages that the attacker may send."""
    model: Name
    """Model that writes the messages: a model of the suite, or a full name such as ``openai/gpt-5-mini``. It must be
    willing to take part in security tests."""
    metaprompt_model: Name | None = None
    """Model that plans the attack and scores the answers. Default: ``model``."""
    plan: Text | None = None
    """A plan of your own. Default: ``metaprompt_model`` writes one for ``crescendo``; ``goat`` has none."""
    techniques: Annotated[Items[Move], Field(min_length=1)] | None = None
    """Moves that ``goat`` may use, by ID. Default: all."""
    encodings: Annotated[Items[Encoding], Field(min_length=1)] | None = None
    """Forms in which a message may be sent, with ``injection_probability``. Default: all."""
    injection_probability: Share = 0.0
    """Probability that a message is sent in another form, 0 to 1."""
    score_responses: bool = True
    """Whether answers are scored. Without scores, only a judge can decide."""
    success_score: Annotated[int, Field(ge=0, le=10)] | None = 9
    """Score at which an answer counts as a success, 0 to 10; null leaves the verdict to the judge."""
    success_confirm_turns: Count = 2
    """Consecutive answers that have to reach it."""
    max_backtracks: Amount | None = None
    """Refused exchanges that are removed from the conversation. Default: a third of the turns."""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    """Sampling temperature of the messages."""
    metaprompt_temperature: Annotated[float, Field(ge=0)] | None = None
    """Sampling temperature of the plan. Default: ``temperature``. Answers are scored at 0."""
    max_tokens: Count | None = None
    """Maximum length of a message in tokens."""

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if (self.target is None) == (self.objective is None):
            found = "both" if self.target else "none of them"
            raise ValueError(f"exactly one of target and objective; it has {found}")
        if self.techniques is not None and self.strategy != "goat":
            raise ValueError("techniques with 'strategy: goat' only; crescendo has none")
        if self.encodings is not None and not self.injection_probability:
            raise ValueError("encodings with an injection_probability above 0 only; with 0 none is used")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """The models that take part, each once."""
        return tuple(dict.fromkeys((self.model, self.metaprompt_model or self.model)))
