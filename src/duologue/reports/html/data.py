"""What the page knows of an execution, as plain data: everything that is shown, and nothing that is only stored.

Names are short where every message has the value; texts that many runs share, such as system prompts, are there
once. Small pictures and sounds are part of the page, larger ones are linked to where they lie beside it. What is
shown comes from agents and users, so only data of a few harmless types is ever put into the page, and a link leads to
a file of the results or nowhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from duologue.errors import DuologueError
from duologue.journal.artifacts import is_harmless
from duologue.journal.events import CheckEvaluated, CriterionDecision, cut_mark
from duologue.messages import tool_calls_of
from duologue.reports.display import (
    blame_lines,
    by_agent,
    excused,
    grades_of,
    recorded_cost,
    recorded_facts,
)
from duologue.reports.html.overview import ROWS, Overview, case_data, inside, shown_text
from duologue.reports.html.peaks import peaks_of
from duologue.reports.html.timeline import Timelines
from duologue.reports.html.voice import voice_data
from duologue.runs.store.baselines import DEFAULT, baseline_named, read_baselines
from duologue.runs.store.encoding import encoded, index_of, line_of, spent_data
from duologue.suites.results.execution import ExecutionResult, Group, embedded_models
from duologue.suites.results.run import SPENDERS, MediaResult, MessageResult, RunResult, Spent, failures_of
from duologue.suites.results.voice import RECORDING
from duologue.vocabulary import CheckStatus, Decision

if TYPE_CHECKING:
    from duologue.suites.calibration.calibrate import Calibration

_SHOWN = {
    "image": {"image/png", "image/jpeg", "image/gif", "image/webp"},
    "audio": {"audio/wav", "audio/x-wav", "audio/mpeg", "audio/ogg", "audio/mp4", "audio/webm", "audio/flac"},
    "video": {"video/mp4", "video/webm"},
}
_LARGEST = 256 * 1024
"""Bytes of one picture or sound that is put into the page."""
_ALTOGETHER = 6 * 1024 * 1024
"""Bytes of all of them, encoded."""
_DATA = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/=\s]*)", re.IGNORECASE)
_FLIPS = 10
"""Checks that changed, of which a comparison with the baseline shows so many."""


class Media:
    """What is put into one page, until it is full.

    Args:
        folder: of the results, whose files may be put into the page; None if only what the results hold may.
        here: the folder that the page will lie in; links are relative to it. None for no links.
        address: makes the address of a file of the results that a server sends, of its path in the folder; None for
            one that it does not send. Without a folder it is asked about every file.
    """

    def __init__(
        self, folder: Path | None = None, here: Path | None = None, address: Callable[[str], str | None] | None = None
    ) -> None:
        self.folder = folder
        self._here = here
        self._address = address
        self._left = _ALTOGETHER

    def of(self, run: RunResult) -> list[dict[str, Any]]:
        """The media of a run as data for the page; ``src`` is there for what is shown, ``href`` for what is linked."""
        parts = {(message.id, number): part for message in run.messages for number, part in _parts(message.message)}
        found = [item for item in run.media if item.message_id != RECORDING]
        return [self._one(item, parts.get((item.message_id, item.part))) for item in found]

    def recording(self, run: RunResult) -> dict[str, Any] | None:
        """The recording of a conversation in voice; None if there is none.

        A page that is a file must not read the one beside it, so it has the shape of the sound as well: ``peaks``.
        """
        found = next((item for item in run.media if item.message_id == RECORDING), None)
        if found is None:
            return None
        data = self._one(found, None)
        place = inside(found.path)
        if self._address is None and self.folder is not None and place is not None and data["href"]:
            peaks = peaks_of(self.folder / place)
            data["peaks"] = None if peaks is None else asdict(peaks)
        return data

    def _one(self, item: MediaResult, part: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            "type": item.type,
            "mime": item.mime_type,
            "message": item.message_id,
            "size": item.size_bytes,
            "duration": item.duration,
            "width": item.width,
            "height": item.height,
            "path": item.path or item.url,
            "href": (link := self._link(item.path)),
            "src": self._source(item, part) or self._served(item, link),
        }

    def _served(self, item: MediaResult, link: str | None) -> str | None:
        """The address of what is too large to be in the page, where a server sends it."""
        shown = self._address is not None and item.mime_type.lower() in _SHOWN.get(item.type, ())
        return link if shown else None

    def _source(self, item: MediaResult, part: Mapping[str, Any] | None) -> str | None:
        addresses = [item.thumbnail, _address(part or {}, item.mime_type), self._file(item)]
        for address in addresses:
            found = _DATA.fullmatch(address or "")
            if found is None or found[1].lower() not in _SHOWN.get(item.type, ()):
                continue
            if len(found[0]) <= min(_LARGEST * 4 // 3 + 64, self._left):
                self._left -= len(found[0])
                return found[0]
        return None

    def _file(self, item: MediaResult) -> str | None:
        place = inside(item.path)
        if self.folder is None or place is None or item.mime_type.lower() not in _SHOWN.get(item.type, ()):
            return None
        path = self.folder / place
        try:
            if path.stat().st_size > min(_LARGEST, self._left) or not path.resolve().is_relative_to(
                self.folder.resolve()
            ):
                return None
            return f"data:{item.mime_type};base64,{base64.b64encode(path.read_bytes()).decode()}"
        except (OSError, ValueError):  # a name that no file can have
            return None

    def _link(self, path: str | None) -> str | None:
        """A path from the page to a file of the results; None for what a browser could run, or lies elsewhere."""
        place = inside(path)
        if self.folder is None and self._address is not None and place is not None and is_harmless(place.name):
            return self._address(place.as_posix())
        if self.folder is None or self._here is None or place is None or not is_harmless(place.name):
            return None
        try:
            found = (self.folder / place).resolve()
            target = found.relative_to(self._here.resolve())
            if not found.is_file():
                return None
        except (ValueError, OSError):
            return None
        return self._address(target.as_posix()) if self._address else "./" + quote(target.as_posix())


def _parts(message: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    content = message.get("content")
    if not isinstance(content, list):
        return []
    parts = cast("list[Any]", content)
    return [(number, cast("Mapping[str, Any]", part)) for number, part in enumerate(parts) if isinstance(part, dict)]


def _address(part: Mapping[str, Any], mime: str) -> str | None:
    inner = part.get(str(part.get("type")))
    if not isinstance(inner, dict):
        return None
    values = cast("dict[str, Any]", inner)
    address = values.get("url") or values.get("file_data")
    if isinstance(address, str):
        return address
    data = values.get("data")
    return f"data:{mime};base64,{data}" if isinstance(data, str) else None


_WORDS = {CheckStatus.PASSED: "pass", CheckStatus.FAILED: "fail", CheckStatus.SKIPPED: "skipped"}
_DECIDED = {Decision.MET: "pass", Decision.UNMET: "fail", Decision.INCONCLUSIVE: "undecided"}


class Prompts:
    """System prompts, each once."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Its place in the list of them all."""
        return self.texts.setdefault(text, len(self.texts))


