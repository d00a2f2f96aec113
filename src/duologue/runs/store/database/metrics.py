"""The metrics that a project has saved, in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from duologue.checks.metrics.metric import metric_of
from duologue.checks.metrics.predefined import PREDEFINED
from duologue.errors import ConfigurationError, StoreConflictError
from duologue.runs.store.database.definition_rows import (
    After,
    Changes,
    Expected,
    facts,
    get,
    merged,
    page,
    read,
    remove,
    require_unused,
    unnamed,
    whole,
)
from duologue.runs.store.database.definition_writer import DefinitionWriter, get_expected
from duologue.runs.store.database.schema import evals, metrics
from duologue.runs.store.definitions import EvalSpec, SavedMetric
from duologue.specs.metrics import MetricSpec


class SavedMetrics(DefinitionWriter):
    """The metrics of a database.

    Args:
        database: an open one.
    """

    async def create_metric(self, project_id: str, metric: MetricSpec | Changes) -> SavedMetric:
        """Create a metric.

        Raises:
            StoreConflictError: another metric of the project, or a predefined one, has the name.
            NotFoundError: there is no such project.
            ConfigurationError: a field cannot be used.
        """
        spec = _checked(metric)
        row = await self._create(metrics, "Metric", project_id, spec.name, unnamed(spec.written()))
        return SavedMetric(spec=spec, **row)

    async def get_metric(self, metric_id: str) -> SavedMetric | None:
        """The metric with that id; None if there is none."""
        found = await self._read(lambda connection: get(connection, metrics, metric_id))
        return _saved(found) if found is not None else None

    async def list_metrics(
        self, project_id: str, *, name: str | None = None, limit: int | None = None, after: After = None
    ) -> list[SavedMetric]:
        """The metrics of a project in the order in which they were created; predefined ones are not among them.

        Args:
            project_id: of the project.
            name: only the one of that name.
            limit: at most so many; None for all.
            after: the last one of the page before.
        """
        rows = await self._read(lambda connection: page(connection, metrics, project_id, limit, after, name))
        return [_saved(row) for row in rows]

    async def update_metric(
        self, metric_id: str, changes: Changes, *, expected: Expected[SavedMetric] | None = None
    ) -> SavedMetric | None:
        """Change fields of a metric; None if it is missing. Runs that exist stay as they are.

        Raises:
            StoreConflictError: it is to have another name, or to be a draft, and evals use it.
        """

        def work(connection: Connection) -> SavedMetric | None:
            row = get_expected(connection, metrics, metric_id, expected, _saved)
            if row is None:
                return None
            spec = _checked(merged(whole(row), changes))
            if spec.name != row.name or spec.draft:
                _require_unused(connection, row)
            self._store(connection, metrics, "Metric", row, spec.name, unnamed(spec.written()))
            found = get(connection, metrics, metric_id)
            return _saved(found) if found is not None else None

        return await self._write(work)

    async def delete_metric(self, metric_id: str, *, expected: Expected[SavedMetric] | None = None) -> bool:
        """Delete a metric. False if it is missing.

        Raises:
            StoreConflictError: evals use it.
        """

        def work(connection: Connection) -> bool:
            row = get_expected(connection, metrics, metric_id, expected, _saved)
            if row is None:
                return False
            _require_unused(connection, row)
            return remove(connection, metrics, metric_id)

        return await self._write(work)


def saved_metrics(connection: Connection, project_id: str) -> list[MetricSpec]:
    """The metrics of a project, in the order in which they were created."""
    asked = select(metrics).where(metrics.c.project_id == project_id).order_by(metrics.c.created_at, metrics.c.id)
    return [MetricSpec.model_validate(whole(row)) for row in connection.execute(asked)]


def _saved(row: Row[Any]) -> SavedMetric:
    return SavedMetric(spec=MetricSpec.model_validate(whole(row)), **facts(row))


def _checked(metric: MetricSpec | Changes) -> MetricSpec:
    spec: MetricSpec = metric if isinstance(metric, MetricSpec) else read(MetricSpec, metric, "the metric")
    if any(spec.name == item.name for item in PREDEFINED):
        raise StoreConflictError(f"the name '{spec.name}' is that of a predefined metric; choose another one")
    try:
        metric_of(spec)
    except ValueError as error:
        raise ConfigurationError(f"the metric '{spec.name}' cannot be used: {error}") from error
    return spec


def _require_unused(connection: Connection, row: Row[Any]) -> None:
    every = connection.execute(select(evals).where(evals.c.project_id == row.project_id))
    using = [item.name for item in every if row.name in _named(EvalSpec.model_validate(item.data))]
    used = select(evals.c.name).where(evals.c.project_id == row.project_id, evals.c.name.in_(using))
    require_unused(connection, "metric", row.name, used, "eval")


def _named(spec: EvalSpec) -> list[str]:
    """The metrics that the configuration of an eval names."""
    return [item.metric for item in spec.config.judge.metrics] if spec.config is not None else []
