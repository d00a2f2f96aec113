"""What people say of the decisions of judges: the queue of ``duologue label`` as a page, kept in the same file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from duologue.config.files import home_path
from duologue.errors import ConfigurationError
from duologue.reports.html.label_queue import agreement_of, label_queue
from duologue.runs.store.judges import judges_in
from duologue.runs.store.reader import read_run
from duologue.suites.calibration.calibrate import Calibration
from duologue.suites.calibration.judged import JudgedItem, judged_items
from duologue.suites.calibration.labels import Label, label_value, labels_path, merged, now, read_labels, write_labels
from duologue.suites.results.run import RunResult

Json = dict[str, Any]

_WRITING = Lock()
_LONGEST = 4000
_LONGEST_NAME = 200


class JudgedExecution(Protocol):
    """An execution whose judges are labelled."""

    @property
    def index(self) -> Mapping[str, Any]:
        """Its index."""
        ...

    @property
    def judged(self) -> Sequence[RunResult]:
        """Its runs that a judge has decided about."""
        ...

    @property
    def labelled(self) -> Calibration | None:
        """What labels say of the judge."""
        ...


class LabelFile:
    """The labels beside a results folder.

    Args:
        folder: of the results.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = labels_path(folder)

    def data(self, opened: JudgedExecution, rater: str = "") -> Json:
        """The queue, with what this person and others have said, and what all labels say of the judge.

        Args:
            opened: the execution.
            rater: who labels; '' for the user of this machine.
        """
        who = (rater or user_name())[:_LONGEST_NAME]
        return {
            **label_queue(opened.judged, str(opened.index["id"]), self._known(), who),
            **agreement_of(opened.labelled),
            "file": home_path(self._path),
        }

    def give(self, given: object) -> Json:
        """Keep a label, or take one back.

        Args:
            given: run, criterion, label (``pass``, ``fail``, ``unsure``; null to take it back), rater and note.

        Raises:
            ConfigurationError: it is none.
        """
        if not isinstance(given, dict):
            raise ConfigurationError("expected an object with run, criterion and label")
        asked: Mapping[str, Any] = {str(name): value for name, value in given.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        run = read_run(self._folder, str(asked.get("run", "")))
        criterion = str(asked.get("criterion", ""))
        item = next((item for item in judged_items(run) if item.criterion == criterion), None)
        if item is None:
            raise ConfigurationError(f"run {run.run_id} has no decision about {criterion[:100]!r}")
        rater = str(asked.get("rater") or user_name())[:_LONGEST_NAME]
        with _WRITING:
            known = self._known()
            if asked.get("label") is None:
                kept = [label for label in known if label.key != (run.run_id, criterion, rater)]
            else:
                kept = merged(known, [self._label(run, item, rater, asked)])
            write_labels(self._path, kept)
        return {"ok": True, "label": asked.get("label")}

    def _label(self, run: RunResult, item: JudgedItem, rater: str, asked: Mapping[str, Any]) -> Label:
        value = label_value(asked["label"])
        if value is None:
            raise ConfigurationError(f"label: found {str(asked['label'])[:40]!r}; expected pass, fail or unsure")
        judge = judges_in(self._folder, [run]).get(run.run_id)
        return Label(
            run=run.run_id,
            criterion=item.criterion,
            value=value,
            rater=rater,
            note=str(asked.get("note") or "")[:_LONGEST],
            decision=item.decision,
            judge=judge.digest if judge else "",
            at=now(),
        )

    def _known(self) -> list[Label]:
        return read_labels(self._path) if self._path.exists() else []


def user_name() -> str:
    """Who labels, as ``duologue label`` has it."""
    return os.environ.get("USER") or os.environ.get("USERNAME") or "me"
