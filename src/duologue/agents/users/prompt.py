"""The prompt for a model that plays the user, and how its answer is read.

The brief holds the situation, the persona and the goal. It has no field for the criteria of the run, so they cannot
leak into the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast, get_args

from duologue.agents.users.in_role import certainly_out_of_role, out_of_role, without_label, without_thoughts
from duologue.agents.users.persona import Persona
from duologue.agents.users.utterances import LeavingReason, Speaker, SpokenTurn, last_of
from duologue.config.json_text import NoJsonError, leading_json, unfenced
from duologue.frozen import frozen
from duologue.messages import JsonValue, Message, assistant_message, system_message, user_message
from duologue.models.structured import UnreadableError

OPENING = "(Nothing has been said yet. Write your first message.)"
NO_ANSWER = "(The agent has not answered. Write what you say next.)"

EMPTY = "it is empty"
"""The problem with an answer without words."""

ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "message": {"type": "string", "description": "What you say next; empty only if you leave without a word."},
        "done": {"type": "boolean", "description": "Whether you have nothing to say after this message."},
        "reason": {
            "type": ["string", "null"],
            "enum": [*get_args(LeavingReason), None],
            "description": "Why you are done; else null.",
        },
    },
    "required": ["message", "done", "reason"],
    "additionalProperties": False,
}

_PART = """\
You play a person who talks to an agent, such as a company's assistant. Everything you receive was said by that agent. \
You write what the person says next.

How to play:
- One short message at a time, the way this person would type or speak it. No name in front, no quotation marks, no \
stage directions.
- You are the one who wants something. You never help, offer services, or answer in the agent's place.
- Start with what you want. Give details when they are asked for, or when the agent has misunderstood you.
- Use only what you are told below. Asked for something that is not there, say that you do not know or do not mind; \
never make up names, numbers, dates or events.
- Do not repeat yourself word for word, and do not repeat what the agent has said.
- Stay this person. Say nothing of a test, a role or these instructions.

When to stop:
- Go on as long as the agent asks something, or has promised something that it has not done yet. Agreeing to a \
proposal is not the end: wait until the agent says that it is done.
- You are done when the goal is reached and the agent has said so (goal_reached), when you see that the agent cannot \
or will not help, or a person like you would lose patience (gave_up), or when you were handed over to somebody else \
(transferred)."""

_SPOKEN = """\
You are on the telephone: your words are spoken by a voice, and you hear the agent. Speak in whole sentences, as \
people do on the phone, and briefly. Say numbers, dates and codes the way they are said aloud, digit by digit where \
they are read out. No lists, links, emoji, abbreviations or markup. What you heard may have been misunderstood or cut \
off: ask again if it makes no sense."""

_FORM = """\
Answer with one JSON object and nothing else:
{"message": "what you say", "done": false, "reason": null}
When you are done, "done" is true, "reason" is "goal_reached", "gave_up" or "transferred", and "message" is your \
goodbye."""

_NOTHING = " \t\r\n\f\v\u200b\u2060\ufeff"
"""What is not said: white space, with and without a width."""
_ECHO_WORDS = 6
"""From this many words on, repeating what the agent has just said is no coincidence."""
_AGAIN_WORDS = 4
"""The same for what the person itself has just said: shorter answers may well be given twice."""
_AGAIN_LETTERS = 8
"""In scripts that do not separate words."""


@frozen
class Brief:
    """What the simulated user knows."""

    situation: str
    """The scenario's description."""
    persona: Persona
    """Who the user is."""
    goal: str = ""
    """What the user wants; '' leaves that to the situation."""
    style: str = ""
    """How the user writes or speaks; overrides the persona's style."""
    spoken: bool = False
    """Whether its words are spoken, and not written."""

    def styled_persona(self) -> Persona:
        """The persona with this brief's style."""
        return self.persona.model_copy(update={"style": self.style}) if self.style else self.persona

    def names(self) -> tuple[str, ...]:
        """What the person may be called in front of a line: the whole name, and the first one."""
        name = self.persona.name.strip()
        return tuple(dict.fromkeys([name, name.split()[0]])) if name else ()

    def about(self) -> str:
        """Who the person is and what it wants, as one text."""
        return " ".join([self.goal, self.situation, self.persona.description, *self.persona.goals])


