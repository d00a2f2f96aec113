"""Reports as files: one JSON file for each attack, in one folder for each batch of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from duologue.agents.red_team import RedTeamAgent
from duologue.context import Clock, SystemClock
from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError
from duologue.messages import Message
from duologue.models.base import Model
from duologue.reports.red_team.analysis import analyse
from duologue.reports.red_team.building import Subject, build_report
from duologue.reports.red_team.model import RedTeamReport
from duologue.runs.store.writing import replace_file
from duologue.settings import ModelConfig, env

DEFAULT_DIR = "redteam-reports"
GATHERED = "redteam-report.json"
"""What many reports are put together in; it is no report itself."""
_SLUG = 60
_batch: list[Path] = []
"""The folder of this process's reports, once it has one."""


def set_batch_dir(path: str | Path | None) -> None:
    """Write the reports of this process into that folder; None for a new one with the next report."""
    _batch[:] = [] if path is None else [Path(path)]


def current_batch_dir(clock: Clock | None = None) -> Path:
    """The folder of this process's reports: ``redteam-reports/<YYYYmmdd_HHMMSS>``, by the time of the first.

    ``DUOLOGUE_REDTEAM_REPORT_DIR`` stands in place of ``redteam-reports``.
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

    No model is asked unless ``analyzer_model`` is given; severities come from the scores then. With one, the call waits
    for its answer: inside an event loop prefer :func:`analyse` and :func:`write_report`.

    Args:
        result: of the run; None where an exception came in its place.
        red_team: the attacker, after its run.
        test_name, description, criteria: of the test.
        analyzer_model: a model that says how bad it is and what to do.
        analyze: False leaves the model out.
        out_dir: folder for the file; None for :func:`current_batch_dir`.
        error: the exception that the run ended with.
        elapsed_seconds: as the caller measured it.
        messages_override: the conversation in place of the result's.
        failing_turn_hint: place of the failing reply in the messages, from 0.
        clock: for tests.

    Returns:
        The file: ``<milliseconds>_<name>_<strategy>.json``.
    """
    now = (clock or SystemClock()).now()
    subject = Subject(
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
    report = build_report(subject)
    if analyze and analyzer_model is not None:
        with ThreadPoolExecutor(max_workers=1) as pool:  # a loop of its own, whether the caller has one or not
            report = pool.submit(asyncio.run, analyse(report, analyzer_model)).result()
    folder = Path(out_dir) if out_dir is not None else current_batch_dir(clock)
    return write_report(report, folder, milliseconds=int(now * 1000))


def write_report(report: RedTeamReport, folder: str | Path, *, milliseconds: int) -> Path:
    """Write a report into a folder, which is made if need be; nothing that is there is overwritten.

    Args:
        report: what to write.
        folder: where.
        milliseconds: since 1970, for the file's name.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    stem = f"{milliseconds}_{_slug(report.test_name)}_{_slug(report.strategy)}"
    text = report.model_dump_json(indent=2)
    for number in range(1, 10_000):
        path = place / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        if _claimed(path):
            replace_file(path, text)
            return path
    raise ConfigurationError(f"{place} has no room for one more report named {stem}")


def read_reports(folder: str | Path) -> list[RedTeamReport]:
    """The reports in a folder, in order of time. What was made of them is passed over: ``redteam-report.json``, ``_…``.

    Raises:
        ConfigurationError: a file is no such report.
    """
    names = Path(folder).glob("*.json")
    paths = sorted(path for path in names if not path.name.startswith("_") and path.name != GATHERED)
    return [read_report(path) for path in paths]


def read_report(path: str | Path) -> RedTeamReport:
    """A report that was written before. Raises ConfigurationError if it is none."""
    try:
        return RedTeamReport.model_validate_json(Path(path).read_bytes())
    except ValidationError as error:
        raise ConfigurationError(f"{path} is no red team report: {error}") from error


def _claimed(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_SLUG] or "attack"


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
