"""Who asks, and what they may: each route names the scope that it needs.

::

    @routes.get("/personas", operation_id="list_personas")
    async def list_personas(caller: Reader) -> Response: ...

The project is that of the token, else the one that ``?project=`` names, else the only one. Whatever belongs to another
project is not found.
"""

from __future__ import annotations

import logging
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Query, Request, WebSocket
from sqlalchemy import Connection, select
from starlette.requests import HTTPConnection

from duologue.config.placed_json import refused
from duologue.config.problems import listed
from duologue.errors import DuologueError, NotFoundError, StoreConflictError
from duologue.frozen import changed, frozen
from duologue.runs.projects import DEFAULT_PROJECT
from duologue.runs.service import RunService
from duologue.runs.store.database.definition_rows import find_project, saved_project
from duologue.runs.store.database.schema import projects
from duologue.runs.store.definitions import Project
from duologue.runs.tokens import ApiToken, TokenScope, find_token
from duologue.server.origins import SAFE_METHODS, cookie_name, is_from_own_page
from duologue.server.state import ServerState, state_of

logger = logging.getLogger("duologue.server")
USED_AGAIN = 60.0
"""Seconds between two notes that a token was used."""
_LONGEST_TOKEN = 200


class _InProject(Protocol):
    @property
    def project_id(self) -> str: ...


Own = TypeVar("Own", bound=_InProject)


class UnauthenticatedError(DuologueError):
    """There is no token, or none that is valid."""


class ForbiddenError(DuologueError):
    """The token is valid, and not enough."""


@frozen
class Caller:
    """Who asks.

    Attributes:
        scope: what they may.
        token: with which they ask; None where none is required.
        state: what all requests share.
        chosen: the project; None for requests that belong to none.
    """

    scope: TokenScope
    token: ApiToken | None
    state: ServerState
    chosen: Project | None = None

    @property
    def project(self) -> Project:
        """The project that is asked about."""
        assert self.chosen is not None, "the route asks for a caller without a project"
        return self.chosen

    @property
    def service(self) -> RunService:
        """The runs API of the project."""
        return self.state.service(self.project)

    @property
    def key(self) -> str:
        """Under which the answers to its requests are kept; '' without a token."""
        return self.token.id if self.token is not None else ""

    def require(self, scope: TokenScope, why: str) -> None:
        """Refuse a caller who may do less. Raises ForbiddenError."""
        if not self.scope.allows(scope):
            raise ForbiddenError(f"{why} needs a token with the scope '{scope}'; this one has '{self.scope}'")

    def own(self, found: Own | None, what: str, id_: str) -> Own:
        """Something of the project. What belongs to another one is not found.

        Raises:
            NotFoundError: it does not exist, or belongs to another project.
        """
        if found is None or found.project_id != self.project.id:
            raise NotFoundError(f'{what} with id "{id_}" not found')
        return found

    @property
    def only_project(self) -> str | None:
        """The id of the only project that the token opens; None for all."""
        return self.token.project_id if self.token is not None else None


async def authenticated(request: HTTPConnection) -> Caller:
    """Who asks, as far as the token says. It is looked at once for each request.

    Raises:
        UnauthenticatedError: there is no token and one is required, or it is not valid.
    """
    found: Caller | None = getattr(request.state, "caller", None)
    if found is None:
        found = await _authenticate(request)
        request.state.caller = found
    return found


async def _authenticate(request: HTTPConnection) -> Caller:
    state = state_of(request)
    token = _token_of(request)
    if token is None and state.token_required:
        token = _token_of_page(request)
    if token is None:
        if state.token_required:
            raise UnauthenticatedError("a token is needed: send the header 'Authorization: Bearer TOKEN'")
        return Caller(scope=TokenScope.ADMIN, token=None, state=state)
    return await caller_with(state, token)


async def caller_with(state: ServerState, token: str) -> Caller:
    """Who asks with a token.

    Raises:
        UnauthenticatedError: it is not valid.
    """
    database = state.database

    def work(connection: Connection) -> tuple[ApiToken | None, float]:
        now = database.now(connection)
        return find_token(connection, token, now), now

    found, now = await database.read(work)
    if found is None:
        raise UnauthenticatedError("the token is not valid: it is unknown, revoked or expired")
    _note_use(state, found, now)
    return Caller(scope=found.scope, token=found, state=state)


def _note_use(state: ServerState, token: ApiToken, now: float) -> None:
    """Keep when a token was used, in a write that no request waits for, and rarely."""
    last = state.noted.get(token.id, token.last_used_at or 0.0)
    if now - last < USED_AGAIN:
        return
    if len(state.noted) > 10_000:
        state.noted.clear()
    state.noted[token.id] = now

    async def note() -> None:
        try:
            await state.tokens.used(token.id)
        except DuologueError as error:
            logger.warning("the use of the token %s was not noted: %s", token.hint, error)

    state.later(note())


