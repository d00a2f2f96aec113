"""Agents whose runs are continued from the middle."""

from __future__ import annotations

from duologue.conversation.adapter import AgentAdapter, AgentInput


class Keeper(AgentAdapter):
    """An agent that is given everything with each call. ``seen`` has what it was given."""

    resumable = True
    seen: list[list[str]] = []  # noqa: RUF012 - one for all of its objects

    async def call(self, input: AgentInput) -> str:
        said = [str(message.get("content")) for message in input.messages]
        self.seen.append(said)
        return f"heard {len(said)}"


class Counter(AgentAdapter):
    """An agent with a memory of its own."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def call(self, input: AgentInput) -> str:
        self.heard.append(input.last_new_user_message_str())
        return f"{len(self.heard)}: {self.heard[-1]}"
