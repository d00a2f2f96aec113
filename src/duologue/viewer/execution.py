"""One execution as the pages ask for it, whether it is over, under way or was killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl

from duologue.config.collection import without_collection
from duologue.context import SystemClock
from duologue.errors import ConfigurationError, DuologueError, JournalError
from duologue.journal.artifacts import JOURNALS
from duologue.journal.jsonl import read_journal
from duologue.reports.html.data import Media, calibration_table, run_page_data
from duologue.reports.html.label_queue import without_conversation
from duologue.reports.html.overview import Overview, inside
from duologue.reports.html.search import SECONDS, MessageSearch, Searches, filtered, found_page, parts_left
from duologue.runs.store.encoding import RUNS, index_of
from duologue.runs.store.judges import judges_in
from duologue.runs.store.reader import find_execution, read_index, read_run
from duologue.suites.calibration.calibrate import Calibration, calibrate
from duologue.suites.calibration.judged import JudgeIdentity, judged_items
from duologue.suites.calibration.labels import labels_path, read_labels
from duologue.suites.plan.build import TestCase
from duologue.suites.results.from_journal import run_result
from duologue.suites.results.run import RunResult
from duologue.viewer.details import Details, details_of, run_json
from duologue.viewer.tree import file_stamp

Json = dict[str, Any]
Address = Callable[[str], str]

_MISSING = 20
_UNDER_WAY = 200


class Opened:
    """An execution at one moment.

    Args:
        folder: of its results.
        index: of it.
        runs: by id, where they had to be read anyway.
        problems: what could not be read.
    """

    def __init__(
        self, folder: Path, index: Mapping[str, Any], runs: Mapping[str, RunResult], problems: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.index = index
        self.problems = problems
        self._runs = runs
        self._lock, self._labelling = Lock(), Lock()
        self._calibrated: tuple[object, Calibration | None] | None = None
        self.overview = Overview(index, self.run_result)
        self._by_id = {line["id"]: line for line in self.overview.lines}

    @classmethod
    def of(cls, folder: Path, kind: str) -> Opened:
        """Read what there is.

        Raises:
            ConfigurationError: it cannot be read.
        """
        if kind == "whole":
            try:
                with without_collection():
                    return cls(folder, read_index(folder), {})
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ConfigurationError(f"{folder} has an index that is not one of Duologue: {error!r}") from error
        found = find_execution(folder)
        runs = {run.run_id: run for run in found.execution.runs}
        with without_collection():
            return cls(folder, index_of(found.execution), runs, tuple(found.problems))

    @property
    def running(self) -> bool:
        """Whether somebody is writing it."""
        return bool(self.index.get("running"))

    def data(self) -> Json:
        """See ``Execution`` in ``source.js``."""
        return {
            **self._data,
            "calibration": calibration_table(self.labelled),
            "problems": [told for told in self.problems if "still running" not in told],
            "underWay": [self._begun_line(case, run_id) for case, run_id in self.under_way()],
        }

    @cached_property
    def _data(self) -> Json:
        return self.overview.data(most=_MISSING)

    @property
    def labelled(self) -> Calibration | None:
        """What the labels beside the results say of the judge; None where there are none that can be read."""
        path = labels_path(self.folder)
        with self._labelling, suppress(DuologueError, OSError, ValueError):
            stamp = file_stamp(str(path))
            if self._calibrated is None or self._calibrated[0] != stamp:
                made = calibrate(read_labels(path), self.judged, self._judges) if path.is_file() else None
                self._calibrated = stamp, made
            return self._calibrated[1]
        return None

    @property
    def judged(self) -> Sequence[RunResult]:
        """Runs that a judge has decided about, without their conversations."""
        return self._judged

    @cached_property
    def _judged(self) -> Sequence[RunResult]:
        whole = self._runs.values() or find_execution(self.folder).execution.runs
        return [without_conversation(run) for run in whole if judged_items(run)]

    @cached_property
    def _judges(self) -> Mapping[str, JudgeIdentity]:
        return judges_in(self.folder, self.judged)

    def under_way(self) -> list[tuple[TestCase, str]]:
        """Runs that have a journal and no result, while the execution is running."""
        if not self.running:
            return []
        begun = {name.removesuffix(".jsonl") for name in _names(self.folder / JOURNALS)} - set(self._by_id)
        if not begun:
            return []
        cases = map(self.overview.case, self.overview.places)
        ids = ((case, case.run_id(self.index["id"])) for case in cases)
        return [(case, run_id) for case, run_id in ids if run_id in begun][:_UNDER_WAY]

    def _begun_line(self, case: TestCase, run_id: str) -> Json:
        return {"id": run_id, "title": case.title, "outcome": "running"}

    def run_result(self, run_id: str) -> RunResult | None:
        """A run that is over; None if it cannot be read."""
        if run_id in self._runs:
            return self._runs[run_id]
        with suppress(DuologueError):
            return read_run(self.folder, run_id)
        return None

    def journal(self, run_id: str) -> Path | None:
        """The journal of a run; None if there is none."""
        if run_id not in self._by_id and all(begun != run_id for _, begun in self.under_way()):
            return None
        run = self._runs.get(run_id)
        place = inside(run.journal) if run is not None and run.journal else PurePosixPath(JOURNALS, f"{run_id}.jsonl")
        path = self.folder / place if place is not None else None
        return path if path is not None and path.is_file() else None

    def run(self, run_id: str, address: Address) -> Json | None:
        """Everything about a run; None if there is none of that id.

        Args:
            run_id: of an ended or a running run.
            address: makes the address of a file of the results.
        """
        line = self._by_id.get(run_id)
        media = Media(self.folder, self.folder, address)
        if line is not None:
            run = self.run_result(run_id)
            if run is None:
                raise ConfigurationError(f"{self.folder / RUNS / run_id}.json cannot be read")
            return run_page_data(run, media, excused=line["excused"])
        for case, begun in self.under_way():
            if begun == run_id:
                return self._begun(case, run_id, media)
        return None

    def _begun(self, case: TestCase, run_id: str, media: Media) -> Json | None:
        """As much of a run as its journal has."""
        path = self.folder / JOURNALS / f"{run_id}.jsonl"
        try:
            file = read_journal(path)
            made = run_result(case, file.entries, file.view, journal=f"{JOURNALS}/{path.name}")
        except (JournalError, OSError):
            return None
        return {**run_page_data(made, media), "id": run_id, "outcome": "running", "reason": "", "running": True}

    def page(
        self, query: str, searches: Searches, offset: int, limit: int, around: str | None, *, further: bool
    ) -> Json:
        """A part of the list of runs; see ``RunPage`` in ``source.js``.

        Args:
            query: filters, as the address of the page has them.
            searches: that can go on.
            offset, limit: which part.
            around: the id of a run whose place is asked for.
            further: whether to go on with the search where it stopped.
        """
        wanted = dict(parse_qsl(query))
        lines = filtered(self.overview.lines, wanted)
        words = wanted.get("q", "")
        search = None
        if words.strip():
            search, new = searches.of(self.folder, words)
            if new or further:
                self._look(search, lines)
        found = found_page(lines, words, search, offset=offset, limit=limit, around=around)
        return {**found, "all": len(self.overview.lines)}

    def _look(self, search: MessageSearch, lines: list[Json]) -> None:
        clock = SystemClock()
        end = clock.monotonic() + SECONDS
        for part in parts_left(search, lines):
            for line in part:
                search.take(line, run_json(self.folder, line["id"]) or self._conversation(line["id"]))
            if clock.monotonic() >= end:
                return

    def _conversation(self, run_id: str) -> Json | None:
        """What was said in a run that has a journal and no file."""
        run = self._runs.get(run_id)
        if run is None:
            return None
        said = [{"id": item.id, "message": item.message} for item in run.messages]
        return {"description": run.description, "messages": said}

    @property
    def details(self) -> Details:
        """What only the runs themselves say. It is read once."""
        with self._lock:
            return self._details

    @cached_property
    def _details(self) -> Details:
        return details_of(self.folder, [line["id"] for line in self.overview.lines])


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".jsonl")]  # noqa: PTH208 - of many files
    except OSError:
        return []