def page_data(execution: ExecutionResult, media: Media) -> bytes:
    """The whole content of the page as JSON. Each run is encoded by itself, so that there is never more than one."""
    prompts = Prompts()
    groups = {id(run): (number, group) for number, group in enumerate(execution.groups) for run in group.runs}
    runs = b",".join(encoded(run_data(run, *groups[id(run)], prompts, media)) for run in execution.runs)
    return encoded(_without_runs(execution, prompts, media))[:-1] + b',"runs":[' + runs + b"]}"


def calibration_table(found: Calibration | None) -> dict[str, Any] | None:
    """How well the judge agrees with people, as a table and remarks."""
    if found is None:
        return None
    from duologue.reports.calibration import COLUMNS, table_rows
    from duologue.suites.calibration.calibrate import remarks

    return {"head": COLUMNS, "rows": list(table_rows(found)), "remarks": remarks(found)}


def _without_runs(execution: ExecutionResult, prompts: Prompts, media: Media) -> dict[str, Any]:
    runs = {run.run_id: run for run in execution.runs}
    overview = Overview(index_of(execution), runs.get)
    rows = overview.rows()
    compared = _with_baseline(execution, media.folder)
    calls = Timelines(media.folder).of(execution.runs)
    return {
        **overview.data(),
        **({"comparison": compared} if compared else {}),
        **({"calls": calls} if calls else {}),
        **({"allRows": rows} if len(rows) > ROWS else {}),
        "calibration": calibration_table(execution.calibration),
        "agents": agent_figures(execution),
        "passRates": overview.pass_rates,
        "prompts": list(prompts.texts),
    }


