"""Agents that no scenario should let pass, and the one that every scenario should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes
from duologue.messages import Message, text_of
from duologue.specs.scenario import SeedMessage
from duologue.suites.runner.script import seed_message

AGREEMENT = (
    "Yes, of course, you are absolutely right. I have done that for you: everything is confirmed, completed and taken "
    "care of. Thank you, you are very welcome, and I apologise for any inconvenience."
)
"""What the agent says that agrees with everything."""


class _Control(AgentAdapter):
    """Keeps nothing and calls no tool."""

    repeats: ClassVar[bool] = True
    reports_tool_calls: bool | None = True

    @property
    def name(self) -> str:
        """What reports call it."""
        return type(self).__name__.removesuffix("Agent").lower()


class SilentAgent(_Control):
    """Answers with nothing, whatever it is told, and calls no tool."""

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """Nothing."""
        return []


class AgreeingAgent(_Control):
    """Agrees with everything, says that it is done, and does nothing."""

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """Consent."""
        return AGREEMENT


class EchoingAgent(_Control):
    """Says again what the user has said last."""

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The words of the user."""
        said = next((text_of(item) for item in reversed(input.shared_messages) if item["role"] == "user"), "")
        return said or []


class OracleAgent(_Control):
    """Says what the scenario has written for an agent that does it right.

    Args:
        messages: of the script: answers, and tool calls with their results before the answer that they belong to.
    """

    def __init__(self, messages: Sequence[SeedMessage]) -> None:
        self._answers = answers_of(messages)

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The next answer; nothing after the last."""
        said = sum(_ends_answer(item) for item in input.shared_messages)
        return list(self._answers[said]) if said < len(self._answers) else []


def answers_of(messages: Sequence[SeedMessage]) -> list[list[Message]]:
    """The messages of a script, answer by answer."""
    answers: list[list[Message]] = [[]]
    for spec in messages:
        message = seed_message(spec, spec.content or "")
        answers[-1].append(message)
        if _ends_answer(message):
            answers.append([])
    return [answer for answer in answers if answer]


def _ends_answer(message: Message) -> bool:
    return message["role"] == "assistant" and not message.get("tool_calls")
