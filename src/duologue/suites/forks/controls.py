"""Agents that no scenario should let pass."""

from __future__ import annotations

from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes


class SilentAgent(AgentAdapter):
    """Answers with nothing, whatever it is told, and calls no tool."""

    repeats = True
    reports_tool_calls: bool | None = True

    @property
    def name(self) -> str:
        """What reports call it."""
        return "silent"

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """Nothing."""
        return []
