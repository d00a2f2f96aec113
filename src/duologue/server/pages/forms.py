"""JSON Schemas of what can be defined, each with the description of every field: the forms of pages are made from them.

They say nothing of a project, so no token is needed. Like the rest of the pages, they are no part of the API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast, get_args

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.checks.catalogue import docs_of
from duologue.checks.registry import find
from duologue.errors import ConfigurationError, NotFoundError
from duologue.runs.store.releases import EnvironmentSpec
from duologue.runtimes.registry import all_runtimes, config_of
from duologue.server.preconditions import answer
from duologue.server.routes.schedules import ScheduleFields
from duologue.server.routes.secrets import SecretFields
from duologue.server.routes.tokens import TokenFields
from duologue.server.schemas.calls import CallSourceFields, PullFields
from duologue.server.schemas.cases import DraftMetricFields, EditFields, FromConversationFields, GenerateFields
from duologue.server.schemas.definitions import AgentFields, ConnectorFields, EvalFields, ProjectFields, ScenarioFields
from duologue.server.schemas.executions import NewExecutionFields
from duologue.server.schemas.releases import BaselineFields, DeploymentFields
from duologue.server.schemas.runs import PlaygroundFields
from duologue.specs.agents import Persona
from duologue.specs.metrics import MetricSpec

routes = APIRouter(prefix="/api/pages/forms", include_in_schema=False)
_FORMS: dict[str, type[BaseModel]] = {
    "projects": ProjectFields,
    "personas": Persona,
    "scenarios": ScenarioFields,
    "connectors": ConnectorFields,
    "agents": AgentFields,
    "evals": EvalFields,
    "schedules": ScheduleFields,
    "metrics": MetricSpec,
    "environments": EnvironmentSpec,
    "deployments": DeploymentFields,
    "call-sources": CallSourceFields,
    "pull": PullFields,
    "executions": NewExecutionFields,
    "playground-runs": PlaygroundFields,
    "baselines": BaselineFields,
    "generate": GenerateFields,
    "from-conversation": FromConversationFields,
    "edit": EditFields,
    "draft-metric": DraftMetricFields,
    "secrets": SecretFields,
    "tokens": TokenFields,
}


@routes.get("/{name}")
async def get_form(request: Request, name: str) -> Response:
    """The schema of something that can be defined."""
    if name not in _FORMS:
        raise NotFoundError(f'Form "{name[:100]}" not found')
    return await _answer(request, _FORMS[name])


@routes.get("/check-types/{check_type}")
async def get_check_form(request: Request, check_type: str) -> Response:
    """The schema of the parameters of a type of checks."""
    if ":" in check_type:  # code that a suite names is not loaded here
        raise NotFoundError(f'Check type "{check_type[:100]}" not found')
    try:
        info, _ = await asyncio.to_thread(find, check_type)
    except ConfigurationError as error:
        raise NotFoundError(str(error)) from error
    return await _answer(request, info.parameters)


@routes.get("/runtimes/{mode}/{kind}")
async def get_runtime_form(request: Request, mode: str, kind: str) -> Response:
    """The schema of the configuration of a runtime."""
    for runtime in all_runtimes():
        if (str(runtime.MODE), str(runtime.KIND)) == (mode, kind):
            return await _answer(request, config_of(runtime))
    raise NotFoundError(f'Runtime "{kind[:100]}" for {mode[:100]} not found')


async def _answer(request: Request, model: type[BaseModel]) -> Response:
    schema = await asyncio.to_thread(described_schema, model)
    return answer(schema, request, headers={"Cache-Control": "no-cache"})


@lru_cache(maxsize=256)
def described_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model in which every field has the description that its model gives it."""
    schema = model.model_json_schema()
    made: dict[str, Any] = {model.__name__: schema, **schema.get("$defs", {})}
    for found in _models_in(model, set()):
        properties: dict[str, Any] = made.get(found.__name__, {}).get("properties", {})
        for name, text in docs_of(found).items():
            field = properties.get(found.model_fields[name].alias or name)
            if field is not None and text:
                field["description"] = text
    return schema


def _models_in(annotation: object, known: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in known:
        known.add(annotation)
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models_in(field.annotation, known)
    for inner in cast("tuple[object, ...]", get_args(annotation)):
        yield from _models_in(inner, known)
