"""The runs API as functions, each on the store of the project in the current folder unless another is named.

A store that does not exist is refused: nothing can be created, read or changed there before it has definitions.

They are coroutine functions. Every call opens the store; a program that makes many calls opens it once, with
:class:`~duologue.runs.service.RunService`, whose methods have the same names.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from duologue.runs.service import RunService
from duologue.runs.store.records import StoredRun


@asynccontextmanager
async def _service(store: RunService | str | Path | None, project: str | None) -> AsyncGenerator[RunService]:
    if isinstance(store, RunService):
        yield store
    else:
        async with RunService.open(store, project=project, create=False) as service:
            yield service


async def create_runs(
    eval_id: str, *, store: RunService | str | Path | None = None, project: str | None = None, **options: Any
) -> list[StoredRun]:
    """One run for each scenario and persona of an eval; see :meth:`RunService.create_runs`."""
    async with _service(store, project) as service:
        return await service.create_runs(eval_id, **options)


async def create_run(
    eval_id: str, *, store: RunService | str | Path | None = None, project: str | None = None, **options: Any
) -> StoredRun:
    """The first of the runs that :func:`create_runs` creates."""
    async with _service(store, project) as service:
        return await service.create_run(eval_id, **options)


async def create_playground_run(
    scenario_id: str,
    connector_id: str | None = None,
    persona_id: str | None = None,
    *,
    store: RunService | str | Path | None = None,
    project: str | None = None,
    **options: Any,
) -> StoredRun:
    """One run of a scenario without an eval; see :meth:`RunService.create_playground_run`."""
    async with _service(store, project) as service:
        return await service.create_playground_run(scenario_id, connector_id, persona_id, **options)


async def get_run(
    run_id: str, *, store: RunService | str | Path | None = None, project: str | None = None
) -> StoredRun | None:
    """A run with its conversation; see :meth:`RunService.get_run`."""
    async with _service(store, project) as service:
        return await service.get_run(run_id)


async def list_runs(
    *, store: RunService | str | Path | None = None, project: str | None = None, **options: Any
) -> list[StoredRun]:
    """Runs in the order in which they were created; see :meth:`RunService.list_runs`."""
    async with _service(store, project) as service:
        return await service.list_runs(**options)


async def list_runs_by_eval(
    eval_id: str, *, store: RunService | str | Path | None = None, project: str | None = None, **options: Any
) -> list[StoredRun]:
    """The runs of an eval, the newest first."""
    async with _service(store, project) as service:
        return await service.list_runs_by_eval(eval_id, **options)


async def list_runs_by_scenario(
    scenario_id: str, *, store: RunService | str | Path | None = None, project: str | None = None, **options: Any
) -> list[StoredRun]:
    """The runs of a scenario, the newest first."""
    async with _service(store, project) as service:
        return await service.list_runs_by_scenario(scenario_id, **options)


async def list_runs_by_persona(
    persona_id: str, *, store: RunService | str | Path | None = None, project: str | None = None, **options: Any
) -> list[StoredRun]:
    """The runs of a persona, the newest first."""
    async with _service(store, project) as service:
        return await service.list_runs_by_persona(persona_id, **options)


async def update_run(
    run_id: str, *, store: RunService | str | Path | None = None, project: str | None = None, **changes: Any
) -> StoredRun | None:
    """Change the fields of a run that are named; see :meth:`RunService.update_run`."""
    async with _service(store, project) as service:
        return await service.update_run(run_id, **changes)


async def retry_run(
    run_id: str, *, store: RunService | str | Path | None = None, project: str | None = None
) -> StoredRun | None:
    """Put a run that ended in an error into the queue again; see :meth:`RunService.retry_run`."""
    async with _service(store, project) as service:
        return await service.retry_run(run_id)


async def delete_run(run_id: str, *, store: RunService | str | Path | None = None, project: str | None = None) -> bool:
    """Delete a run; False if there is none."""
    async with _service(store, project) as service:
        return await service.delete_run(run_id)


async def delete_runs_by_eval(
    eval_id: str, *, store: RunService | str | Path | None = None, project: str | None = None
) -> int:
    """Delete all runs of an eval; returns how many there were."""
    async with _service(store, project) as service:
        return await service.delete_runs_by_eval(eval_id)
