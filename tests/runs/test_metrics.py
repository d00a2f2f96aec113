"""What a worker measures, as an OpenTelemetry SDK gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from queued_suites import enqueue

from duologue import AgentAdapter, AgentInput
from duologue.runs import metrics
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.engine import Database


class Bot(AgentAdapter):
    """Breaks the first time that it is asked."""

    asked = 0

    async def call(self, input: AgentInput) -> str:
        self.asked += 1
        if self.asked == 1:
            raise OSError("no route")
        return "ok"


async def test_the_values_of_a_worker(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    await enqueue(database, tmp_path, 5)
    bot = Bot()
    await RunProcessor(database, agents={"bot": lambda: bot}).drain()
    data = reader.get_metrics_data()
    assert data is not None
    found: dict[str, dict[str, Any]] = {
        metric.name.removeprefix("duologue.runs."): {
            str(dict(point.attributes or {}).get("outcome", "")): getattr(point, "value", getattr(point, "count", None))
            for point in metric.data.data_points
        }
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert found["claimed"] == {"": 5}
    assert found["finished"] == {"pass": 4, "error": 1}
    assert found["duration"] == {"pass": 4, "error": 1}
    assert found["flush.duration"] == found["flush.size"]
    assert found["flush.size"][""] >= 1
    assert "database.failures" not in found
    provider.shutdown()
