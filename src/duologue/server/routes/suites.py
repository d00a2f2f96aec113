"""Suites: a file's text as definitions of a project, and an eval as a suite's text."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.config.spec import JsonObject, Spec
from duologue.runs.suite_import import SuiteImport, read_suite_text
from duologue.server.auth import Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body, references
from duologue.server.preconditions import answer
from duologue.server.problems import FieldProblem
from duologue.server.trust import require_trust
from duologue.suites.manifests.writer import suite_text

routes = routes_of_group("suites")
_EXAMPLE = {
    "suite": "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: refunds}\nspec:\n"
    "  agents: [{name: support, http: {url: https://agent.example.com/chat}}]\n"
    "  scenarios: [{name: late-refund, turns: [{role: user, content: Can I have my money back?}]}]\n"
}


class SuiteFields(Spec):
    """A suite."""

    suite: str | JsonObject
    """The text of a suite file, in YAML or JSON, or what it holds. All of it has to be in there: the service has no
    files."""


class ImportedSuiteAnswer(BaseModel):
    """What a suite was made into: ids by name."""

    personas: dict[str, str]
    """Ids of personas."""
    scenarios: dict[str, str]
    """Ids of scenarios."""
    agents: dict[str, str]
    """Ids of agents, each with a first version."""
    evals: dict[str, str]
    """Ids of evals, one for each agent."""
    warnings: list[FieldProblem]
    """Fields of the suite that have no place in the service."""


class SuiteTextAnswer(BaseModel):
    """An eval as a suite."""

    name: str
    """The name of the suite."""
    suite: str
    """Its text, in YAML, without credentials."""


@routes.post("/suites", operation_id="import_suite", response_model=ImportedSuiteAnswer)
async def import_suite(
    caller: Runner,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=SuiteFields, example=_EXAMPLE)],
    validate_only: Annotated[bool, Query(description="Look for problems, and make nothing.")] = False,
) -> Response:
    """Make the personas, scenarios, agents and evals of a suite, all or none. Problems name the line and the field."""
    given = read_body(SuiteFields, body).suite
    text = given if isinstance(given, str) else json.dumps(given)
    suite = read_suite_text(text, lambda found: require_trust(caller, found))
    fields: dict[str, Any] = {"personas": {}, "scenarios": {}, "agents": {}, "evals": {}, "warnings": []}
    if not validate_only:
        with references(body):
            made = await SuiteImport(caller.state.database).import_suite(caller.project.id, suite)
        warnings = [{"path": item.position.field, "message": item.message} for item in made.left]
        fields = {**{name: getattr(made, name) for name in fields if name != "warnings"}, "warnings": warnings}
    return answer(fields, etag=False)


@routes.get("/evals/{eval_id}/suite", operation_id="export_eval", response_model=SuiteTextAnswer)
async def export_eval(request: Request, caller: Reader, eval_id: str) -> Response:
    """An eval with all that it refers to as the text of a suite, which ``duologue run`` takes."""
    caller.own(await caller.state.definitions.get_eval(eval_id), "Eval", eval_id)
    suite = await caller.service.suite_of_eval(eval_id)
    return answer({"name": suite.name, "suite": suite_text(suite)}, request)
