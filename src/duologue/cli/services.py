"""What commands about the definitions of a project share: opening it, and finding things by name or id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from duologue.errors import NotFoundError

if TYPE_CHECKING:
    from duologue.runs.service import RunService
    from duologue.runs.store.definitions import Eval, SavedAgent, SavedScenario
    from duologue.runs.store.releases import Environment

T = TypeVar("T")


def with_service(store: str | None, project: str | None, work: Callable[[RunService], Coroutine[Any, Any, T]]) -> T:
    """Do something with a project of a database that exists."""

    async def open_and_work() -> T:
        from duologue.runs.service import RunService

        async with RunService.open(store, project=project, create=False) as service:
            return await work(service)

    return asyncio.run(open_and_work())


async def agent_named(service: RunService, name: str) -> SavedAgent:
    """The agent of that name or id."""
    found = await service.get_agent_by_name(name) or await service.get_agent(name)
    return found or _missing(service, "agent", name)


async def eval_named(service: RunService, name: str) -> Eval:
    """The eval of that name or id."""
    found = await service.get_eval_by_name(name) or await service.get_eval(name)
    return found or _missing(service, "eval", name)


async def scenario_named(service: RunService, name: str) -> SavedScenario:
    """The scenario of that name or id."""
    found = await service.get_scenario_by_name(name) or await service.get_scenario(name)
    return found or _missing(service, "scenario", name)


async def environment_named(service: RunService, name: str) -> Environment:
    """The environment of that name or id."""
    found = await service.get_environment_by_name(name) or await service.get_environment(name)
    return found or _missing(service, "environment", name)


def _missing(service: RunService, what: str, name: str) -> Any:
    raise NotFoundError(f"the project '{service.project.name}' has no {what} '{name}'")
