"""What a model that plays the user has answered, and whether a user could have said it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from duologue.agents.users.utterances import Speaker, Utterance, last_of
from duologue.config.json_text import NoJsonError, leading_json, unfenced

Reason = Literal["goal_reached", "gave_up", "transferred"]

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
"""From this many words on, saying what the agent has just said is no coincidence."""


@dataclass(frozen=True, kw_only=True)
class UserAnswer:
    """What the simulated user says, and why it is the last thing, if it is."""

    message: str
    reason: Reason | None = None


class UnreadableAnswerError(ValueError):
    """The answer begins like the form that was asked for, and is not it."""


def read_answer(text: str) -> UserAnswer:
    """The answer, in the form that was asked for or as plain text.

    Raises:
        UnreadableAnswerError: it is broken JSON, or JSON without a message.
    """
    text = unfenced(text.strip())
    if not text.startswith("{"):
        return UserAnswer(message=_cleaned(text))
    try:
        # What follows the object is of no interest: some models explain themselves.
        value = leading_json(text)
    except NoJsonError as error:
        raise UnreadableAnswerError(f"it is not valid JSON: {error}") from error
    return _from_object(cast("dict[str, object]", value))


def problem_with(answer: UserAnswer, heard: Sequence[Utterance]) -> str | None:
    """Why a user would not say that; None if it will do."""
    if not answer.message:
        return None if answer.reason else "it is empty"
    if _ASSISTANT_LIKE.search(answer.message):
        return "it is what the agent would say, and you are the person who talks to the agent"
    words = _words(answer.message)
    if len(words) >= _ECHO_WORDS and words == _words(last_of(heard, Speaker.AGENT)):
        return "it repeats what the agent has just said"
    return None


def _from_object(value: dict[str, object]) -> UserAnswer:
    message, done, reason = value.get("message"), value.get("done"), value.get("reason")
    if not isinstance(message, str):
        raise UnreadableAnswerError('the JSON object has no text in "message"')
    if done is not True:
        return UserAnswer(message=_cleaned(message))
    known: dict[object, Reason] = {"gave_up": "gave_up", "transferred": "transferred"}
    return UserAnswer(message=_cleaned(message), reason=known.get(reason, "goal_reached"))


def _cleaned(text: str) -> str:
    text = _LABEL.sub("", text.strip())
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return (text[1:-1] if quoted else text).strip()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
