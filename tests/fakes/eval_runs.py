"""Evals that are executed in a store from beginning to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from duologue.models.base import Model
from duologue.runs import RunService
from duologue.runs.processor import RunProcessor
from duologue.runs.store.definitions import Eval
from duologue.runs.store.records import StoredRun

GRADED = {"evaluation_model": "grader", "models": [{"name": "grader", "provider": "openai", "model": "grader"}]}
SAYING = {"config": {"user_simulator": {"mode": "scripted", "scripted_messages": ["Hi"]}}}


async def new_eval(
    service: RunService,
    agent: dict[str, Any],
    *scenarios: dict[str, Any],
    trials: int = 1,
    graded: bool = True,
    config: dict[str, Any] | None = None,
) -> Eval:
    """An eval of a published agent, whose user says ``Hi`` unless the configuration says otherwise."""
    if graded:
        await service.update_project(settings=GRADED)
    saved = await service.create_agent(agent)
    await service.publish_agent(saved.id)
    ids = [(await service.create_scenario(**{"description": "You want help.", **item})).id for item in scenarios]
    whole = {**SAYING["config"], **(config or {})}
    name = f"eval of {saved.name}"
    return await service.create_eval(name=name, scenario_ids=ids, agent_id=saved.id, trials=trials, config=whole)


async def executed(service: RunService, eval_: Eval, model: Model | None = None, **options: Any) -> list[StoredRun]:
    """The runs of one execution of an eval, once they are over."""
    runs = await service.create_runs(eval_.id)
    await carried_out(service, model, **options)
    return await service.list_runs(execution_id=runs[0].execution_id)


async def carried_out(service: RunService, model: Model | None = None, **options: Any) -> None:
    """Wait until everything in the queue is over."""
    models = {"grader": model} if model is not None else {}
    processor = RunProcessor(service.database, models=models, max_concurrent=4, **options)
    await processor.drain()
    await processor.stop()


def store(tmp_path: Path) -> Path:
    """The file of a new store."""
    return tmp_path / "duologue.db"
