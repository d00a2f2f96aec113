"""Agents that are developed here: a draft, published versions, and the runtimes that can drive them."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.config.spec import Spec
from duologue.messages import Message
from duologue.runs.store.database.agents import no_version
from duologue.runs.store.database.definition_rows import merged, read
from duologue.runs.store.definitions import AgentDraft, SavedAgent
from duologue.runs.talk import invoke_agent
from duologue.server.access import within_policy
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.routes.connectors import ConnectorCall, ConnectorReplyAnswer, reply_fields
from duologue.server.schemas.definitions import (
    AgentAnswer,
    AgentFields,
    AgentVersionAnswer,
    FieldChangeAnswer,
    agent_fields,
    change_fields,
    version_fields,
)
from duologue.server.trust import require_trust

routes = routes_of_group("agents")
_MOST = 2**31 - 1
_Version = Annotated[int, Path(ge=1, le=_MOST, description="A published version.")]
_Before = Annotated[int, Query(ge=1, le=_MOST, description="A published version.")]
_After = Annotated[int | None, Query(ge=1, le=_MOST, description="Another one. Default: the draft.")]
_EXAMPLE = {
    "agent": {"name": "support", "model": "openai/gpt-5-mini", "prompt": "support"},
    "prompts": [{"name": "support", "system_template": "You help customers of a shoe shop. Be brief."}],
}


class PublishFields(Spec):
    """What is said of a version."""

    note: str = ""
    """Free text for people."""


class RollbackFields(Spec):
    """Which version is wanted back."""

    version: int = Field(ge=1, le=2**31 - 1)
    """A published version."""


class AgentDiff(BaseModel):
    """What differs between two versions."""

    data: list[FieldChangeAnswer]
    """The fields, by path."""


@routes.get("/agents", operation_id="list_agents", response_model=PageOf[AgentAnswer])
async def list_agents(request: Request, caller: Reader, wanted: Paging) -> Response:
    """The agents of the project, in the order in which they were created."""
    found = await caller.state.agents.list_agents(caller.project.id, limit=wanted.fetched, after=wanted.place())
    return answer(page_of(found, wanted, by_creation, agent_fields), request)


@routes.post("/agents", operation_id="create_agent", status_code=201, response_model=AgentAnswer)
async def create_agent(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=AgentFields, example=_EXAMPLE)]
) -> Response:
    """Create an agent that has no version yet. Code and programs in it need the scope ``admin``."""
    fields = read_body(AgentFields, body)
    require_trust(caller, fields)
    draft = AgentDraft.model_validate(body.without("name"))
    made = await caller.state.agents.create_agent(caller.project.id, draft, name=fields.name)
    return created(agent_fields(made), f"/api/v1/agents/{made.id}")


@routes.get("/agents/{agent_id}", operation_id="get_agent", response_model=AgentAnswer)
async def get_agent(request: Request, caller: Reader, agent_id: str) -> Response:
    """An agent: its draft, and the number of its newest version."""
    return answer(agent_fields(await _found(caller, agent_id)), request)


@routes.patch("/agents/{agent_id}", operation_id="update_agent", response_model=AgentAnswer)
async def update_agent(
    caller: Runner,
    agent_id: str,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=AgentFields, partial=True, example={"name": "support-desk"})],
) -> Response:
    """Change fields of the draft. Published versions stay as they are."""
    before = await _found(caller, agent_id)
    draft = merged(before.draft.written(), body.without("name"))
    require_trust(caller, read(AgentDraft, draft, "the agent"))
    changes = {name: value for name, value in body.items() if name != "name" or value is not None}
    made = await caller.state.agents.update_agent(
        agent_id, changes, expected=lambda saved: matching.require(agent_fields(saved))
    )
    return answer(agent_fields(caller.own(made, "Agent", agent_id)))


@routes.delete("/agents/{agent_id}", operation_id="delete_agent", status_code=204)
async def delete_agent(caller: Runner, agent_id: str, matching: IfMatch) -> Response:
    """Delete an agent that no eval uses, with its versions."""
    await _found(caller, agent_id)
    await caller.state.agents.delete_agent(agent_id, expected=lambda saved: matching.require(agent_fields(saved)))
    return nothing()


@routes.post(
    "/agents/{agent_id}/publish", operation_id="publish_agent", status_code=201, response_model=AgentVersionAnswer
)
async def publish_agent(
    caller: Runner,
    agent_id: str,
    body: Annotated[
        PlacedDict, JSON_BODY, BodyOf(model=PublishFields, example={"note": "Shorter answers."}, needed=False)
    ],
) -> Response:
    """Publish the draft as the next version, which never changes."""
    await _found(caller, agent_id)
    made = await caller.state.agents.publish_agent(agent_id, note=read_body(PublishFields, body).note)
    return created(version_fields(made), f"/api/v1/agents/{agent_id}/versions/{made.version}")


@routes.get(
    "/agents/{agent_id}/versions", operation_id="list_agent_versions", response_model=PageOf[AgentVersionAnswer]
)
async def list_agent_versions(request: Request, caller: Reader, agent_id: str, wanted: Paging) -> Response:
    """The published versions of an agent, the newest first."""
    await _found(caller, agent_id)
    before = wanted.number()
    every = await caller.state.agents.list_agent_versions(agent_id)
    found = [item for item in every if before is None or item.version < before][: wanted.fetched]
    return answer(page_of(found, wanted, lambda item: (item.version,), version_fields), request)


@routes.get(
    "/agents/{agent_id}/versions/{version}", operation_id="get_agent_version", response_model=AgentVersionAnswer
)
async def get_agent_version(request: Request, caller: Reader, agent_id: str, version: _Version) -> Response:
    """A published version of an agent."""
    agent = await _found(caller, agent_id)
    found = await caller.state.agents.get_agent_version(agent_id, version)
    if found is None:
        raise no_version(agent.name, version)
    return answer(version_fields(found), request)


@routes.post("/agents/{agent_id}/rollback", operation_id="roll_back_agent", response_model=AgentAnswer)
async def roll_back_agent(
    caller: Runner,
    agent_id: str,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=RollbackFields, example={"version": 1})],
) -> Response:
    """Make a published version the draft again. It is published like any other draft, so that history only grows."""
    await _found(caller, agent_id)
    wanted = read_body(RollbackFields, body).version
    return answer(agent_fields(await caller.state.agents.roll_back_agent(agent_id, wanted)))


@routes.post("/agents/{agent_id}/invoke", operation_id="invoke_agent", response_model=ConnectorReplyAnswer)
async def invoke_saved_agent(
    caller: Runner,
    agent_id: str,
    body: Annotated[
        PlacedDict,
        JSON_BODY,
        BodyOf(model=ConnectorCall, example={"messages": [{"role": "user", "content": "Where is my order?"}]}),
    ],
) -> Response:
    """Send messages to an agent and get its turn; its draft is taken. Nothing is stored.

    An agent that is code or a program needs the scope ``admin``.
    """
    found = await _found(caller, agent_id)
    call = read_body(ConnectorCall, body)
    require_trust(caller, found.draft)
    values = await caller.state.access.of(caller.project.id)
    async with within_policy(caller):
        reply = await invoke_agent(
            found.draft,
            caller.project.settings,
            [cast("Message", message.written()) for message in call.messages],
            thread_id=call.thread_id,
            session=values.session,
        )
    return answer(reply_fields(reply), etag=False)


@routes.get("/agents/{agent_id}/diff", operation_id="diff_agent_versions", response_model=AgentDiff)
async def diff_agent_versions(
    request: Request,
    caller: Reader,
    agent_id: str,
    before: _Before,
    after: _After = None,
) -> Response:
    """The fields that differ between two versions, or a version and the draft."""
    await _found(caller, agent_id)
    found = await caller.state.agents.diff_agent_versions(agent_id, before, after)
    return answer({"data": [change_fields(item) for item in found]}, request)


async def _found(caller: Caller, agent_id: str) -> SavedAgent:
    return caller.own(await caller.state.agents.get_agent(agent_id), "Agent", agent_id)