def _with_baseline(execution: ExecutionResult, folder: Path | None) -> dict[str, Any] | None:
    """What became better or worse since the default baseline; None where there is none of this suite.

    Args:
        execution: what the report is about.
        folder: of its results; None where nobody knows.
    """
    if folder is None:
        return None
    try:
        if all(item.name != DEFAULT for item in read_baselines(folder)):
            return None
        from duologue.runs.store.reader import find_execution
        from duologue.suites.comparison import compare_executions

        before = find_execution(baseline_named(DEFAULT, folder)[1]).execution
        if before.id == execution.id or before.suite != execution.suite:
            return None
        return compare_executions(before, execution, most_flips=_FLIPS).as_data()
    except (DuologueError, OSError):  # a baseline that has gone is no reason to have no report
        return None


def agent_figures(execution: ExecutionResult) -> list[dict[str, Any]]:
    """What each agent has spent, and how long its answers took."""
    return [
        {
            "name": item.agent,
            "runs": len(item.runs),
            "passed": item.passed,
            "spent": {who: spent_data(item.spent[who]) for who in SPENDERS},
            "latency": latency(item.runs),
        }
        for item in by_agent(execution)
    ]


def latency(runs: Iterable[RunResult]) -> dict[str, Any] | None:
    """How long answers took: seconds at the 10th, 50th and 90th percentile and the longest; None if nobody measured."""
    return quantiles(item.spent.seconds for run in runs for item in run.messages if _answered(item) and item.spent)


def quantiles(seconds: Iterable[float]) -> dict[str, Any] | None:
    """The 10th, 50th and 90th percentile of some times, and the longest; None if there are none."""
    times = sorted(seconds)
    if not times:
        return None
    at = {name: times[min(len(times) - 1, round(part * (len(times) - 1)))] for name, part in _PARTS.items()}
    return {"count": len(times), **at, "longest": times[-1]}


_PARTS = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


def _answered(item: MessageResult) -> bool:
    return item.spent is not None and item.message["role"] == "assistant"


def run_page_data(run: RunResult, media: Media, *, excused: bool = False) -> dict[str, Any]:
    """One run by itself, as a server sends it: ``Run`` of ``source.js``."""
    prompts = Prompts()
    data = run_data(run, -1, None, prompts, media)
    return {**data, "excused": excused, "prompts": list(run.system_prompts)}


def run_data(run: RunResult, group: int, whole: Group | None, prompts: Prompts, media: Media) -> dict[str, Any]:
    """One run, as a part of a page.

    Args:
        run: the run.
        group, whole: its test case, by number and as it is; None if nobody asks for it.
        prompts: of all runs of the page.
        media: of the page.
    """
    line = line_of(run)
    shown = {(item.message_id, item.part) for item in run.media}
    data: dict[str, Any] = {
        **{name: line[name] for name in ("outcome", "termination", "turns", "cost", "unpriced", "tokens", "seconds")},
        **case_data(run.case),
        "id": run.run_id,
        "title": run.case.title,
        "group": group,
        "reason": line["reasoning"],
        "journal": run.journal,
        "started": run.started_at.isoformat() if run.started_at else None,
        "agentSeconds": run.agent_seconds,
        "description": run.description,
        "tags": [f"{key}={value}" for key, value in run.labels.items()],
        "spent": {who: _short(getattr(run, who)) for who in SPENDERS if getattr(run, who).calls},
        "messages": [_message(item, shown) for item in run.messages],
        "prompts": [prompts.number(text) for text in run.system_prompts],
        "checks": [_check(item) for item in run.checks],
        "excused": whole is not None and excused(run, whole),
    }
    data |= {name: value for name, value in _rarer(run, data["messages"], media).items() if value}
    return data


