"""What a page shows of a whole execution, made of its index, so that the runs themselves need not be read.

The index is what :func:`duologue.runs.store.encoding.index_of` makes: read from a folder, or made of an execution in
memory. The shapes are described in ``duologue/web/static/source.js``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, cast

from duologue.reports.display import OUTCOMES
from duologue.runs.store.encoding import decoded_case
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult, failures_of

Json = dict[str, Any]
RunReader = Callable[[str], RunResult | None]
"""Reads the run of an id; None if it cannot be read."""

ROWS = 40
"""Rows of a matrix that are shown at first."""
_ATTENTION = 25
_FINDINGS = 3
_REASONS = 20
_EXAMPLES = 5
_DOTS = 40
_ALL_DOTS = 1000
_VALUES = 500
"""Of one thing to filter by."""
_LONGEST = 400


class Overview:
    """An index, prepared once for everything that pages ask of it.

    Args:
        index: of the execution.
        read: reads one of its runs.
    """

    def __init__(self, index: Mapping[str, Any], read: RunReader) -> None:
        self._index = index
        self._read = read
        self._cases: dict[int, Json] = {case["index"]: case for case in index["plan"]["cases"]}
        places = {run: number for number, group in enumerate(index["groups"]) for run in group["runs"]}
        self.lines = [self._line(line, places.get(line["run_id"], -1)) for line in index["runs"]]
        """The runs as a list shows them, in plan order."""
        self._by_id = {line["id"]: line for line in self.lines}

    def _line(self, line: Mapping[str, Any], group: int) -> Json:
        outcome, labels = line["outcome"], line.get("labels")
        data = written_case_data(self._cases[line["case"]])
        data["id"] = line["run_id"]
        data["reason"] = line["reasoning"] or ""
        for name in _OF_LINE:
            data[name] = line[name]
        data["tags"] = [f"{key}={value}" for key, value in labels.items()] if labels else []
        data["group"] = group
        failed = outcome == "fail" and group >= 0
        data["excused"] = failed and self._index["groups"][group]["outcome"] != "fail"
        return data

    @property
    def places(self) -> Iterable[int]:
        """The places of all test cases in the plan."""
        return self._cases

    def case(self, place: int) -> TestCase:
        """A test case of the plan."""
        return decoded_case(self._cases[place])

    def data(self, *, most: int | None = None) -> Json:
        """The execution without its runs.

        Args:
            most: of the titles that were not run; None for all of them.
        """
        index = self._index
        missing = self._missing()
        shown = missing[:most]
        return {
            "id": index["id"],
            "suite": index["suite"],
            "path": index["path"],
            "started": index["started_at"],
            "seconds": index["seconds"],
            "exit": index["exit_code"],
            "interrupted": index["interrupted"],
            **({"running": True} if index.get("running") else {}),
            "totals": index["totals"],
            "spent": {name: sum(line[name] for line in self.lines) for name in ("tokens", "cost", "unpriced")},
            "seed": index["plan"]["seed"],
            "environment": index["environment"],
            "allowance": {"undecided": 0, "errors": 0, **index["allowance"]},
            "metricsThreshold": index.get("metrics_threshold"),
            "grading": index.get("grading"),
            "rates": index["rates"],
            "missing": [case.title for case in shown],
            "missingTotal": len(missing),
            "matrix": {"agents": self.agents(), "rows": self._first_rows(), "total": len(self.rows())},
            **self._attention(),
            "reasons": self._reasons(),
            "trials": self._all_trials(),
            "trialsTotal": sum(group["trials"] > 1 for group in self._index["groups"]),
            "mostTrials": max([1, *(line["trials"] for line in self.lines)]),
            "filters": self._filters(),
        }

    def _missing(self) -> list[TestCase]:
        done = {line["case"] for line in self._index["runs"]}
        return [self.case(place) for place in self._cases if place not in done]

    def agents(self) -> list[str]:
        """Columns of the matrix, in plan order."""
        return list(dict.fromkeys(group["agent"] or "" for group in self._index["groups"]))

    def rows(self) -> list[Json]:
        """All rows of the matrix, in plan order."""
        rows: dict[tuple[str, str], Json] = {}
        for group in self._index["groups"]:
            case = self._case_of(group)
            key = (case.scenario, varied_of(case))
            row = rows.setdefault(key, {"scenario": key[0], "varied": key[1], "cells": {}})
            row["cells"][case.agent or ""] = {
                "title": _title(case),
                "outcome": group["outcome"],
                "passed": sum(self._by_id[run]["outcome"] == "pass" for run in group["runs"]),
                "runs": len(group["runs"]),
                "run": group["runs"][0],
            }
        return list(rows.values())

    def _first_rows(self) -> list[Json]:
        """All, or those that did not pass first."""
        rows = self.rows()
        if len(rows) <= ROWS:
            return rows
        return sorted(rows, key=_passed)[:ROWS]

    def _case_of(self, group: Mapping[str, Any]) -> TestCase:
        first = self._by_id[group["runs"][0]]
        return self.case(first["case"])

    def _attention(self) -> Json:
        """Runs that need a look: one trial speaks for its test case."""
        open_ = [line for line in self.lines if line["outcome"] != "pass" and not line["excused"]]
        open_.sort(key=lambda line: _ORDER.get(line["outcome"], len(_ORDER)))
        trials = Counter(line["group"] for line in open_)
        return {
            "attention": [self._look(line, trials[line["group"]] - 1) for line in _distinct(open_)],
            "attentionTotal": len(open_),
        }

    def _look(self, line: Mapping[str, Any], more: int) -> Json:
        run = self._read(line["id"])
        found = failures_of(run)[:_FINDINGS] if run else ()
        cited = {message_id for item in found for message_id in item.message_ids}
        messages = [item for item in run.messages if item.id in cited] if run else []
        return {
            "run": {name: line[name] for name in ("id", "title", "outcome")},
            "id": line["id"],
            "more": more,
            "findings": [
                {"name": item.name, "text": _cut(item.text), "cites": list(item.message_ids)} for item in found
            ]
            or [{"name": "", "text": _cut(line["reason"]), "cites": []}],
            "messages": [{"id": item.id} for item in messages],
            "quote": _quote(messages, [message_id for item in found for message_id in item.message_ids]),
        }

    def _reasons(self) -> list[Json]:
        """Why runs did not pass, the most frequent first; numbers do not tell reasons apart."""
        found: dict[str, list[Json]] = {}
        for line in self.lines:
            if line["outcome"] != "pass" and not line["excused"]:
                found.setdefault(_alike(line["reason"] or line["outcome"]), []).append(line)
        most = sorted(found.values(), key=len, reverse=True)[:_REASONS]
        return [
            {
                "reason": _cut(lines[0]["reason"] or lines[0]["outcome"]),
                "count": len(lines),
                "runs": [{name: line[name] for name in ("id", "title", "outcome")} for line in lines[:_EXAMPLES]],
            }
            for lines in most
        ]

    def _all_trials(self) -> list[Json]:
        """Test cases with several trials, until there are too many dots."""
        found: list[Json] = []
        dots = 0
        for group in self._index["groups"]:
            if group["trials"] > 1 and dots < _ALL_DOTS:
                found.append(self._trials(group))
                dots += len(found[-1]["runs"])
        return found

    def _trials(self, group: Mapping[str, Any]) -> Json:
        shaky = [item for item in group["checks"] if item["flakiness"] or not item["ok"] or item["threshold"] < 1]
        return {
            "title": _title(self._case_of(group)),
            **{name: group[name] for name in ("outcome", "rate", "pass@k", "pass^k")},
            "checks": shaky,
            "runs": [trial_of(self._by_id[run]) for run in group["runs"][:_DOTS]],
            "total": len(group["runs"]),
        }

    def _filters(self) -> Json:
        """What there is to filter by, in the order of the plan."""
        found: dict[str, dict[str, None]] = {name: {} for name in (*_FILTERED, "tag", "outcome")}
        for line in self.lines:
            for name in _FILTERED:
                if line[name]:
                    found[name][line[name]] = None
            for tag in line["tags"]:
                found["tag"][tag] = None
            found["outcome"][line["outcome"]] = None
        values = {name: list(some)[:_VALUES] for name, some in found.items()}
        return {**values, "outcome": [word for word in OUTCOMES if word in found["outcome"]]}

    def trials_of(self, run_id: str) -> Json:
        """All trials of the test case of a run, and the share of them that passed."""
        group = self._index["groups"][self._by_id[run_id]["group"]]
        return {"passRate": group["pass_rate"], "runs": [trial_of(self._by_id[run]) for run in group["runs"]]}

    @property
    def pass_rates(self) -> list[float | None]:
        """Of each test case, by the number of its group."""
        return [group["pass_rate"] for group in self._index["groups"]]


_ORDER = {word: number for number, word in enumerate(("fail", "error", "undecided", "cancelled"))}


_FILTERED = ("scenario", "agent", "persona", "region")
_OF_LINE = ("outcome", "title", "termination", "turns", "cost", "unpriced", "tokens", "seconds")


def trial_of(line: Mapping[str, Any]) -> Json:
    """A run as a dot among the trials of its test case."""
    return {name: line[name] for name in ("id", "trial", "outcome")}


def case_data(case: TestCase) -> Json:
    """A test case as a list of runs shows it."""
    return written_case_data(case.as_data())


def written_case_data(case: Mapping[str, Any]) -> Json:
    """The same of a test case as it is written."""
    varied = case.get("perturbation")
    region = case["region"]
    return {
        "case": case["index"],
        "scenario": case["scenario"],
        "agent": case["agent"],
        "persona": case["persona"],
        "region": None if region == "default" else region,
        "perturbation": [f"{key}={value}" for key, value in varied.items()] if varied else [],
        "recording": case.get("recording"),
        "trial": case["trial"],
        "trials": case["trials"],
        "seed": str(case["seed"]),
    }


def varied_of(case: TestCase) -> str:
    """What a line of the matrix says besides the scenario."""
    varied = [case.persona or "", "" if case.region == "default" else case.region]
    varied += [f"{key}={value}" for key, value in case.perturbation]
    varied += [case.recording_title] if case.recording else []
    return " · ".join(part for part in varied if part)


def _distinct(lines: Iterable[Json]) -> list[Json]:
    """The first line of each group."""
    found: dict[int, Json] = {}
    for line in lines:
        found.setdefault(line["group"], line)
    return list(found.values())[:_ATTENTION]


def _title(case: TestCase) -> str:
    """Without the number of a trial."""
    return case.title.rsplit(" #", 1)[0] if case.trials > 1 else case.title


def _passed(row: Mapping[str, Any]) -> bool:
    return all(cell["outcome"] == "pass" for cell in row["cells"].values())


def _alike(reason: str) -> str:
    return re.sub(r"\d+(?:\.\d+)?", "#", reason[:_LONGEST])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _quote(messages: Sequence[Any], cites: Iterable[str]) -> str | None:
    """What an agent said that a finding rests on, else the first message with words."""
    known = {item.id: item for item in messages}
    said = [item for message_id in cites if (item := known.get(message_id)) and shown_text(item.message)]
    chosen = next((item for item in said if item.message["role"] == "assistant"), said[0] if said else None)
    return _cut(shown_text(chosen.message)) if chosen else None


def shown_text(message: Any, left_out: Collection[int] = ()) -> str:
    """The text of a message; parts of other kinds are named, but for those that are shown in another way."""
    content: object = message.get("content")
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    parts = [
        cast("dict[str, Any]", part)
        for number, part in enumerate(cast("list[object]", content))
        if isinstance(part, dict) and number not in left_out
    ]
    return "\n".join(
        str(part.get("text", "")) if part.get("type") == "text" else f"[{part.get('type')}]" for part in parts
    )


def inside(path: str | None) -> PurePosixPath | None:
    """A path that stays within the folder it is relative to; None for every other."""
    if not path or "\0" in path or "\\" in path or ":" in path:
        return None
    place = PurePosixPath(path)
    return None if place.is_absolute() or ".." in place.parts else place
