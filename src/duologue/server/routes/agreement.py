"""How well judges agree with people, criterion by criterion, on the runs that people have labelled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.runs.store.database.execution_result import labelled_runs
from duologue.runs.store.database.labels import Labels, StoredLabel, label_of
from duologue.server.auth import Reader
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.preconditions import answer
from duologue.suites.calibration.as_data import calibration_data
from duologue.suites.calibration.calibrate import calibrate
from duologue.suites.results.run import RunResult

routes = routes_of_group("labels")
MOST_RUNS = 2000
USUAL_RUNS = 500


class ShareAnswer(BaseModel, extra="allow"):
    """A share, with its interval."""

    rate: float | None
    """From 0 to 1; null where there is nothing to count."""
    total: int
    """Of how many."""


class CriterionAgreement(BaseModel):
    """How well judges agree with people on one criterion."""

    criterion: str
    """Its text; ``verdict`` for the run as a whole, ``all criteria`` for all of them together."""
    compared: int
    """Items on which people and judge have said pass or fail."""
    undecided: int
    """Labelled items on which people or the judge could not decide."""
    agreement: ShareAnswer
    """Of the compared items, those on which both said the same."""
    kappa: dict[str, Any] | None
    """The same beyond chance (Cohen), with its interval; null where there is nothing to measure."""
    raters: int
    """How many people have labelled it."""
    alpha: dict[str, Any] | None
    """How far people agree with each other (Krippendorff); null where no item has two labels."""
    sensitivity: ShareAnswer
    """Of the items that people pass, those that the judge passed."""
    specificity: ShareAnswer
    """Of the items that people fail, those that the judge failed."""


class AgreementAnswer(BaseModel):
    """How well judges agree with people."""

    runs: int
    """Labelled runs that were looked at."""
    labels: int
    """Their labels."""
    criteria: list[CriterionAgreement]
    """Each criterion that has labels; the verdict and all criteria together last."""
    remarks: list[str]
    """What a reader of these numbers should know."""


@routes.get("/labels/agreement", operation_id="get_label_agreement", response_model=AgreementAnswer)
async def get_label_agreement(
    request: Request,
    caller: Reader,
    execution_id: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only runs of this execution.")] = None,
    eval_id: Annotated[str | None, Query(max_length=200, description="Only runs of this eval.")] = None,
    runs: Annotated[int, Query(ge=1, le=MOST_RUNS, description="Labelled runs at most: the newest.")] = USUAL_RUNS,
) -> Response:
    """How well judges agree with people, criterion by criterion, on the newest runs that are over and labelled.

    Name an eval or an execution to look at one judge: runs of a project may have been judged by different ones.
    """
    database, project = caller.state.database, caller.project.id
    found = await labelled_runs(database, project, execution_id=execution_id, eval_id=eval_id, most=runs)
    said = await Labels(database, project).of_runs([run.run_id for run in found])
    return answer(await asyncio.to_thread(_agreement, said, found), request)


def _agreement(said: Sequence[StoredLabel], found: Sequence[RunResult]) -> Mapping[str, Any]:
    labels = [label_of(item) for item in said]
    data = calibration_data(calibrate(labels, found))
    return {"runs": len(found), "labels": len(labels), "criteria": data["criteria"], "remarks": data["remarks"]}
