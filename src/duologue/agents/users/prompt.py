"""What a model is told to play the user: the brief, the rules of the part, the conversation with roles flipped.

The brief holds the situation, the persona and the goal. What the run is judged by is no part of it, and has no way in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from duologue.agents.users.persona import Persona
from duologue.agents.users.utterances import Speaker, Utterance
from duologue.messages import Message, assistant_message, system_message, user_message

OPENING = "(Nothing has been said yet. Write your first message.)"
NO_ANSWER = "(The agent has not answered. Write what you say next.)"

REASONS = ("goal_reached", "gave_up", "transferred")

ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "message": {"type": "string", "description": "What you say next; empty only if you leave without a word."},
        "done": {"type": "boolean", "description": "Whether you have nothing to say after this message."},
        "reason": {"type": ["string", "null"], "enum": [*REASONS, None], "description": "Why you are done; else null."},
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


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What the simulated user knows.

    Attributes:
        situation: the scenario's description.
        persona: who the user is.
        goal: what the user wants; '' leaves that to the situation.
        style: how the user writes or speaks, over the persona's style.
    """

    situation: str
    persona: Persona
    goal: str = ""
    style: str = ""

    def played_by(self) -> Persona:
        """The persona with this brief's style."""
        return self.persona.model_copy(update={"style": self.style}) if self.style else self.persona


def system_prompt(brief: Brief, part: str | None = None) -> str:
    """Everything that does not change during a conversation.

    Args:
        brief: what the user knows.
        part: how to play, in place of the rules of this module; the brief and the form of the answer follow either.
    """
    sections = [
        part or _PART,
        _section("situation", brief.situation),
        _section("person", brief.played_by().render()),
        _section("goal", brief.goal),
        _FORM,
    ]
    return "\n\n".join(section for section in sections if section)


def flipped(system: str, heard: Sequence[Utterance]) -> list[Message]:
    """The conversation from the user's side: the agent's words arrive as input, the user's own are the model's.

    Roles alternate, and input comes first and last, as some providers insist.
    """
    messages = [system_message(system)]
    if not heard or heard[0].speaker is Speaker.USER:
        messages.append(user_message(OPENING))
    for utterance in heard:
        own = utterance.speaker is Speaker.USER
        messages.append(assistant_message(utterance.text) if own else user_message(utterance.text))
    if messages[-1]["role"] == "assistant":
        messages.append(user_message(NO_ANSWER))
    return messages


def asked_again(messages: Sequence[Message], answer: str, problem: str) -> list[Message]:
    """The same question with the answer that could not be used, and why."""
    return [
        *messages,
        assistant_message(answer or "(nothing)"),
        user_message(f"(This cannot be used: {problem}. Write the person's next message, in the form asked for.)"),
    ]


def _section(tag: str, text: str) -> str:
    return f"<{tag}>\n{text.strip()}\n</{tag}>" if text.strip() else ""
