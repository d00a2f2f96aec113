"""Results as the files that PromptKit's tools read: ``<RunID>.json`` for each run, and ``index.json``.

The keys are theirs. Where one word of theirs covers several of ours, nothing is hidden: decisions of a judge stand
among the conversation's assertions, and a run that failed is never counted as successful. What our results do not
know is left out (``UserFeedback``, ``Commit``) or empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from duologue.compat.promptkit.export_messages import assertion, exported_messages, mock_cost, summary
from duologue.config.files import make_private_folder
from duologue.errors import ConfigurationError
from duologue.reports.formats import ReportFormat
from duologue.runs.store.encoding import encoded, replace_bytes
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.from_journal import GUARDRAIL
from duologue.suites.results.run import MediaResult, RunResult, Spent, reason_of
from duologue.vocabulary import Decision, Scope, Verdict

_OURS = re.compile(r".+-[0-9a-f]{16}")
REPLAYED = "eval"
"""The name of the provider of a recording."""


def save_promptkit(execution: ExecutionResult, path: Path, folder: Path | None = None) -> Path:
    """Write the results into a folder.

    Args:
        execution: what to write.
        path: the folder; it is made if need be.
        folder: of the results; paths of journals and media are relative to it, and are written as they lie.

    Returns:
        The folder.
    """
    if path.is_symlink() or ((path / "index.json").exists() and not _is_ours(path / "index.json")):
        raise ConfigurationError(
            f"{path} was not written by Duologue; nothing was written. Move it elsewhere, or choose another folder"
        )
    make_private_folder(path)
    _remove_runs(path, but={run.run_id for run in execution.runs})
    for run in execution.runs:
        replace_bytes(path / f"{run.run_id}.json", encoded(exported_run(run, folder)))
    replace_bytes(path / "index.json", encoded(exported_index(execution)))
    return path


def remove_promptkit(path: Path) -> None:
    """Remove the results that Duologue wrote into a folder, and the folder if nothing else is in it."""
    if path.is_symlink() or not _ids_in(path / "index.json"):
        return
    _remove_runs(path)
    with suppress(OSError):
        (path / "index.json").unlink()
        path.rmdir()


def _remove_runs(path: Path, but: Collection[str] = ()) -> None:
    """Remove files of runs that the index of the folder names, and that begin as ours do."""
    for run_id in _ids_in(path / "index.json") or ():
        file = path / f"{run_id}.json"
        if run_id in but or file.parent != path:
            continue
        begin = encoded({"RunID": run_id, "PromptPack": ""})[:-1]
        with suppress(OSError):
            if file.is_symlink() or not file.is_file():
                continue
            with file.open("rb") as data:
                ours = data.read(len(begin)) == begin
            if ours:
                file.unlink()


def _is_ours(index: Path) -> bool:
    """Whether the results in a folder are of us, and not of PromptKit."""
    return _ids_in(index) is not None


def _ids_in(index: Path) -> list[str] | None:
    """The ids of the runs in an index that we wrote: they end with 16 digits. None for somebody else's."""
    try:
        ids = json.loads(index.read_bytes())["run_ids"]
        return ids if all(_OURS.fullmatch(run_id) for run_id in ids) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def exported_run(run: RunResult, folder: Path | None = None) -> dict[str, Any]:
    """One run, in their keys.

    Args:
        run: the run.
        folder: that paths are relative to.
    """
    started = run.started_at
    data: dict[str, Any] = {
        "RunID": run.run_id,
        "PromptPack": "",
        "Region": run.case.region,
        "ScenarioID": run.case.scenario,
        "ProviderID": run.case.agent or REPLAYED,
        "Params": {"seed": run.case.seed, "trial": run.case.trial, **dict(run.case.perturbation)},
        "Messages": exported_messages(run),
        "Commit": {},
        "Cost": _cost(run),
        "ToolStats": _tool_stats(run),
        "Violations": [
            {"type": item.type, "tool": "", "detail": item.explanation} for item in run.guardrails if not item.passed
        ],
        "StartTime": _stamp(started),
        "EndTime": _stamp(started + timedelta(seconds=run.seconds) if started else None),
        "Duration": round(run.seconds * 1e9),
        "Error": error_of(run),
        "SelfPlay": run.self_play,
        "PersonaID": run.persona or "",
        "UserFeedback": None,
        "SessionTags": [f"{key}={value}" for key, value in run.labels.items()] or None,
        "AssistantRole": _role(run, "assistant"),
        "UserRole": _role(run, "user"),
        "MediaOutputs": [_media(run, item, folder) for item in _of_agent(run)],
        "conversation_assertions": conversation_assertions(run),
    }
    if run.journal:
        data["RecordingPath"] = str(folder / run.journal) if folder else run.journal
    return data


