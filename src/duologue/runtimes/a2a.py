"""An agent at an address that speaks the A2A protocol (extra ``a2a``): each test case is a conversation of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel

from duologue.agents.tools.a2a_client import A2aClient, data_in
from duologue.agents.tools.call import ToolFault
from duologue.agents.tools.web import Web
from duologue.config.redaction import secrets_of_headers
from duologue.messages import text_of
from duologue.runtimes.base import RuntimeRunArgs, RuntimeSession, TextRuntimeKind
from duologue.runtimes.over_http import HttpRuntimeConfig, UrlRuntimeBase
from duologue.runtimes.text import AgentReply, AgentTurn, Said

if TYPE_CHECKING:
    from a2a.types import Part

_LONGER = 5.0
"""Seconds that the client waits longer than the caller, whose error says what was sent."""


class A2aRuntimeConfig(HttpRuntimeConfig):
    """An agent that speaks the A2A protocol."""

    kind: Literal["a2a"] = "a2a"
    """Always ``a2a``. The URL is that of the agent, or of its card (``….json``)."""


@dataclass
class _Talk:
    """A conversation with an agent."""

    client: A2aClient
    web: Web
    context_id: str = ""
    task_id: str = ""


class A2aRuntime(UrlRuntimeBase[_Talk]):
    """Sends what the user says as messages of one conversation."""

    KIND: ClassVar[str] = TextRuntimeKind.A2A
    LABEL: ClassVar[str] = "A2A"
    DESCRIPTION: ClassVar[str] = "An agent that speaks the A2A protocol"
    CONFIG: ClassVar[type[BaseModel] | None] = A2aRuntimeConfig

    async def build_text_agent_config(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> _Talk:
        """A client; the agent's card is fetched when it is first asked."""
        reached = self.reached(runtime_config, args)
        web, headers = Web(trust_private=reached.trust_private), reached.headers
        client = A2aClient(
            self.LABEL,
            reached.url,
            web=web,
            headers=lambda: (dict(headers), list(secrets_of_headers(headers.values()))),
            seconds=reached.seconds + _LONGER,
        )
        await client.prepare()
        return _Talk(client=client, web=web)

    async def do_agent_turn(self, agent_config: _Talk, turn: AgentTurn) -> Said | AgentReply:
        """Send what the user has said, and wait for the answer."""
        talk = agent_config
        said = "\n".join(text_of(message) for message in turn.input.new_messages if message["role"] == "user")
        if not said:
            raise turn.failure("a conversation with an A2A agent begins with the user")
        try:
            answer = await talk.client.say(said, context_id=talk.context_id, task_id=talk.task_id)
        except ToolFault as fault:
            private = "not a public address" in str(fault)
            hint = "; set allow_private_addresses to true if it is meant to be" if private else ""
            raise turn.failure(f"{str(fault).removeprefix(f'tool {self.LABEL}: ')}{hint}") from fault
        talk.context_id, talk.task_id = answer.context_id or talk.context_id, answer.task_id
        return _words(answer.parts)

    async def close_text_agent(self, agent_config: _Talk) -> None:
        """Close the connections."""
        await agent_config.web.aclose()


def _words(parts: Sequence[Part]) -> str:
    """The texts of an answer; its structured data where it has none."""
    texts = [part.text for part in parts if part.HasField("text")]
    return "\n".join(texts) or "\n".join(json.dumps(value, ensure_ascii=False) for value in data_in(parts))
