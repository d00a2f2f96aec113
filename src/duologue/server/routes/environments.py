"""Where versions of agents are deployed to, whether they may be, and what was deployed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.errors import NotFoundError
from duologue.runs.store.database.environments import Environments
from duologue.runs.store.releases import Deployment, Environment, EnvironmentSpec
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body, references
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.schemas.releases import (
    DeploymentAnswer,
    DeploymentFields,
    DeploymentPreview,
    EnvironmentAnswer,
    GateAnswer,
    NewDeploymentAnswer,
    deployment_fields,
    environment_fields,
    gate_fields,
)

routes = routes_of_group("environments")
_EXAMPLE = {
    "name": "production",
    "eval_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "webhook_url": "https://deploy.example.com/hooks/shop",
    "headers": {"Authorization": "Bearer ${DEPLOY_TOKEN}"},
    "signing_secret": "DEPLOY_SIGNING_KEY",
}
_DEPLOYMENT = {"environment_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "version": 7}
_Id = Query(max_length=200)
_Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="A published version of the agent. Default: the newest.")
]


@routes.get("/environments", operation_id="list_environments", response_model=PageOf[EnvironmentAnswer])
async def list_environments(request: Request, caller: Reader, wanted: Paging) -> Response:
    """The environments of the project, in the order in which they were created."""
    found = await _environments(caller).list_environments(caller.project.id, limit=wanted.fetched, after=wanted.place())
    return answer(page_of(found, wanted, by_creation, environment_fields), request)


@routes.post("/environments", operation_id="create_environment", status_code=201, response_model=EnvironmentAnswer)
async def create_environment(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=EnvironmentSpec, example=_EXAMPLE)]
) -> Response:
    """Create an environment. Credentials are secrets of the project, by name; one that is written out is refused."""
    with references(body):
        made = await _environments(caller).create_environment(caller.project.id, body)
    return created(environment_fields(made), f"/api/v1/environments/{made.id}")


@routes.get("/environments/{environment_id}", operation_id="get_environment", response_model=EnvironmentAnswer)
async def get_environment(request: Request, caller: Reader, environment_id: str) -> Response:
    """An environment."""
    return answer(environment_fields(await _found(caller, environment_id)), request)


@routes.patch("/environments/{environment_id}", operation_id="update_environment", response_model=EnvironmentAnswer)
async def update_environment(
    caller: Runner,
    environment_id: str,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=EnvironmentSpec, partial=True, example={"timeout": 20})],
) -> Response:
    """Change the fields that are named; null gives a field its default again."""
    await _found(caller, environment_id)
    with references(body):
        made = await _environments(caller).update_environment(
            environment_id, body, expected=lambda saved: matching.require(environment_fields(saved))
        )
    return answer(environment_fields(caller.own(made, "Environment", environment_id)))


@routes.delete("/environments/{environment_id}", operation_id="delete_environment", status_code=204)
async def delete_environment(caller: Runner, environment_id: str, matching: IfMatch) -> Response:
    """Delete an environment with the history of its deployments."""
    await _found(caller, environment_id)
    await _environments(caller).delete_environment(
        environment_id, expected=lambda saved: matching.require(environment_fields(saved))
    )
    return nothing()


@routes.get(
    "/environments/{environment_id}/preview", operation_id="preview_deployment", response_model=DeploymentPreview
)
async def preview_deployment(
    caller: Reader,
    environment_id: str,
    agent_id: Annotated[str | None, _Id] = None,
    version: _Version = None,
) -> Response:
    """What the webhook of an environment would be sent for a version of an agent. Nothing is sent or recorded."""
    await _found(caller, environment_id)
    webhook = await caller.service.preview_deployment(environment_id, agent_id, version=version)
    return answer(webhook.as_data(), etag=False)


@routes.get("/agents/{agent_id}/gate", operation_id="check_gate", response_model=GateAnswer)
async def check_gate(
    caller: Reader,
    agent_id: str,
    eval_id: Annotated[str | None, _Id] = None,
    version: _Version = None,
    environment_id: Annotated[str | None, _Id] = None,
) -> Response:
    """Whether the newest execution of exactly this version of an agent that is over passed an eval.

    The eval is that of the environment, if none is named.
    """
    found = await caller.service.check_gate(agent_id, eval_id, version=version, environment_id=environment_id)
    return answer(gate_fields(found), etag=False)


@routes.get("/deployments", operation_id="list_deployments", response_model=PageOf[DeploymentAnswer])
async def list_deployments(
    request: Request,
    caller: Reader,
    wanted: Paging,
    environment_id: Annotated[str | None, _Id] = None,
    agent_id: Annotated[str | None, _Id] = None,
) -> Response:
    """What was deployed, or refused by the gate, the newest first."""
    found = await _environments(caller).list_deployments(
        caller.project.id,
        environment_id=environment_id,
        agent_id=agent_id,
        limit=wanted.fetched,
        before=wanted.number(),
    )
    return answer(page_of(found, wanted, _key, deployment_fields), request)


@routes.post("/deployments", operation_id="create_deployment", status_code=201, response_model=NewDeploymentAnswer)
async def create_deployment(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=DeploymentFields, example=_DEPLOYMENT)]
) -> Response:
    """Deploy a version of an agent: let the gate decide, tell the webhook once, and record what came of it.

    A version that the gate refuses, or that the webhook did not take, is recorded as well: ``status`` says so.
    """
    fields = read_body(DeploymentFields, body)
    with references(body):
        done, gate = await caller.service.deploy(
            fields.environment_id, fields.agent_id, version=fields.version, eval_id=fields.eval_id
        )
    told = {**deployment_fields(done), "gate": None if gate is None else gate_fields(gate)}
    return created(told, f"/api/v1/deployments/{done.id}")


@routes.get("/deployments/{deployment_id}", operation_id="get_deployment", response_model=DeploymentAnswer)
async def get_deployment(
    request: Request,
    caller: Reader,
    deployment_id: Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the deployment.")],
) -> Response:
    """A deployment, and what came of it."""
    found = await _environments(caller).get_deployment(caller.project.id, deployment_id)
    if found is None:
        raise NotFoundError(f"Deployment {deployment_id} not found")
    return answer(deployment_fields(found), request)


def _environments(caller: Caller) -> Environments:
    return Environments(caller.state.database)


def _key(deployment: Deployment) -> tuple[int]:
    return (deployment.id,)


async def _found(caller: Caller, environment_id: str) -> Environment:
    return caller.own(await _environments(caller).get_environment(environment_id), "Environment", environment_id)
