"""Projects: what everything else belongs to. A token of one project sees that one only."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.errors import NotFoundError
from duologue.runs.store.definitions import Project
from duologue.server.auth import Caller, ForbiddenError, ServerAdmin, ServerReader
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.schemas.definitions import ProjectAnswer, ProjectFields, project_fields
from duologue.server.trust import refuse_files

routes = routes_of_group("projects")
_EXAMPLE = {"name": "web-shop", "settings": {"evaluation_model": "openai/gpt-5-mini"}, "max_concurrency": 20}


@routes.get("/projects", operation_id="list_projects", response_model=PageOf[ProjectAnswer])
async def list_projects(request: Request, caller: ServerReader, wanted: Paging) -> Response:
    """The projects that the token opens, in the order in which they were created."""
    if caller.only_project is not None:
        found = [await _found(caller, caller.only_project)]
    else:
        found = await caller.state.definitions.list_projects(limit=wanted.fetched, after=wanted.place())
    return answer(page_of(found, wanted, by_creation, project_fields), request)


@routes.post("/projects", operation_id="create_project", status_code=201, response_model=ProjectAnswer)
async def create_project(
    caller: ServerAdmin, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ProjectFields, example=_EXAMPLE)]
) -> Response:
    """Create a project. It needs a token of all projects."""
    _require_every(caller)
    fields = read_body(ProjectFields, body)
    refuse_files(fields)
    made = await caller.state.definitions.create_project(
        fields.name, fields.settings, max_concurrency=fields.max_concurrency
    )
    return created(project_fields(made), f"/api/v1/projects/{made.id}")


@routes.get("/projects/{project_id}", operation_id="get_project", response_model=ProjectAnswer)
async def get_project(request: Request, caller: ServerReader, project_id: str) -> Response:
    """A project."""
    return answer(project_fields(await _found(caller, project_id)), request)


@routes.patch("/projects/{project_id}", operation_id="update_project", response_model=ProjectAnswer)
async def update_project(
    caller: ServerAdmin,
    project_id: str,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ProjectFields, partial=True, example={"max_concurrency": 50})],
) -> Response:
    """Change the fields that are named; ``settings`` are given as a whole."""
    before = await _found(caller, project_id)
    refuse_files(read_body(ProjectFields, body) if "name" in body else read_body(ProjectFields, _named(body, before)))
    made = await caller.state.definitions.update_project(
        project_id, body, expected=lambda saved: matching.require(project_fields(saved))
    )
    if made is None:
        raise NotFoundError(f'Project with id "{project_id}" not found')
    return answer(project_fields(made))


@routes.delete("/projects/{project_id}", operation_id="delete_project", status_code=204)
async def delete_project(caller: ServerAdmin, project_id: str, matching: IfMatch) -> Response:
    """Delete a project with everything in it, its runs included. It needs a token of all projects."""
    await _found(caller, project_id)
    _require_every(caller)
    await caller.state.definitions.delete_project(
        project_id, expected=lambda saved: matching.require(project_fields(saved))
    )
    return nothing()


def _named(body: PlacedDict, project: Project) -> PlacedDict:
    """The changes as a whole project."""
    whole = PlacedDict(body.home, {name: value for name, value in body.items() if value is not None}, body.marks)
    whole["name"] = project.name
    return whole


def _require_every(caller: Caller) -> None:
    if caller.only_project is not None:
        raise ForbiddenError("this needs a token of all projects; this one opens a single project")


async def _found(caller: Caller, project_id: str) -> Project:
    """A project that the caller may see, by its id."""
    only = caller.only_project
    found = await caller.state.definitions.get_project(project_id) if only in {None, project_id} else None
    if found is None or found.id != project_id:
        raise NotFoundError(f'Project with id "{project_id}" not found')
    return found
