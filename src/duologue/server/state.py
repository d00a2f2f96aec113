"""What all requests of an application share. It is opened with the application, and closed with it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from duologue.errors import StoreError
from duologue.journal.artifacts import ArtifactStore
from duologue.reports.html.search import Searches
from duologue.runs.project_access import DefinitionPolicy, ProjectAccess, UsualPolicy
from duologue.runs.service import RunService
from duologue.runs.store.database.agents import Agents
from duologue.runs.store.database.artifacts import artifacts_of
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.metrics import SavedMetrics
from duologue.runs.store.definitions import Project
from duologue.runs.tokens import ApiToken, ApiTokens
from duologue.server.events.feed import Feeds
from duologue.server.execution_view import ExecutionViews
from duologue.server.settings import ServerSettings

logger = logging.getLogger("duologue.server")
TOKEN_LOOKED_AT = 5.0
"""Seconds after which it is looked again whether the token of a listener is valid."""
MOST_SERVICES = 256
"""Projects whose services are kept."""


@dataclass(kw_only=True, eq=False)
class ServerState:
    """What all requests share.

    Attributes:
        database: an open one.
        settings: how the service is run.
        token_required: whether a request without a token is refused.
        policy: what definitions may use of this machine.
        stack: closes what was opened with the application, in the opposite order.
        artifacts: has the media of runs.
        feeds: what is watched, for all who watch it.
        views: executions that pages show.
        searches: in conversations, that can go on.
        stopping: set once the service is to end: whatever streams ends its answer.
    """

    database: Database
    settings: ServerSettings
    token_required: bool
    policy: DefinitionPolicy
    stack: AsyncExitStack
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    definitions: SavedDefinitions = field(init=False)
    agents: Agents = field(init=False)
    metrics: SavedMetrics = field(init=False)
    tokens: ApiTokens = field(init=False)
    access: ProjectAccess = field(init=False)
    artifacts: ArtifactStore = field(init=False)
    feeds: Feeds = field(init=False)
    views: ExecutionViews = field(init=False)
    searches: Searches = field(default_factory=Searches)
    noted: dict[str, float] = field(default_factory=dict[str, float])
    """When the use of a token was noted, by its id."""
    held: dict[str, tuple[float, bool]] = field(default_factory=dict[str, tuple[float, bool]])
    """When it was last looked at whether a token still holds, and whether it does, by its id."""
    calls: int = 0
    """That people hold with agents now."""
    calls_of: Counter[str] = field(default_factory=Counter[str])
    """Of these, those of each project, by its id."""
    _services: OrderedDict[str, RunService] = field(default_factory=OrderedDict[str, RunService])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def __post_init__(self) -> None:
        self.definitions = SavedDefinitions(self.database)
        self.agents = Agents(self.database)
        self.metrics = SavedMetrics(self.database)
        self.tokens = ApiTokens(self.database)
        self.access = ProjectAccess(self.database, self.policy, self.database.context.clock)
        self.artifacts = artifacts_of(self.database.address)
        self.feeds = Feeds(self.database)
        self.views = ExecutionViews(self.database)

    def service(self, project: Project) -> RunService:
        """The runs API of a project. It is kept, because it keeps what it has prepared."""
        found = self._services.pop(project.id, None)
        if found is None:
            found = RunService(self.database, project)
            variables, private = self.policy.variables, self.policy.private_addresses
            found.policy = UsualPolicy(variables=variables, private_addresses=private, guarded=False)
            if len(self._services) >= MOST_SERVICES:
                self._services.popitem(last=False)
        found.project = project
        self._services[project.id] = found
        return found

    async def still_holds(self, token: ApiToken | None) -> bool:
        """Whether what a token opens may stay open. It is looked at every few seconds, for all who use the token."""
        if token is None:
            return True
        now = self.database.context.clock.monotonic()
        at, holds = self.held.get(token.id, (now - TOKEN_LOOKED_AT, True))
        if now - at < TOKEN_LOOKED_AT:
            return holds
        if len(self.held) > MOST_SERVICES:
            self.held.clear()
        self.held[token.id] = now, holds  # nobody else asks meanwhile
        try:
            holds = await self.tokens.is_valid(token.id)
        except StoreError as error:
            logger.warning("whether the token %s is valid is looked at later: %s", token.hint, error)
        self.held[token.id] = now, holds
        return holds

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that no request waits for; :meth:`settled` does."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait for everything that no request has waited for."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))


def state_of(request: HTTPConnection) -> ServerState:
    """What all requests share."""
    return cast("ServerState", cast("FastAPI", request.app).state.shared)
