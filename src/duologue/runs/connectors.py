"""Calls the agent behind a saved connector: to see whether it can be reached, or to get one turn of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from duologue.agents.http.agent import HttpAgent
from duologue.config.redaction import redacted, remember_headers, remember_url
from duologue.config.templates import expand, expand_url
from duologue.context import Context, random_uuid
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioState
from duologue.errors import DuologueError
from duologue.frozen import frozen
from duologue.http import HttpClients, HttpError, HttpRequest
from duologue.journal.events import ModelCalled, Usage
from duologue.journal.journal import Journal
from duologue.messages import Message, text_of
from duologue.models.scope import RunScope
from duologue.runs.store.definitions import Connector
from duologue.specs.agents import Agent

TEST_SECONDS = 30.0
"""That a test may take, unless the connector says otherwise."""
_SHOWN = 500
_HELLO: Message = {"role": "user", "content": "hello"}


@frozen
class ConnectorTest:
    """Whether an agent can be reached.

    Attributes:
        latency_ms: milliseconds that it took.
        response: the beginning of what came back.
        error: why it cannot be reached.
    """

    success: bool
    latency_ms: int
    response: str | None = None
    error: str | None = None


@frozen
class ConnectorReply:
    """One turn of the agent behind a connector.

    Attributes:
        latency_ms: milliseconds that it took.
        messages: of the agent and its tools.
        error: why there is none.
        token_usage: ``input`` and ``output``, if the agent reports them.
        thread_id: of the conversation.
    """

    success: bool
    latency_ms: int
    messages: Sequence[Message] = field(default_factory=tuple)
    error: str | None = None
    token_usage: dict[str, int] | None = None
    thread_id: str | None = None


async def probe_connector(connector: Connector | None, connector_id: str) -> ConnectorTest:
    """Ask the agent something harmless: ``GET /info`` of LangGraph, else one message that says hello.

    Args:
        connector: with its credentials; None for one that does not exist.
        connector_id: for the error that says so.
    """
    if connector is None:
        return ConnectorTest(success=False, latency_ms=0, error=f'Connector with id "{connector_id}" not found')
    if connector.type == "langgraph":
        return await _info(connector)
    reply = await invoke_connector(connector, connector_id, [_HELLO])
    said = "\n".join(text_of(message) for message in reply.messages)
    return ConnectorTest(
        success=reply.success,
        latency_ms=reply.latency_ms,
        response=said[:_SHOWN] if reply.success else None,
        error=reply.error,
    )


async def invoke_connector(
    connector: Connector | None, connector_id: str, messages: Sequence[Message], *, thread_id: str | None = None
) -> ConnectorReply:
    """Send messages to the agent and get its turn. System messages are not sent.

    Args:
        connector: with its credentials; None for one that does not exist.
        connector_id: for the error that says so.
        messages: the conversation so far.
        thread_id: under which the agent knows it; None for a new one.
    """
    if connector is None:
        return ConnectorReply(success=False, latency_ms=0, error=f'Connector with id "{connector_id}" not found')
    sent = [message for message in messages if message["role"] != "system"]
    if not sent:
        return ConnectorReply(success=False, latency_ms=0, error="No messages provided")
    thread, context = thread_id or random_uuid(), Context()
    began = context.clock.monotonic()

    def since() -> int:
        return round((context.clock.monotonic() - began) * 1000)

    journal = Journal("connector", clock=context.clock)
    scope = RunScope(context=context, journal=journal, who=connector.name, participant=0, call="c1")
    try:
        async with http_agent(connector.agent()) as agent:
            answer = await agent.call(
                AgentInput(
                    thread_id=thread,
                    messages=sent,
                    new_messages=sent,
                    scenario_state=ScenarioState(messages=sent),
                    scope=scope,
                )
            )
    except (DuologueError, HttpError) as error:
        return ConnectorReply(success=False, latency_ms=since(), error=redacted(str(error)), thread_id=thread)
    return ConnectorReply(
        success=True, latency_ms=since(), messages=answer, token_usage=token_usage(journal), thread_id=thread
    )


def http_agent(spec: Agent) -> HttpAgent:
    """The agent behind an endpoint, with its references to the environment expanded.

    Raises:
        ConfigurationError: a variable is not set, or a value cannot be used.
    """
    http = spec.http
    assert http is not None, "a connector is an agent behind an endpoint"
    return HttpAgent(
        expand_url(http.url),
        preset=http.preset,
        headers={name: expand(value, secret=True) for name, value in http.headers.items()},
        model=http.model,
        name=spec.name,
        timeout=spec.timeout,
        thread_header=http.thread_header,
        send=http.send,
        body=http.body,
        extra_body=http.extra_body,
        answer=http.answer,
        thread_from=http.thread_from,
        retries=http.retries,
    )


async def _info(connector: Connector) -> ConnectorTest:
    context = Context()
    began = context.clock.monotonic()
    spec = connector.agent()
    try:
        url = f"{expand_url(connector.base_url).rstrip('/')}/info"
        headers = {name: expand(value, secret=True) for name, value in connector.headers.items()}
        remember_url(url)
        remember_headers(headers)
        request = HttpRequest(url=url, method="GET", headers=headers, timeout=spec.timeout or TEST_SECONDS)
        async with HttpClients().send(request) as response:
            text, status = redacted(await response.text()), response.status
    except (DuologueError, HttpError) as error:
        taken = round((context.clock.monotonic() - began) * 1000)
        return ConnectorTest(success=False, latency_ms=taken, error=redacted(str(error)))
    taken = round((context.clock.monotonic() - began) * 1000)
    if status >= 400:
        return ConnectorTest(success=False, latency_ms=taken, error=f"HTTP {status}: {text[:200]}")
    return ConnectorTest(success=True, latency_ms=taken, response=text[:_SHOWN])


def token_usage(journal: Journal) -> dict[str, int] | None:
    """``input`` and ``output`` tokens of all models in a journal; None where none was reported."""
    calls = [entry.event for entry in journal.entries if isinstance(entry.event, ModelCalled)]
    if not calls:
        return None
    used = sum((call.usage for call in calls), Usage())
    return {"input": used.input_tokens, "output": used.output_tokens}
