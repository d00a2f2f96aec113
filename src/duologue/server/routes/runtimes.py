"""Runtimes: which can drive an agent, and whether one reaches it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.config.spec import JsonObject, Name, Spec
from duologue.errors import ConfigurationError
from duologue.runs.store.definitions import SavedAgent
from duologue.runtimes.base import AgentSnapshot, EvalRuntime, RunMode
from duologue.runtimes.registry import (
    all_runtimes,
    config_of,
    default_runtime_for_platform,
    get_runtime,
    read_runtime_config,
    runtimes_for_platform,
)
from duologue.server.access import within_policy
from duologue.server.auth import Reader, Runner, ServerReader
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body, refused
from duologue.server.preconditions import answer
from duologue.server.trust import require_trust_of_runtime
from duologue.specs.suite import find_named

routes = routes_of_group("runtimes")
_Mode = Annotated[RunMode, Query(description="Whether agent and user write or speak.")]


class RuntimeAnswer(BaseModel):
    """A runtime that can drive an agent."""

    kind: str
    """What configurations name it as."""
    label: str
    """Its name, for people."""
    description: str
    """What it does."""
    is_default: bool
    """Whether it is taken where none is named."""


class RuntimesAnswer(BaseModel):
    """The runtimes that can drive an agent."""

    data: list[RuntimeAnswer]
    """In the order in which people are shown them."""


class RuntimeTypeAnswer(BaseModel):
    """A runtime, with what can be configured."""

    mode: RunMode
    """Whether agent and user write or speak."""
    kind: str
    """What configurations name it as."""
    label: str
    """Its name, for people."""
    description: str
    """What it does."""
    mocks_tools: bool
    """Whether tools of the agent answer what the test case says."""
    parameters: dict[str, Any]
    """JSON schema of its configuration."""


class RuntimeTypes(BaseModel):
    """All runtimes."""

    data: list[RuntimeTypeAnswer]
    """In the order in which people are shown them."""


class RuntimeTestFields(Spec):
    """An agent, and how it is to be reached."""

    agent_id: Name
    """A saved agent; its draft is taken."""
    mode: str = "text"
    """``text`` or ``voice``."""
    runtime: JsonObject | None = None
    """Configuration of the runtime. Default: ``{kind: native}``."""


class RuntimeTestAnswer(BaseModel):
    """Whether an agent can be reached."""

    ok: bool
    """Whether it can."""
    message: str
    """How that was found out, or why it cannot."""


@routes.get("/runtimes", operation_id="list_runtimes", response_model=RuntimeTypes)
async def list_runtimes(request: Request, caller: ServerReader) -> Response:
    """All runtimes, each with the JSON schema of its configuration."""
    found = [
        {
            "mode": str(runtime.MODE),
            "kind": str(runtime.KIND),
            "label": runtime.LABEL,
            "description": runtime.DESCRIPTION,
            "mocks_tools": runtime.MOCKS_TOOLS,
            "parameters": config_of(runtime).model_json_schema(),
        }
        for runtime in all_runtimes()
    ]
    return answer({"data": found}, request)


@routes.get("/agents/{agent_id}/runtimes", operation_id="list_agent_runtimes", response_model=RuntimesAnswer)
async def list_agent_runtimes(request: Request, caller: Reader, agent_id: str, mode: _Mode = RunMode.TEXT) -> Response:
    """The runtimes that can drive an agent, always in the same order."""
    agent = caller.own(await caller.state.agents.get_agent(agent_id), "Agent", agent_id)
    platform = agent_snapshot(agent).platform
    found = runtimes_for_platform(platform, mode)
    usual = default_runtime_for_platform(platform, mode) if found else None
    data = [
        {
            "kind": str(runtime.KIND),
            "label": runtime.LABEL,
            "description": runtime.DESCRIPTION,
            "is_default": runtime is usual,
        }
        for runtime in found
    ]
    return answer({"data": data}, request)


@routes.post("/evals/test-runtime", operation_id="test_runtime", response_model=RuntimeTestAnswer)
async def test_runtime(
    caller: Runner,
    body: Annotated[
        PlacedDict,
        JSON_BODY,
        BodyOf(
            model=RuntimeTestFields,
            example={
                "agent_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
                "mode": "text",
                "runtime": {"kind": "custom_endpoint", "url": "https://agent.example.com/turn"},
            },
        ),
    ],
) -> Response:
    """Try whether a runtime reaches an agent."""
    fields = read_body(RuntimeTestFields, body)
    agent = caller.own(await caller.state.agents.get_agent(fields.agent_id), "Agent", fields.agent_id)
    require_trust_of_runtime(caller, fields.runtime)
    snapshot = agent_snapshot(agent)
    runtime, config = _chosen(fields, snapshot)
    async with within_policy(caller):
        try:
            runtime.validate_config(runtime_config=config, agent=snapshot, session=None)
        except ValueError as error:
            raise refused("runtime", str(error)) from error
        result = await runtime.test_connection(runtime_config=config, agent=snapshot, session=None)
    return answer({"ok": result.ok, "message": result.message}, etag=False)


def _chosen(fields: RuntimeTestFields, agent: AgentSnapshot) -> tuple[EvalRuntime, BaseModel]:
    if fields.mode not in set(RunMode):
        raise refused("mode", f"found '{fields.mode[:40]}'; expected text or voice")
    try:
        config = read_runtime_config(fields.runtime, fields.mode)
    except ConfigurationError as error:
        raise refused("runtime", str(error)) from error
    kind = str(getattr(config, "kind", ""))
    try:
        runtime = get_runtime(fields.mode, kind)
    except KeyError as error:
        raise refused("runtime.kind", str(error.args[0])) from error
    if not runtime.supported_for_platform(agent.platform):
        raise refused("runtime.kind", f"'{kind}' runs no agents of the platform {agent.platform or 'none'}")
    return runtime, config


def agent_snapshot(agent: SavedAgent) -> AgentSnapshot:
    """The draft of an agent, as runtimes get it."""
    draft = agent.draft
    prompt = find_named(draft.prompts, draft.agent.prompt) if draft.agent.prompt else next(iter(draft.prompts), None)
    return AgentSnapshot(
        agent_id=agent.id,
        agent=draft.agent,
        endpoint_url=draft.agent.http.url if draft.agent.http else None,
        system_prompt=prompt.system_template if prompt is not None else None,
        tools=[tool.model_dump(mode="json") for tool in draft.tools] or None,
        mode="endpoint" if draft.agent.http else "platform",
        model=draft.agent.model,
        version=agent.version,
    )