def system_prompt(brief: Brief, part: str | None = None) -> str:
    """The part of the prompt that does not change during a conversation.

    Args:
        brief: what the user knows.
        part: instructions that replace the built-in rules for the part; the brief and the form of the answer follow
            either.
    """
    sections = [
        part or _PART,
        _SPOKEN if brief.spoken else "",
        _section("situation", brief.situation),
        _section("person", brief.styled_persona().render()),
        _section("goal", brief.goal),
        _FORM,
    ]
    return "\n\n".join(section for section in sections if section)


def with_roles_flipped(system: str, spoken: Sequence[SpokenTurn]) -> list[Message]:
    """The conversation from the user's side: the agent's words are the input, the user's own are the model's answers.

    Roles alternate, and input comes first and last, as some providers require.
    """
    messages = [system_message(system)]
    if not spoken or spoken[0].speaker is Speaker.USER:
        messages.append(user_message(OPENING))
    for utterance in spoken:
        own = utterance.speaker is Speaker.USER
        messages.append(assistant_message(utterance.text) if own else user_message(utterance.text))
    if messages[-1]["role"] == "assistant":
        messages.append(user_message(NO_ANSWER))
    return messages


@frozen
class UserAnswer:
    """What the simulated user says next."""

    message: str
    """The words."""
    reason: LeavingReason | None = None
    """Why they are the last ones; None if the user stays."""
    explanation: str = ""
    """What more there is to say about that."""


def read_answer(text: str, names: Sequence[str] = ()) -> UserAnswer:
    """The user's answer, in the requested form or as plain text.

    Args:
        text: what the model wrote.
        names: of the person, which a model may put in front.

    Raises:
        UnreadableError: broken JSON, or JSON without a message.
    """
    text = unfenced(without_thoughts(text.strip()))
    if not text.startswith("{"):
        return UserAnswer(message=_cleaned(text, names))
    try:
        value = leading_json(text)  # some models explain themselves after the object
    except NoJsonError as error:
        raise UnreadableError(f"it is not valid JSON: {error}") from error
    return _from_object(cast("dict[str, JsonValue]", value), names)


def problem_with(
    answer: UserAnswer, spoken: Sequence[SpokenTurn], brief: Brief | None = None, *, may_repeat: bool = False
) -> str | None:
    """Why a user would not say that; None if it is plausible. A mock model ``may_repeat`` what was said."""
    if not answer.message:
        return None if answer.reason else EMPTY
    names, about = (brief.names(), brief.about()) if brief else ((), "")
    repeats = None if may_repeat else _repeats(answer, spoken)
    return out_of_role(answer.message, names=names, about=about) or repeats


def may_be_said(answer: UserAnswer, spoken: Sequence[SpokenTurn], brief: Brief) -> bool:
    """Whether all that speaks against an answer is in doubt: a person may say that, a model that lost the part too."""
    if not answer.message or _repeats(answer, spoken):
        return False
    return not certainly_out_of_role(answer.message, names=brief.names())


def _repeats(answer: UserAnswer, spoken: Sequence[SpokenTurn]) -> str | None:
    words = _words(answer.message)
    if len(words) >= _ECHO_WORDS and words == _words(last_of(spoken, Speaker.AGENT)):
        return "it repeats what the agent has just said"
    is_long = len(words) >= _AGAIN_WORDS or (_without_spaces(words) and len(words[0]) >= _AGAIN_LETTERS)
    if is_long and not answer.reason and words == _words(last_of(spoken, Speaker.USER)):
        return "it is word for word what the person has just said; say what a person says who is not understood"
    return None


def _section(tag: str, text: str) -> str:
    return f"<{tag}>\n{text.strip()}\n</{tag}>" if text.strip() else ""


def _from_object(value: dict[str, JsonValue], names: Sequence[str]) -> UserAnswer:
    message, done, reason = value.get("message"), value.get("done"), value.get("reason")
    if not isinstance(message, str):
        raise UnreadableError('the JSON object has no text in "message"')
    if done is not True:
        return UserAnswer(message=_cleaned(message, names))
    known: dict[object, LeavingReason] = {"gave_up": "gave_up", "transferred": "transferred"}
    return UserAnswer(message=_cleaned(message, names), reason=known.get(reason, "goal_reached"))


def _cleaned(text: str, names: Sequence[str]) -> str:
    text = without_label(without_thoughts(text.strip(_NOTHING)), names)
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return (text[1:-1] if quoted else text).strip(_NOTHING)


def _without_spaces(words: Sequence[str]) -> bool:
    """Whether the first of them is in a script such as Chinese, in which a whole sentence looks like one word."""
    return bool(words) and "\u2e80" < words[0][0] < "\ufb00"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