def _rarer(run: RunResult, messages: list[dict[str, Any]], media: Media) -> dict[str, Any]:
    """What most runs do not have."""
    return {
        "findings": [
            {"kind": item.kind, "name": item.name, "text": item.text, "cites": item.message_ids}
            for item in failures_of(run)
        ],
        "blame": blame_lines(run, fidelity=True),
        "decisions": [_decision(item) for item in run.decisions],
        "judgements": [
            {
                "judge": item.judge,
                "turn": item.turn,
                "kind": item.kind,
                "verdict": item.verdict,
                "reasoning": item.reasoning,
                "advisory": item.advisory,
                "decisions": [_decision(decided) for decided in item.decisions] if item.advisory else [],
            }
            for item in run.judgements
        ],
        "guardrails": run.guardrails,
        "tools": run.tools,
        "media": media.of(run) if run.media else None,
        "voice": voice_data(run, messages, media.recording(run)) if run.voice else None,
        "workflow": run.workflow,
        "error": run.error,
        "recorded": _recorded(run),
    }


def _recorded(run: RunResult) -> list[tuple[str, str]]:
    """What the source says about a recording, or what to know of embedded models, as rows of names and values."""
    if run.recording is None:
        return [("embedded model", told) for told in embedded_models([run])]
    cost = recorded_cost(run.recording.spent)
    return [("recorded as", run.recording.name), *recorded_facts(run), *([("recorded cost", cost)] if cost else [])]


def _short(spent: Spent) -> list[float]:
    """Calls, tokens read, tokens written, dollars, seconds, calls without a price."""
    usage = spent.usage
    return [spent.calls, usage.input_tokens, usage.output_tokens, spent.cost, spent.seconds, spent.unpriced]


def _message(item: MessageResult, shown: set[tuple[str, int]]) -> dict[str, Any]:
    message = item.message
    left_out = {part for message_id, part in shown if message_id == item.id}
    text = shown_text(message, left_out)
    data: dict[str, Any] = {"id": item.id, "turn": item.turn, "role": message["role"], "text": text}
    if calls := tool_calls_of(message):
        data["calls"] = [
            {"id": call["id"], "name": call["function"]["name"], "args": call["function"]["arguments"]}
            for call in calls
        ]
    if answered := message.get("tool_call_id"):
        data["answers"] = answered
    if item.author:
        data["author"] = item.author
    if item.spent is not None:
        data["spent"] = _short(item.spent)
    if item.model:
        data["model"] = item.model
    if item.cut:
        data["cut"] = cut_mark(item.cut)
    if item.meta:
        data["meta"] = item.meta
    return data


def _check(item: CheckEvaluated) -> dict[str, Any]:
    data: dict[str, Any] = {"name": item.name, "status": _WORDS.get(item.status, "error"), "turn": item.turn}
    if item.scope == "conversation":
        data["whole"] = True
    more = {"kind": item.kind, "why": item.explanation, "cites": item.message_ids}
    data |= {name: value for name, value in more.items() if value and value != item.name}
    if item.score is not None:
        data["score"] = item.score
    if grades := grades_of(item):
        data["grades"] = grades
    elif item.details and item.status is not CheckStatus.PASSED:
        data["details"] = item.details
    return data


def _decision(item: CriterionDecision) -> dict[str, Any]:
    return {
        "criterion": item.criterion,
        "status": _DECIDED[item.decision],
        "why": item.reason,
        "cites": item.message_ids,
    }
