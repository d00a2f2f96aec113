"""What labels say of a judge, as plain data for JSON: the same in files, on the command line and in a service."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from duologue.stats.proportion import Proportion
from duologue.suites.calibration.calibrate import Calibration, CriterionCalibration, remarks
from duologue.suites.calibration.judge_test import JudgeTest


def calibration_data(found: Calibration) -> dict[str, Any]:
    """As plain data, for JSON."""
    return {
        "labels": found.labels,
        "judge_changed": found.changed,
        "judges": [asdict(judge) for judge in found.judges],
        "labelled_judges": list(found.labelled),
        "criteria": [_criterion_data(item) for item in found.criteria],
        "rates": [
            {
                "criterion": rate.name,
                "counted": proportion_data(rate.counted),
                "corrected": asdict(rate.corrected) if rate.corrected else None,
                "not_corrected_because": rate.why or None,
            }
            for rate in found.rates
        ],
        "remarks": remarks(found),
    }


def judge_test_data(found: JudgeTest) -> dict[str, Any]:
    """As plain data, for JSON."""
    return {
        "judge": asdict(found.judge),
        "runs": found.runs,
        "criteria": [_criterion_data(item) for item in found.calibration.criteria],
        "before": [_criterion_data(item) for item in found.before.criteria] if found.before else None,
        "repeated": proportion_data(found.repeated) if found.repeated else None,
        "reordered": proportion_data(found.reordered) if found.reordered else None,
        "errors": list(found.errors),
    }


def _criterion_data(item: CriterionCalibration) -> dict[str, Any]:
    return {
        "criterion": item.name,
        "compared": item.compared,
        "undecided": item.undecided,
        "agreement": proportion_data(item.agreement),
        "kappa": asdict(item.kappa) if item.kappa else None,
        "raters": item.raters,
        "alpha": asdict(item.alpha) if item.alpha else None,
        "sensitivity": proportion_data(item.sensitivity),
        "specificity": proportion_data(item.specificity),
    }


def proportion_data(found: Proportion) -> dict[str, Any]:
    """A share with its interval."""
    return {**asdict(found), "rate": found.rate}