def error_of(run: RunResult) -> str:
    """Why there is no result; '' where there is one. A run without a verdict always has an error."""
    if run.error is not None:
        return f"{run.error.type}: {run.error.message}"
    return "" if run.verdict else reason_of(run) or run.outcome


def conversation_assertions(run: RunResult) -> dict[str, Any]:
    """Checks of the whole conversation and decisions of a judge, in the form of the assertions of a turn."""
    checks = [check for check in run.checks if check.scope is Scope.CONVERSATION and check.kind != GUARDRAIL]
    results = [assertion(check) for check in checks]
    results += [
        {
            "type": "criterion",
            "passed": item.decision is Decision.MET,
            "message": item.criterion,
            "details": {"reason": item.reason, "decision": item.decision.value, "messages": item.message_ids},
        }
        for item in run.decisions
    ]
    return summary(results)


def successful(run: RunResult) -> bool:
    """What their index counts: no error, no assertion failed, no violation that was not asked for; and a pass."""
    return run.verdict is Verdict.PASS


def exported_index(execution: ExecutionResult) -> dict[str, Any]:
    """The index, in their keys."""
    runs = execution.runs
    cost = sum(_dollars(run) for run in runs)
    return {
        "total_runs": len(runs),
        "successful": sum(map(successful, runs)),
        "errors": sum(not successful(run) for run in runs),
        "timestamp": _stamp(execution.started_at + timedelta(seconds=execution.seconds)),
        "config_file": execution.path,
        "run_ids": [run.run_id for run in runs],
        "total_cost": cost,
        "average_cost": cost / len(runs) if runs else 0,
        "total_tokens": sum(_spent_total(run.agent, run.user).usage.total_tokens for run in runs),
        "total_duration": go_duration(sum(run.seconds for run in runs)),
        "scenarios": _unique(run.case.scenario for run in runs),
        "providers": _unique(run.case.agent or REPLAYED for run in runs),
        "regions": _unique(run.case.region for run in runs),
        "prompt_packs": [],
    }


def go_duration(seconds: float) -> str:
    """``1h2m3.5s``, ``4.25s``, ``870ms`` or ``12µs``, as Go writes it."""
    if seconds < 1:
        thousands = round(seconds * 1e6)
        return "0s" if not thousands else f"{thousands}µs" if thousands < 1000 else f"{thousands / 1000:g}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text


def _role(run: RunResult, role: str) -> dict[str, Any] | None:
    """Which model played whom, where a simulated user took part; None where nothing is known of it."""
    models = [item.model for item in run.messages if item.message["role"] == role and item.model]
    if not run.self_play or not models:
        return None
    provider, _, model = models[0].rpartition("/")
    return {"Provider": provider, "Model": model, "Region": run.case.region}


def _spent_total(*parts: Spent) -> Spent:
    """They count the agent and the simulated user, and no judge."""
    return sum(parts, Spent())


def _dollars(run: RunResult) -> float:
    return _spent_total(run.agent, run.user).cost + sum(map(mock_cost, run.messages))


def _cost(run: RunResult) -> dict[str, Any]:
    spent = _spent_total(run.agent, run.user)
    return {
        "input_tokens": spent.usage.input_tokens,
        "output_tokens": spent.usage.output_tokens,
        "total_cost_usd": _dollars(run),
    }


def _tool_stats(run: RunResult) -> dict[str, Any] | None:
    """Calls that an agent made, whoever ran them."""
    by_tool: dict[str, int] = {}
    for item in run.messages:
        for call in item.message.get("tool_calls") or []:
            name = call["function"]["name"]
            by_tool[name] = by_tool.get(name, 0) + 1
    return {"total_calls": sum(by_tool.values()), "by_tool": by_tool} if by_tool else None


def _of_agent(run: RunResult) -> list[MediaResult]:
    agent = {item.id for item in run.messages if item.message["role"] == "assistant"}
    return [item for item in run.media if item.message_id in agent]


def _media(run: RunResult, item: MediaResult, folder: Path | None) -> dict[str, Any]:
    ids = [message.id for message in run.messages]
    path = str(folder / item.path) if folder and item.path else item.path
    data: dict[str, Any] = {
        "type": item.type,
        "mime_type": item.mime_type,
        "size_bytes": item.size_bytes,
        "duration": item.duration,
        "width": item.width,
        "height": item.height,
        "file_path": path or item.url,
        "thumbnail": (item.thumbnail or "").partition("base64,")[2] or None,
        "message_index": ids.index(item.message_id) + bool(run.system_prompts),
        "part_index": item.part,
    }
    return {key: value for key, value in data.items() if value is not None}


def _stamp(moment: datetime | None) -> str:
    return "0001-01-01T00:00:00Z" if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


REPORT = ReportFormat(
    file="promptkit",
    save=save_promptkit,
    remove=remove_promptkit,
    known_by=lambda path: not path.is_symlink() and _is_ours(path / "index.json"),
)
