"""Reports as files: one JSON file for each attack, one folder for each batch, and everything found in many folders."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from duologue.agents.red_team import RedTeamAgent
from duologue.config.files import OWNER_ONLY, make_private_folder
from duologue.context import Clock, SystemClock
from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError
from duologue.journal.journal import RunView
from duologue.journal.jsonl import read_journal
from duologue.messages import Message
from duologue.models.base import Model
from duologue.reports.red_team._recommendations import analyse
from duologue.reports.red_team._report import (
    SCHEMA_VERSION,
    RedTeamReport,
    ReportSource,
    attacker_of,
    build_report,
    report_of,
)
from duologue.reports.red_team._summary import AttackGroup, RedTeamSummary, summarise
from duologue.runs.store.encoding import replace_file, require_replaceable
from duologue.settings import ModelConfig, env

DEFAULT_DIR = "redteam-reports"
GATHERED = "redteam-report.json"
"""The file with many reports and their summary; not a report itself."""
_SLUG = 60
"""Longest part of a file name, in characters."""
_FIELDS = {"test_name", "strategy", "target", "status", "attempts"}
"""Every report has these keys, and no other result file has them all."""
_batch: list[Path] = []
"""The folder of this process's reports, once it has one."""


def set_batch_dir(path: str | Path | None) -> None:
    """Write the reports of this process to that folder; None for a new one with the next report."""
    _batch[:] = [] if path is None else [Path(path)]


def current_batch_dir(clock: Clock | None = None) -> Path:
    """The folder of this process's reports: ``redteam-reports/<YYYYmmdd_HHMMSS>``, with the time of the first one.

    ``DUOLOGUE_REDTEAM_REPORT_DIR`` replaces ``redteam-reports``.
    """
    if not _batch:
        at = _utc((clock or SystemClock()).now())
        _batch[:] = [Path(env("REDTEAM_REPORT_DIR") or DEFAULT_DIR) / at.strftime("%Y%m%d_%H%M%S")]
    return _batch[0]


def save_redteam_report(
    result: ScenarioResult | None = None,
    *,
    red_team: RedTeamAgent,
    test_name: str,
    criteria: Sequence[str] | None = None,
    description: str | None = None,
    analyzer_model: str | ModelConfig | Model | None = None,
    analyze: bool = True,
    out_dir: str | Path | None = None,
    error: BaseException | None = None,
    elapsed_seconds: float | None = None,
    messages_override: Sequence[Message] | None = None,
    failing_turn_hint: int | None = None,
    clock: Clock | None = None,
) -> Path:
    """Write the report on one attack to a file of its own.

    Without ``analyzer_model`` the severities come from the scores. With one, the call waits for its answer: inside an
    event loop prefer :func:`analyse` and :func:`write_report`.

    Args:
        result: the result of the run; None if it ended with an exception.
        red_team: the attacker, after its run.
        test_name, description, criteria: what the test is called, its situation and its criteria.
        analyzer_model: a model that says how bad the outcome is and what to do.
        analyze: False skips the model.
        out_dir: folder for the file; None for :func:`current_batch_dir`.
        error: the exception that the run ended with.
        elapsed_seconds: duration as measured by the caller.
        messages_override: the conversation; None for that of the result.
        failing_turn_hint: place of the failing reply in the messages, from 0.
        clock: for tests.

    Returns:
        The file: ``<milliseconds>_<name>_<strategy>.json``.
    """
    now = (clock or SystemClock()).now()
    source = ReportSource(
        attacker=red_team.describe(),
        log=red_team.log,
        test_name=test_name,
        timestamp=_utc(now).isoformat(timespec="milliseconds"),
        description=description or "",
        criteria=criteria or (),
        result=result,
        error=error,
        elapsed_seconds=elapsed_seconds,
        messages=messages_override,
        failing_hint=failing_turn_hint,
    )
    report = build_report(source)
    if analyze and analyzer_model is not None:
        with ThreadPoolExecutor(max_workers=1) as pool:  # a loop of its own, whether the caller has one or not
            report = pool.submit(asyncio.run, analyse(report, analyzer_model)).result()
    folder = Path(out_dir) if out_dir is not None else current_batch_dir(clock)
    return write_report(report, folder, milliseconds=int(now * 1000))


def write_report(report: RedTeamReport, folder: str | Path, *, milliseconds: int) -> Path:
    """Write a report to a folder, which is created if needed; existing files are never overwritten.

    Args:
        report: the report.
        folder: the folder.
        milliseconds: time since 1970, for the file's name.
    """
    place = Path(folder)
    make_private_folder(place)
    stem = f"{milliseconds}_{_slug(report.test_name)}_{_slug(report.strategy)}"
    text = report.model_dump_json(indent=2)
    for number in range(1, 10_000):
        path = place / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        if _claimed(path):
            replace_file(path, text)
            return path
    raise ConfigurationError(f"{place} has no room for one more report named {stem}")


def read_reports(folder: str | Path) -> list[RedTeamReport]:
    """The reports in a folder, in order of time. ``redteam-report.json`` and names that begin with ``_`` are skipped.

    Raises:
        ConfigurationError: a file is not a report.
    """
    names = Path(folder).glob("*.json")
    paths = sorted(path for path in names if not path.name.startswith("_") and path.name != GATHERED)
    return [read_report(path) for path in paths]


def read_report(path: str | Path) -> RedTeamReport:
    """Read a report. Raises ConfigurationError if the file is not one."""
    try:
        return RedTeamReport.model_validate_json(Path(path).read_bytes())
    except ValidationError as error:
        raise ConfigurationError(f"{path} is not a red team report: {error}") from error


def gather(paths: Sequence[str | Path], latest: int | None = None) -> list[RedTeamReport]:
    """The attacks in files and folders, in order of time. Anything that is not an attack is skipped.

    An attack with both a journal and a saved report counts once, and the report wins: it may have an analysis by a
    model.

    Args:
        paths: journals (``.jsonl``), reports (``.json``), and folders that are searched for both.
        latest: only that many, the newest ones.

    Raises:
        ConfigurationError: a path does not exist, or none of them has an attack.
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
    """The newest folder that :func:`save_redteam_report` created.

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
    """The summary of all attacks, and each of them, as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "summary": _summary(summarise(reports)),
        "reports": [report.model_dump(mode="json") for report in reports],
    }


def save_json(reports: Sequence[RedTeamReport], folder: str | Path) -> Path:
    """Write :func:`as_data` to ``redteam-report.json`` in a folder, which is created if needed."""
    place = Path(folder)
    path = place / GATHERED
    require_replaceable(path, re.compile(rb'\A\{\s*"schema_version": \d+,\s*"summary": \{'))
    replace_file(path, json.dumps(as_data(reports), indent=2, ensure_ascii=False) + "\n")
    return path


def _reports_in(path: Path) -> Iterator[RedTeamReport]:
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist; expected a journal, a report, or a folder of them")
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
    except (OSError, ValueError, RecursionError):
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


def _group(group: AttackGroup) -> dict[str, Any]:
    return {"name": group.name, **asdict(group.success), "rate": group.success.rate, "left_out": group.left_out}


def _claimed(path: Path) -> bool:
    try:
        path.touch(OWNER_ONLY, exist_ok=False)
    except FileExistsError:
        return False
    return True


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_SLUG] or "attack"


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
