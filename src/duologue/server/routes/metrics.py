"""Metrics: what conversations are graded by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.checks.metrics.metric import Metric
from duologue.checks.metrics.predefined import DEFAULT_METRICS, PREDEFINED
from duologue.config.problems import PlacedDict
from duologue.runs.store.definitions import SavedMetric
from duologue.server.auth import Caller, Reader, Runner, ServerReader
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.schemas.definitions import MetricAnswer, metric_fields
from duologue.specs.metrics import MetricSpec

routes = routes_of_group("metrics")
_EXAMPLE = {
    "name": "empathy",
    "tier": "delivery",
    "description": "Whether the agent shows that it understands how the customer feels.",
    "rubric": "5: names the feeling and reacts to it. 3: polite. 0: ignores it.",
}


class PredefinedMetrics(BaseModel):
    """The metrics that every project has."""

    data: list[MetricSpec]
    """All of them. ``include_in_defaults`` says whether evals that name no metrics grade it."""


@routes.get("/metrics", operation_id="list_metrics", response_model=PageOf[MetricAnswer])
async def list_metrics(request: Request, caller: Reader, wanted: Paging) -> Response:
    """The metrics of the project, in the order in which they were created; predefined ones are not among them."""
    found = await caller.state.metrics.list_metrics(caller.project.id, limit=wanted.fetched, after=wanted.place())
    return answer(page_of(found, wanted, by_creation, metric_fields), request)


@routes.post("/metrics", operation_id="create_metric", status_code=201, response_model=MetricAnswer)
async def create_metric(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=MetricSpec, example=_EXAMPLE)]
) -> Response:
    """Create a metric."""
    made = await caller.state.metrics.create_metric(caller.project.id, body)
    return created(metric_fields(made), f"/api/v1/metrics/{made.id}")


@routes.get("/metrics/predefined", operation_id="list_predefined_metrics", response_model=PredefinedMetrics)
async def list_predefined_metrics(request: Request, caller: ServerReader) -> Response:
    """The metrics that every project has."""
    defaults = {metric.name for metric in DEFAULT_METRICS}
    return answer({"data": [_predefined(metric, defaults) for metric in PREDEFINED]}, request)


@routes.get("/metrics/{metric_id}", operation_id="get_metric", response_model=MetricAnswer)
async def get_metric(request: Request, caller: Reader, metric_id: str) -> Response:
    """A metric."""
    return answer(metric_fields(await _found(caller, metric_id)), request)


@routes.patch("/metrics/{metric_id}", operation_id="update_metric", response_model=MetricAnswer)
async def update_metric(
    caller: Runner,
    metric_id: str,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=MetricSpec, partial=True, example={"default_weight": 0.2})],
) -> Response:
    """Change the fields that are named; null gives a field its default again."""
    await _found(caller, metric_id)
    made = await caller.state.metrics.update_metric(
        metric_id, body, expected=lambda saved: matching.require(metric_fields(saved))
    )
    return answer(metric_fields(caller.own(made, "Metric", metric_id)))


@routes.delete("/metrics/{metric_id}", operation_id="delete_metric", status_code=204)
async def delete_metric(caller: Runner, metric_id: str, matching: IfMatch) -> Response:
    """Delete a metric that no eval uses."""
    await _found(caller, metric_id)
    await caller.state.metrics.delete_metric(metric_id, expected=lambda saved: matching.require(metric_fields(saved)))
    return nothing()


async def _found(caller: Caller, metric_id: str) -> SavedMetric:
    return caller.own(await caller.state.metrics.get_metric(metric_id), "Metric", metric_id)


def _predefined(metric: Metric, defaults: Collection[str]) -> Mapping[str, Any]:
    """A predefined metric in the form of saved ones."""
    spec = MetricSpec(
        name=metric.name,
        display_name=metric.shown_as,
        description=metric.description,
        tier=metric.tier.value,
        default_weight=metric.weight,
        score_type=metric.score_type.value,
        rubric={str(score): text for score, text in metric.rubric.items()},
        failure_codes=metric.failure_codes,
        not_applicable=metric.not_applicable,
        include_in_defaults=metric.name in defaults,
    )
    return spec.model_dump(mode="json")
