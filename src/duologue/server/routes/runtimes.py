"""Runtimes: which can drive an agent, and whether one reaches it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.config.access import using
from duologue.config.placed_json import at, refused
from duologue.config.problems import PlacedDict, join
from duologue.config.redaction import redacted
from duologue.config.spec import JsonObject, Name, Spec
from duologue.errors import Problem, SuiteError
from duologue.frozen import changed
from duologue.runs.store.database.runtime_rules import suite_of
from duologue.runs.store.definitions import SavedAgent
from duologue.runtimes.base import AgentSnapshot, RunMode
from duologue.runtimes.registry import (
    DEFAULT_KIND,
    RuntimeConfigError,
    all_runtimes,
    config_of,
    default_runtime_for_platform,
    find_runtime,
    runtimes_for_platform,
)
from duologue.server.auth import Reader, Runner, ServerReader
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import answer
from duologue.server.trust import require_trust_of_runtime
from duologue.suites.runtime_snapshots import agent_snapshot

routes = routes_of_group("runtimes")
_Mode = Annotated[
    RunMode | None, Query(description="Only those with which agent and user write, or speak. Default: both.")
]


class RuntimeAnswer(BaseModel):
    """A runtime that can drive an agent."""

    kind: str
    """What configurations name it as."""
    label: str
    """Its name, for people."""
    description: str
    """What it does."""
    is_default: bool
    """Whether it is taken where none is named. One for voice is, only if there is none for text."""


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
async def list_agent_runtimes(request: Request, caller: Reader, agent_id: str, mode: _Mode = None) -> Response:
    """The runtimes that can drive an agent, always in the same order."""
    agent = caller.own(await caller.state.agents.get_agent(agent_id), "Agent", agent_id)
    platform = agent.draft.agent.platform
    found = runtimes_for_platform(platform, mode)
    modes = [runtime.MODE for runtime in found]
    usual = (
        default_runtime_for_platform(platform, RunMode.TEXT if RunMode.TEXT in modes else modes[0]) if found else None
    )
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
    if fields.mode not in set(RunMode):
        raise refused("mode", f"found '{fields.mode[:40]}'; expected text or voice")
    values = await caller.state.access.of(caller.project.id)
    snapshot = snapshot_of(agent)
    with using(values.access):
        try:
            wanted = fields.runtime or {"kind": str(DEFAULT_KIND)}
            runtime, config = find_runtime(wanted, snapshot, fields.mode, values.session)
        except RuntimeConfigError as error:
            problems = [Problem(at(_path(item.path)), item.message) for item in error.problems]
            raise SuiteError(str(error), problems) from error
        result = await runtime.test_connection(runtime_config=config, agent=snapshot, session=values.session)
    return answer({"ok": result.ok, "message": redacted(result.message)}, etag=False)


def _path(parts: Iterable[str | int]) -> str:
    path = "runtime"
    for part in parts:
        path = join(path, part)
    return path


def snapshot_of(saved: SavedAgent) -> AgentSnapshot:
    """The draft of an agent, as runtimes get it."""
    return changed(agent_snapshot(suite_of(saved.draft), saved.draft.agent), agent_id=saved.id, version=saved.version)