def _token_of(request: HTTPConnection) -> str | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    kind, _, token = header.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
        raise UnauthenticatedError("the header Authorization is not understood; expected 'Bearer TOKEN'")
    return token


def _token_of_page(request: HTTPConnection) -> str | None:
    """The token of somebody who has signed in to the web pages.

    A browser sends the cookie by itself, so what changes something, or opens a WebSocket, has to come from a page of
    this service.
    """
    token = request.cookies.get(cookie_name(request.headers.get("host", "")))
    if not token or len(token) > _LONGEST_TOKEN:
        return None
    is_safe = isinstance(request, Request) and request.method in SAFE_METHODS
    if not is_safe and not is_from_own_page(request.headers):
        raise ForbiddenError("a request with the cookie of the web pages has to come from a page of this service")
    return token


ProjectParameter = Annotated[
    str | None,
    Query(
        alias="project",
        max_length=200,
        description="Name or id of the project. Default: the project of the token, else the only one.",
    ),
]
"""Which project is asked about."""


@frozen
class Requires:
    """A dependency that gives the caller, if its scope is enough.

    Attributes:
        scope: what the route needs.
    """

    scope: TokenScope

    async def __call__(self, request: Request) -> Caller:
        caller = await authenticated(request)
        caller.require(self.scope, "this")
        return caller


@frozen
class RequiresInProject(Requires):
    """The same, for a route that is about one project."""

    async def __call__(self, request: Request, project: ProjectParameter = None) -> Caller:
        caller = await super().__call__(request)
        return changed(caller, chosen=await chosen_project(caller, project))


async def caller_of_socket(socket: WebSocket, scope: TokenScope) -> Caller:
    """Who opens a WebSocket in a project, which ``?project=`` names.

    Raises:
        UnauthenticatedError, ForbiddenError, NotFoundError, SuiteError: as for any other request.
    """
    caller = await authenticated(socket)
    caller.require(scope, "this")
    named = socket.query_params.get("project")
    return changed(caller, chosen=await chosen_project(caller, named[:200] if named else None))


async def chosen_project(caller: Caller, named: str | None) -> Project:
    """The project that a request is about.

    Raises:
        NotFoundError: there is none of that name that the caller may see.
        SuiteError: there are several, and none is named.
    """
    only, database = caller.only_project, caller.state.database

    def work(connection: Connection) -> tuple[Project | None, list[str]]:
        if only is not None:
            return find_project(connection, only), []
        if named is not None:
            return find_project(connection, named), []
        rows = connection.execute(select(projects).order_by(projects.c.created_at, projects.c.id).limit(13)).all()
        return (saved_project(rows[0]) if len(rows) == 1 else None), [row.name for row in rows]

    found, names = await database.read(work)
    if found is None and named is None and only is None:
        if names:
            raise refused("project", f"the store has several projects: name one with ?project=. Known: {listed(names)}")
        return await _default(caller)
    wrong = found is None or (named is not None and named not in {found.id, found.name})
    if found is None or (wrong and only is not None):
        raise NotFoundError(f'Project "{named or only}" not found')
    return found


async def projects_of(caller: Caller, most: int) -> list[Project]:
    """The projects that a caller may see, the oldest first; the one that is made where a store has none."""
    only, database = caller.only_project, caller.state.database
    asked = select(projects).order_by(projects.c.created_at, projects.c.id).limit(most)
    if only is not None:
        asked = asked.where(projects.c.id == only)
    found = await database.read(lambda connection: [saved_project(row) for row in connection.execute(asked).all()])
    return found if found or only is not None else [await _default(caller)]


async def _default(caller: Caller) -> Project:
    """The project that is made where a store has none."""
    try:
        return await caller.state.definitions.create_project(DEFAULT_PROJECT)
    except StoreConflictError:  # another request has made it meanwhile
        found = await caller.state.definitions.get_project(DEFAULT_PROJECT)
        if found is None:
            raise
        return found


Reader = Annotated[Caller, Depends(RequiresInProject(scope=TokenScope.READ))]
"""Somebody who may look at a project."""
Runner = Annotated[Caller, Depends(RequiresInProject(scope=TokenScope.RUN))]
"""Somebody who may define and run in a project."""
Admin = Annotated[Caller, Depends(RequiresInProject(scope=TokenScope.ADMIN))]
"""Somebody who may do everything in a project."""
ServerReader = Annotated[Caller, Depends(Requires(scope=TokenScope.READ))]
"""Somebody who may look, at no project in particular."""
ServerAdmin = Annotated[Caller, Depends(Requires(scope=TokenScope.ADMIN))]
"""Somebody who may do everything, in no project in particular; a token of one project is still held to that one."""
