"""The OpenAPI document: what FastAPI knows of the routes, with the bodies, problems, scopes and examples of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast, get_type_hints

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from duologue.runs.tokens import TokenScope
from duologue.server.auth import Requires
from duologue.server.placed_body import BodyOf
from duologue.server.problems import MEDIA_TYPE, ProblemDetails
from duologue.version import __version__

_REF = "#/components/schemas/{model}"
_USUAL = {
    "401": "There is no valid token, and one is required",
    "403": "The token is not enough",
    "404": "There is nothing of that id in the project",
    "422": "A field or parameter cannot be used",
}
_OF_CHANGES = {"409": "A name is taken, or something is in use", "412": "It was changed meanwhile"}
_OF_BODIES = {
    "400": "The body is no JSON",
    "413": "The body is too large",
    "415": "The body is of another type",
}
DESCRIPTION = """Rehearse AI agents before real users meet them.

Everything belongs to a project: that of the token, else the one that `?project=` names, else the only one there is.
Lists are pages: `next` is the cursor of the next one. Errors are `application/problem+json`, and `problems` names the
fields to blame. Requests that make something take an `Idempotency-Key`, changes take `If-Match` with an `ETag`.
"""


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app)
    return app.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    routes = list(routes_of(app))
    made: dict[str, Any] = get_openapi(
        title="Duologue", version=__version__, description=DESCRIPTION, routes=app.routes, openapi_version="3.1.0"
    )
    schemas: dict[str, Any] = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    bodies = {id(route): body for route in routes if (body := body_of(route)) is not None}
    names = _add_models(schemas, bodies.values())
    for route in routes:
        for method in route.methods or ():
            operation = made["paths"][route.path_format][method.lower()]
            _complete(operation, method, scope_of(route), bodies.get(id(route)), names)
    made["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the service. On a loopback address it may be one that requires none.",
        }
    }
    return made


def _add_models(schemas: dict[str, Any], bodies: Iterable[BodyOf]) -> dict[tuple[type, bool], str]:
    """Add the models of bodies to the schemas; their names, by model and whether it is partial."""
    every = list(bodies)
    models = list(dict.fromkeys(body.model for body in every))
    made, whole = models_json_schema([(model, "validation") for model in [*models, ProblemDetails]], ref_template=_REF)
    for name, schema in whole.get("$defs", {}).items():
        if name not in schemas:
            schemas[name] = schema
        elif schemas[name] != schema:
            renamed = f"{name}Input"
            whole = _renamed(whole, name, renamed)
            schemas[renamed] = whole["$defs"][name]
    found: dict[tuple[type, bool], str] = {}
    refs = {model: made[model, "validation"]["$ref"].rpartition("/")[2] for model in models}
    for model in models:
        name = f"{refs[model]}Input" if f"{refs[model]}Input" in schemas else refs[model]
        found[model, False] = name
        if any(body.partial and body.model is model for body in every):
            found[model, True] = f"{refs[model]}Changes"
            schemas[f"{refs[model]}Changes"] = _partial(schemas[name], f"{refs[model]}Changes")
    return found


def _renamed(value: Any, name: str, renamed: str) -> Any:
    """The schemas, in which references to one go to another."""
    if isinstance(value, dict):
        return {key: _renamed(item, name, renamed) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_renamed(item, name, renamed) for item in cast("list[Any]", value)]
    return _REF.format(model=renamed) if value == _REF.format(model=name) else value


def _partial(schema: dict[str, Any], title: str) -> dict[str, Any]:
    """The schema of changes: every field may be left out, and null gives it its default again."""
    fields = {
        name: field if _may_be_null(field) else {"anyOf": [field, {"type": "null"}]}
        for name, field in schema.get("properties", {}).items()
    }
    return {
        "title": title,
        "type": "object",
        "description": "Fields to change; what is not named stays, and null gives a field its default again.",
        "properties": fields,
        "additionalProperties": False,
    }


def _may_be_null(field: dict[str, Any]) -> bool:
    return any(item.get("type") == "null" for item in field.get("anyOf", ()))


def _complete(
    operation: dict[str, Any],
    method: str,
    scope: TokenScope | None,
    body: BodyOf | None,
    names: dict[tuple[type, bool], str],
) -> None:
    answers = dict(_USUAL) if scope is not None else {"422": _USUAL["422"]}
    if method != "GET":
        answers |= _OF_CHANGES
    if body is not None:
        answers |= _OF_BODIES
        content: dict[str, Any] = {"schema": {"$ref": _REF.format(model=names[body.model, body.partial])}}
        if body.example:
            content["example"] = dict(body.example)
        operation["requestBody"] = {"required": body.needed, "content": {"application/json": content}}
    responses = operation.setdefault("responses", {})
    for status, told in answers.items():
        responses[status] = {"description": told}
    for status, response in responses.items():
        if int(status) >= 400:
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemDetails")}}}
    if scope is None:
        operation["security"] = []
        return
    operation["security"] = [{"token": []}, {}]
    operation["x-scope"] = str(scope)
    operation["description"] = f"{operation.get('description', '').strip()}\n\nScope: `{scope}`.".strip()


def routes_of(app: FastAPI) -> Iterator[APIRoute]:
    """The operations of the API, in order."""
    return (route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema)


def body_of(route: APIRoute) -> BodyOf | None:
    """What the body of a route is made of; None for a route without one."""
    for hint in get_type_hints(route.endpoint, include_extras=True).values():
        for item in getattr(hint, "__metadata__", ()):
            if isinstance(item, BodyOf):
                return item
    return None


def scope_of(route: APIRoute) -> TokenScope | None:
    """The scope that a route asks for; None for one that asks for none."""
    return _scope_in(route.dependant)


def _scope_in(dependant: Dependant) -> TokenScope | None:
    for inner in dependant.dependencies:
        found = inner.call.scope if isinstance(inner.call, Requires) else None
        if found is None:
            found = _scope_in(inner)
        if found is not None:
            return found
    return None
