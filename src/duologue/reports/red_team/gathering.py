"""Finds attacks where runs were kept: in journals, and in the reports that tests saved.

What is no attack is passed over, so that the folder of a whole launch can be given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from duologue.errors import ConfigurationError
from duologue.journal.jsonl import read_journal
from duologue.journal.view import RunView
from duologue.reports.red_team.building import attacker_of, report_of
from duologue.reports.red_team.model import SCHEMA_VERSION, RedTeamReport
from duologue.reports.red_team.saving import DEFAULT_DIR, GATHERED, read_report
from duologue.reports.red_team.summary import Group, RedTeamSummary, summarise
from duologue.runs.store.writing import replace_file
from duologue.settings import env

_FIELDS = {"test_name", "strategy", "target", "status", "attempts"}
"""Every report has them, and no other file of results has them all."""


def gather(paths: Sequence[str | Path], latest: int | None = None) -> list[RedTeamReport]:
    """The attacks in some files and folders, in order of time.

    An attack that has both a journal and a saved report counts once, as the report has it: that may hold what a model
    said about it.

    Args:
        paths: journals (``.jsonl``), reports (``.json``), and folders that are searched for both.
        latest: only so many, the newest.

    Raises:
        ConfigurationError: a path is not there, or there is no attack in any of them.
        JournalError: a journal cannot be read.
    """
    found: dict[str, RedTeamReport] = {}
    for path in paths:
        for report in _reports_in(Path(path)):
            key = report.run_id or f"{report.timestamp} {report.test_name} {report.strategy}"
            found.setdefault(key, report)
    if not found:
        places = ", ".join(map(str, paths))
        raise ConfigurationError(
            f"no attack in {places}: expected journals (.jsonl) of runs with a RedTeamAgent, or reports that "
            "save_redteam_report wrote"
        )
    ordered = sorted(found.values(), key=lambda report: report.timestamp)
    return ordered[-latest:] if latest is not None else ordered


def newest_batch() -> Path:
    """The newest folder that :func:`save_redteam_report` made for itself.

    Raises:
        ConfigurationError: there is none.
    """
    home = Path(env("REDTEAM_REPORT_DIR") or DEFAULT_DIR)
    batches = sorted(path for path in home.glob("*") if path.is_dir())
    if not batches:
        raise ConfigurationError(
            f"{home} holds no reports; name the folder of a launch, such as duologue-runs, or a journal"
        )
    return batches[-1]


def as_data(reports: Sequence[RedTeamReport]) -> dict[str, Any]:
    """What all attacks came to, and each of them, as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "summary": _summary(summarise(reports)),
        "reports": [report.model_dump(mode="json") for report in reports],
    }


def save_json(reports: Sequence[RedTeamReport], folder: str | Path) -> Path:
    """Write :func:`as_data` to ``redteam-report.json`` in a folder, which is made if need be."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    path = place / GATHERED
    replace_file(path, json.dumps(as_data(reports), indent=2, ensure_ascii=False) + "\n")
    return path


def _reports_in(path: Path) -> Iterator[RedTeamReport]:
    if not path.exists():
        raise ConfigurationError(f"{path} is not there; expected a journal, a report, or a folder of them")
    if path.is_dir():
        saved = (item for item in sorted(path.rglob("*.json")) if _is_report(item))
        yield from map(read_report, saved)
        views = (read_journal(item).view for item in sorted(path.rglob("*.jsonl")))
        yield from (report_of(view) for view in views if _is_attack(view))
    elif path.suffix == ".jsonl":
        yield report_of(read_journal(path).view)
    else:
        yield read_report(path)


def _is_attack(view: RunView) -> bool:
    return attacker_of(view) is not None


def _is_report(path: Path) -> bool:
    try:
        data: object = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(data, dict) and data.keys() >= _FIELDS


def _summary(summary: RedTeamSummary) -> dict[str, Any]:
    return {
        "reports": summary.reports,
        "statuses": summary.statuses,
        "overall": _group(summary.overall),
        "by_strategy": [_group(group) for group in summary.by_strategy],
        "by_category": [_group(group) for group in summary.by_category],
        "by_technique": [_group(group) for group in summary.by_technique],
        "by_turn": [_group(group) for group in summary.by_turn],
    }


def _group(group: Group) -> dict[str, Any]:
    return {"name": group.name, **asdict(group.success), "rate": group.success.rate, "left_out": group.left_out}
