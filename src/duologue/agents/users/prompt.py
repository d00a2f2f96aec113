"""The prompt for a model that plays the user, and how its answer is read.

The brief holds the situation, the persona and the goal. It has no field for the criteria of the run, so they cannot
leak into the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast, get_args

from duologue.agents.users.persona import Persona
from duologue.agents.users.utterances import LeavingReason, Speaker, SpokenTurn, last_of
from duologue.config.json_text import NoJsonError, leading_json, unfenced
from duologue.frozen import frozen
from duologue.messages import JsonValue, Message, assistant_message, system_message, user_message
from duologue.models.structured import UnreadableError

OPENING = "(Nothing has been said yet. Write your first message.)"
NO_ANSWER = "(The agent has not answered. Write what you say next.)"

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

_FORM = """\
Answer with one JSON object and nothing else:
{"message": "what you say", "done": false, "reason": null}
When you are done, "done" is true, "reason" is "goal_reached", "gave_up" or "transferred", and "message" is your \
goodbye."""

_ASSISTANT_LIKE = re.compile(
    r"\bhow (?:can|may|could) (?:i|we) (?:help|assist)\b"
    r"|\bas an? (?:ai|artificial intelligence|language model|virtual assistant)\b"
    r"|\b(?:i am|i['’]m) (?:an ai|a language model|a virtual assistant|your (?:virtual )?assistant)\b"
    r"|\b(?:can|may) (?:i|we) (?:help|assist) you with (?:anything|something|today)\b"
    r"|\banything else (?:i|we) can (?:help|assist|do)\b"
    r"|\bhappy to (?:help|assist) you\b"
    r"|\bthank you for (?:contacting|calling|reaching out)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^\s*(?:user|customer|caller|me|person)\s*:\s*", re.IGNORECASE)
_ECHO_WORDS = 6
"""From this many words on, repeating what the agent has just said is no coincidence."""


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

    def styled_persona(self) -> Persona:
        """The persona with this brief's style."""
        return self.persona.model_copy(update={"style": self.style}) if self.style else self.persona


def system_prompt(brief: Brief, part: str | None = None) -> str:
    """The part of the prompt that does not change during a conversation.

    Args:
        brief: what the user knows.
        part: instructions that replace the built-in rules for the part; the brief and the form of the answer follow
            either.
    """
    sections = [
        part or _PART,
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


def read_answer(text: str) -> UserAnswer:
    """The user's answer, in the requested form or as plain text.

    Raises:
        UnreadableError: broken JSON, or JSON without a message.
    """
    text = unfenced(text.strip())
    if not text.startswith("{"):
        return UserAnswer(message=_cleaned(text))
    try:
        value = leading_json(text)  # some models explain themselves after the object
    except NoJsonError as error:
        raise UnreadableError(f"it is not valid JSON: {error}") from error
    return _from_object(cast("dict[str, JsonValue]", value))


def problem_with(answer: UserAnswer, spoken: Sequence[SpokenTurn]) -> str | None:
    """Why a user would not say that; None if it is plausible."""
    if not answer.message:
        return None if answer.reason else "it is empty"
    if _ASSISTANT_LIKE.search(answer.message):
        return "it is what the agent would say, and you are the person who talks to the agent"
    words = _words(answer.message)
    if len(words) >= _ECHO_WORDS and words == _words(last_of(spoken, Speaker.AGENT)):
        return "it repeats what the agent has just said"
    return None


def _section(tag: str, text: str) -> str:
    return f"<{tag}>\n{text.strip()}\n</{tag}>" if text.strip() else ""


def _from_object(value: dict[str, JsonValue]) -> UserAnswer:
    message, done, reason = value.get("message"), value.get("done"), value.get("reason")
    if not isinstance(message, str):
        raise UnreadableError('the JSON object has no text in "message"')
    if done is not True:
        return UserAnswer(message=_cleaned(message))
    known: dict[object, LeavingReason] = {"gave_up": "gave_up", "transferred": "transferred"}
    return UserAnswer(message=_cleaned(message), reason=known.get(reason, "goal_reached"))


def _cleaned(text: str) -> str:
    text = _LABEL.sub("", text.strip())
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return (text[1:-1] if quoted else text).strip()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
