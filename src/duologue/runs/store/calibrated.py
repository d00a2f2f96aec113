"""The labels that lie beside a results folder, and what they say of its judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from duologue.errors import ConfigurationError
from duologue.runs.store.judges import judges_in
from duologue.runs.store.reader import Found
from duologue.suites.calibration.calibrate import Calibration, calibrate
from duologue.suites.calibration.labels import Label, labels_path, merged, read_labels
from duologue.suites.results.run import RunResult


def labels_of(folder: Path, files: Sequence[Path] = ()) -> list[Label]:
    """The labels of some files; of none, those beside the results folder, if there are any.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    beside = labels_path(folder)
    paths = list(files) or ([beside] if beside.is_file() else [])
    found: list[Label] = []
    for path in paths:
        found = merged(found, read_labels(path))
    return found


def calibration_of(folder: Path, runs: Sequence[RunResult], files: Sequence[Path] = ()) -> Calibration | None:
    """What labels say of the judge of some runs; None where there are no labels.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    labels = labels_of(folder, files)
    return calibrate(labels, runs, judges_in(folder, runs)) if labels else None


def with_calibration(found: Found, files: Sequence[Path] = ()) -> Found:
    """The results of a folder, with what labels say of their judge.

    Labels beside the folder that cannot be read are a problem of the results.

    Raises:
        ConfigurationError: a file that was named cannot be read.
    """
    try:
        made = calibration_of(found.folder, found.execution.runs, files)
    except ConfigurationError as error:
        if files:
            raise
        return replace(found, problems=(*found.problems, f"left out: {error}"))
    return replace(found, execution=replace(found.execution, calibration=made)) if made else found
