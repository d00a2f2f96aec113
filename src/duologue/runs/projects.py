"""Which project of a store is meant."""

from __future__ import annotations

from duologue.config.problems import listed
from duologue.errors import ConfigurationError, NotFoundError, StoreConflictError
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.definitions import Project

DEFAULT_PROJECT = "default"
"""The name of the project that is made where a store has none."""


async def open_project(database: Database, project: str | None, *, create: bool = False) -> Project:
    """A project of a store; see :meth:`RunService.open <duologue.runs.service.RunService.open>`."""
    definitions = SavedDefinitions(database)
    if project is not None:
        found = await definitions.get_project(project)
        if found is None and create:
            return await definitions.create_project(project)
        if found is None:
            known = listed(f"'{item.name}'" for item in await definitions.list_projects(limit=20)) or "none"
            raise NotFoundError(f'Project "{project}" not found in {database.address}; known: {known}')
        return found
    every = await definitions.list_projects(limit=2)
    if len(every) > 1:
        known = listed(f"'{item.name}'" for item in await definitions.list_projects(limit=20))
        raise ConfigurationError(f"{database.address} has several projects; name one of them: {known}")
    if every:
        return every[0]
    try:
        return await definitions.create_project(DEFAULT_PROJECT)
    except StoreConflictError:  # another process has made it meanwhile
        return await open_project(database, DEFAULT_PROJECT)
