"""The queue of decisions to label, as every page of labels shows it, whichever store the runs and labels are in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from duologue.frozen import changed
from duologue.reports.html.data import calibration_table
from duologue.suites.calibration.as_data import calibration_data
from duologue.suites.calibration.calibrate import Calibration
from duologue.suites.calibration.judged import JudgedItem, in_label_order, judged_items
from duologue.suites.calibration.labels import Label
from duologue.suites.results.run import RunResult

Json = dict[str, Any]

_MOST = 2000
"""Decisions that are offered."""
_RATERS = 20


def label_queue(runs: Iterable[RunResult], seed: str, labels: Sequence[Label], rater: str) -> Json:
    """The decisions of judges in their order, with what people have said of each.

    Args:
        runs: those that are over; their conversations are not needed.
        seed: of the order: the id of the execution.
        labels: of everybody.
        rater: who looks at the queue.
    """
    said: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        said.setdefault((label.run, label.criterion), []).append(label)
    items = [
        _item(run, item, said.get((item.run, item.criterion), ()), rater)
        for run in in_label_order(runs, seed)
        for item in _asked(run)
    ]
    others = Counter(label.rater for label in labels if label.rater != rater)
    return {
        "rater": rater,
        "items": items[:_MOST],
        "total": len(items),
        "labelled": sum(item["label"] is not None for item in items),
        "raters": [{"rater": name, "labels": number} for name, number in others.most_common(_RATERS)],
    }


def agreement_of(found: Calibration | None) -> Json:
    """How well the judge agrees with people, beside the queue."""
    if found is None:
        return {"agreement": None, "calibration": None}
    data = calibration_data(found)
    agreement = {"criteria": data["criteria"], "remarks": data["remarks"]}
    return {"agreement": agreement, "calibration": calibration_table(found)}


def without_conversation(run: RunResult) -> RunResult:
    """A run as the queue needs it, so that it can be kept."""
    return changed(run, messages=(), system_prompts=(), judgements=())


def _asked(run: RunResult) -> Iterable[JudgedItem]:
    """The decisions of a run that are asked about; its verdict where there are no others."""
    return judged_items(run, whole=False) or judged_items(run)


def _item(run: RunResult, item: JudgedItem, said: Iterable[Label], rater: str) -> Mapping[str, Any]:
    own = next((label for label in said if label.rater == rater), None)
    return {
        "run": item.run,
        "title": run.case.title,
        "criterion": item.criterion,
        "decision": item.decision,
        "reason": item.reason,
        "cites": list(item.message_ids),
        "label": own.value if own else None,
        "note": own.note if own else "",
        "others": [
            {"rater": label.rater, "label": label.value, "note": label.note} for label in said if label.rater != rater
        ],
    }
