"""Connectors: the saved addresses of agents, tried out and called."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.config.spec import Items, Spec, Text
from duologue.frozen import changed
from duologue.messages import Message
from duologue.runs.connectors import ConnectorReply, ConnectorTest, invoke_connector, probe_connector
from duologue.runs.store.database.definition_rows import connector_of
from duologue.runs.store.definitions import CONNECTOR_TYPES, Connector
from duologue.server.access import within_policy
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.schemas.cases import SentMessage
from duologue.server.schemas.definitions import ConnectorAnswer, ConnectorFields, connector_fields

routes = routes_of_group("connectors")
_EXAMPLE = {
    "name": "support-agent",
    "type": "http",
    "base_url": "https://agent.example.com/chat",
    "headers": {"Authorization": "Bearer ${SUPPORT_AGENT_KEY}"},
    "config": {"timeout": 30},
}


class ConnectorTypeAnswer(BaseModel):
    """A type of connectors."""

    type: str
    """Its name."""
    description: str
    """What it is for."""


class ConnectorTypes(BaseModel):
    """The types of connectors."""

    data: list[ConnectorTypeAnswer]
    """All of them."""


class ConnectorTestAnswer(BaseModel):
    """Whether an agent can be reached."""

    success: bool
    """Whether it answered."""
    latency_ms: int
    """Milliseconds that it took."""
    response: str | None
    """The beginning of what came back."""
    error: str | None
    """Why it cannot be reached."""


class ConnectorCall(Spec):
    """What is sent to an agent."""

    messages: Items[SentMessage] = Field(min_length=1)
    """The conversation so far; the agent is asked for its next turn."""
    thread_id: Text | None = None
    """Under which the agent knows the conversation. Default: a new one."""


class ConnectorReplyAnswer(BaseModel):
    """One turn of an agent."""

    success: bool
    """Whether it answered."""
    latency_ms: int
    """Milliseconds that it took."""
    messages: list[dict[str, Any]]
    """Of the agent and its tools."""
    error: str | None
    """Why there are none."""
    token_usage: dict[str, int] | None
    """``input`` and ``output``, if the agent reports them."""
    thread_id: str | None
    """Of the conversation."""


@routes.get("/connector-types", operation_id="list_connector_types", response_model=ConnectorTypes)
async def list_connector_types(request: Request, caller: Reader) -> Response:
    """The types of connectors that there are."""
    types = [{"type": str(name), "description": told} for name, told in CONNECTOR_TYPES.items()]
    return answer({"data": types}, request)


@routes.get("/connectors", operation_id="list_connectors", response_model=PageOf[ConnectorAnswer])
async def list_connectors(request: Request, caller: Reader, wanted: Paging) -> Response:
    """The connectors of the project, without their credentials."""
    found = await caller.state.definitions.list_connectors(
        caller.project.id, limit=wanted.fetched, after=wanted.place()
    )
    return answer(page_of(found, wanted, by_creation, connector_fields), request)


@routes.post("/connectors", operation_id="create_connector", status_code=201, response_model=ConnectorAnswer)
async def create_connector(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ConnectorFields, example=_EXAMPLE)]
) -> Response:
    """Create a connector. A credential that is written out is kept, and never shown again."""
    fields = read_body(ConnectorFields, body)
    made = await caller.state.definitions.create_connector(
        caller.project.id,
        name=fields.name,
        type=fields.type,
        base_url=fields.base_url,
        headers=fields.headers,
        config=fields.config,
    )
    return created(connector_fields(made), f"/api/v1/connectors/{made.id}")


@routes.post("/connectors/probe", operation_id="probe_connector", response_model=ConnectorTestAnswer)
async def probe_unsaved_connector(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ConnectorFields, example=_EXAMPLE)]
) -> Response:
    """Ask the agent behind a connector that is not saved something, to see whether it can be reached."""
    fields = read_body(ConnectorFields, body)
    connector = changed(connector_of(fields.model_dump()), project_id=caller.project.id)
    async with within_policy(caller):
        return _tested(await probe_connector(connector, ""))


@routes.get("/connectors/{connector_id}", operation_id="get_connector", response_model=ConnectorAnswer)
async def get_connector(request: Request, caller: Reader, connector_id: str) -> Response:
    """A connector, without its credentials."""
    return answer(connector_fields(await _found(caller, connector_id)), request)


@routes.patch("/connectors/{connector_id}", operation_id="update_connector", response_model=ConnectorAnswer)
async def update_connector(
    caller: Runner,
    connector_id: str,
    matching: IfMatch,
    body: Annotated[
        PlacedDict,
        JSON_BODY,
        BodyOf(model=ConnectorFields, partial=True, example={"headers": {"Authorization": "***", "X-Team": "shop"}}),
    ],
) -> Response:
    """Change the fields that are named. A header with the value ``***`` keeps its value."""
    await _found(caller, connector_id)
    made = await caller.state.definitions.update_connector(
        connector_id, body, expected=lambda saved: matching.require(connector_fields(saved))
    )
    return answer(connector_fields(caller.own(made, "Connector", connector_id)))


@routes.delete("/connectors/{connector_id}", operation_id="delete_connector", status_code=204)
async def delete_connector(caller: Runner, connector_id: str, matching: IfMatch) -> Response:
    """Delete a connector that no eval uses."""
    await _found(caller, connector_id)
    await caller.state.definitions.delete_connector(
        connector_id, expected=lambda saved: matching.require(connector_fields(saved))
    )
    return nothing()


@routes.post("/connectors/{connector_id}/test", operation_id="test_connector", response_model=ConnectorTestAnswer)
async def test_connector(caller: Runner, connector_id: str) -> Response:
    """Ask the agent behind a connector something, to see whether it can be reached."""
    await _found(caller, connector_id)
    async with within_policy(caller):
        return _tested(await caller.service.test_connector(connector_id))


@routes.post("/connectors/{connector_id}/invoke", operation_id="invoke_connector", response_model=ConnectorReplyAnswer)
async def invoke_saved_connector(
    caller: Runner,
    connector_id: str,
    body: Annotated[
        PlacedDict,
        JSON_BODY,
        BodyOf(model=ConnectorCall, example={"messages": [{"role": "user", "content": "Where is my order?"}]}),
    ],
) -> Response:
    """Send messages to the agent behind a connector and get its turn. Nothing is stored."""
    await _found(caller, connector_id)
    call = read_body(ConnectorCall, body)
    connector = await caller.state.definitions.connector_with_credentials(connector_id)
    sent = [cast("Message", message.written()) for message in call.messages]
    async with within_policy(caller):
        reply = await invoke_connector(connector, connector_id, sent, thread_id=call.thread_id)
    return answer(reply_fields(reply), etag=False)


def reply_fields(reply: ConnectorReply) -> dict[str, Any]:
    """One turn of an agent as it is answered."""
    return {
        "success": reply.success,
        "latency_ms": reply.latency_ms,
        "messages": list(reply.messages),
        "error": reply.error,
        "token_usage": reply.token_usage,
        "thread_id": reply.thread_id,
    }


def _tested(test: ConnectorTest) -> Response:
    fields = {
        "success": test.success,
        "latency_ms": test.latency_ms,
        "response": test.response,
        "error": test.error,
    }
    return answer(fields, etag=False)


async def _found(caller: Caller, connector_id: str) -> Connector:
    return caller.own(await caller.state.definitions.get_connector(connector_id), "Connector", connector_id)
