"""What the models of an execution may cost together: named at its launch, and never above what the project says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from duologue.errors import ConfigurationError
from duologue.runs.service import RunService
from duologue.runs.store.database.schema import runs, snapshots


async def budget_of(service: RunService, run_id: str) -> Any:
    asked = select(snapshots.c.data).join(runs, runs.c.snapshot == snapshots.c.digest).where(runs.c.id == run_id)
    data = await service.database.read(lambda connection: connection.execute(asked).scalar_one())
    return json.loads(data)["suite"].get("defaults", {}).get("budget")


@pytest.mark.parametrize(
    ("project", "given", "expected"),
    [
        (None, None, None),
        (None, 0.5, {"money": 0.5}),
        (None, 0, {"money": 0.0}),
        ({"money": 2.0}, None, {"money": 2.0}),
        ({"money": 2.0}, 0.5, {"money": 0.5}),
        ({"money": 2.0, "tokens": 9}, 5, {"money": 2.0, "tokens": 9}),
    ],
)
async def test_the_lower_limit_counts(tmp_path: Path, project: Any, given: float | None, expected: Any):
    async with RunService.open(tmp_path / "d.db") as service:
        if project:
            await service.update_project(settings={"defaults": {"budget": project}})
        scenario = await service.create_scenario(name="s", turns=[{"content": "hello"}])
        connector = await service.create_connector(name="c", type="http", base_url="http://127.0.0.1:9/")
        made = await service.create_eval(name="e", scenario_ids=[scenario.id], connector_id=connector.id)
        for _ in range(2):
            usual = (await service.create_runs(made.id))[0]
            limited = (await service.create_runs(made.id, budget=given))[0]
            assert await budget_of(service, limited.id) == expected
            assert await budget_of(service, usual.id) == project


@pytest.mark.parametrize("budget", [-1, float("inf"), float("nan")])
async def test_a_limit_that_is_none_is_refused(tmp_path: Path, budget: float):
    async with RunService.open(tmp_path / "d.db") as service:
        scenario = await service.create_scenario(name="s", turns=[{"content": "hello"}])
        connector = await service.create_connector(name="c", type="http", base_url="http://127.0.0.1:9/")
        made = await service.create_eval(name="e", scenario_ids=[scenario.id], connector_id=connector.id)
        with pytest.raises(ConfigurationError, match="budget"):
            await service.create_runs(made.id, budget=budget)
