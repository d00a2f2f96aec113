"""What the page knows of an execution, as plain data: everything that is shown, and nothing that is only stored.

Names are short where a value stands in every message; texts that many runs share, such as system prompts, are there
once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any, cast

from duologue.journal.events import CheckEvaluated, CriterionDecision, cut_mark
from duologue.messages import tool_calls_of
from duologue.reports.aggregates import by_agent, excused, matrix
from duologue.reports.display import recorded_cost, recorded_facts
from duologue.reports.html.media import Media
from duologue.reports.metric_view import grades_of
from duologue.runs.store.encoding import group_data, line_of, spent_data
from duologue.suites.plan.cases import TestCase
from duologue.suites.results.execution import ExecutionResult, Group
from duologue.suites.results.failures import failures_of
from duologue.suites.results.run import SPENDERS, MessageResult, RunResult, Spent
from duologue.vocabulary import CheckStatus, Decision

_WORDS = {CheckStatus.PASSED: "pass", CheckStatus.FAILED: "fail", CheckStatus.SKIPPED: "skipped"}
_DECIDED = {Decision.MET: "pass", Decision.UNMET: "fail", Decision.INCONCLUSIVE: "undecided"}


class Prompts:
    """System prompts, each once."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Its place in the list of them all."""
        return self.texts.setdefault(text, len(self.texts))


def page_data(execution: ExecutionResult, media: Media) -> dict[str, Any]:
    """The whole content of the page."""
    prompts = Prompts()
    groups = {id(run): (number, group) for number, group in enumerate(execution.groups) for run in group.runs}
    runs = [run_data(run, *groups[id(run)], prompts, media) for run in execution.runs]
    agents, rows = matrix(execution)
    places = {id(group): number for number, group in enumerate(execution.groups)}
    done = {run.case for run in execution.runs}
    return {
        "id": execution.id,
        "suite": execution.suite,
        "path": execution.path,
        "started": execution.started_at.isoformat(),
        "seconds": execution.seconds,
        "exit": execution.exit_code,
        "interrupted": execution.interrupted,
        "totals": execution.totals,
        "seed": execution.plan.seed,
        "environment": execution.environment,
        "allowance": asdict(execution.allowance),
        "metricsThreshold": execution.metrics_threshold,
        "grading": execution.grading,
        "groups": [_group(group) for group in execution.groups],
        "missing": [case.title for case in execution.plan.cases if case not in done],
        "matrix": {
            "agents": agents,
            "rows": [
                {"scenario": scenario, "varied": varied, "cells": {name: places[id(cells[name])] for name in cells}}
                for (scenario, varied), cells in rows.items()
            ],
        },
        "agents": [
            {
                "name": item.agent,
                "runs": len(item.runs),
                "passed": item.passed,
                "spent": {who: spent_data(item.spent[who]) for who in SPENDERS},
                "latency": latency(item.runs),
            }
            for item in by_agent(execution)
        ],
        "prompts": list(prompts.texts),
        "runs": runs,
    }


def latency(runs: Iterable[RunResult]) -> dict[str, Any] | None:
    """How long answers took: seconds at the 10th, 50th and 90th percentile and the longest; None if nobody measured."""
    times = sorted(item.spent.seconds for run in runs for item in run.messages if _answered(item) and item.spent)
    if not times:
        return None
    at = {name: times[min(len(times) - 1, round(part * (len(times) - 1)))] for name, part in _PARTS.items()}
    return {"count": len(times), **at, "longest": times[-1]}


_PARTS = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


def _answered(item: MessageResult) -> bool:
    return item.spent is not None and item.message["role"] == "assistant"


def _group(group: Group) -> dict[str, Any]:
    data = group_data(group)
    title = group.case.title
    return {**data, "title": title.rsplit(" #", 1)[0] if group.case.trials > 1 else title}


def run_data(run: RunResult, group: int, whole: Group, prompts: Prompts, media: Media) -> dict[str, Any]:
    """One run."""
    line = line_of(run)
    shown = {(item.message_id, item.part) for item in run.media}
    data: dict[str, Any] = {
        **{name: line[name] for name in ("outcome", "termination", "turns", "cost", "unpriced", "tokens", "seconds")},
        **_case(run.case),
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
        "excused": excused(run, whole),
    }
    data |= {name: value for name, value in _rarer(run, media).items() if value}
    return data


def _rarer(run: RunResult, media: Media) -> dict[str, Any]:
    """What most runs do not have."""
    return {
        "findings": [
            {"kind": item.kind, "name": item.name, "text": item.text, "cites": item.message_ids}
            for item in failures_of(run)
        ],
        "decisions": [_decision(item) for item in run.decisions],
        "judgements": [
            {
                "judge": item.judge,
                "turn": item.turn,
                "kind": item.kind,
                "verdict": item.verdict,
                "reasoning": item.reasoning,
                "advisory": item.advisory,
            }
            for item in run.judgements
        ],
        "guardrails": run.guardrails,
        "tools": run.tools,
        "media": media.of(run) if run.media else None,
        "workflow": run.workflow,
        "error": run.error,
        "recorded": _recorded(run),
    }


def _recorded(run: RunResult) -> list[tuple[str, str]]:
    """What the source says about a recording, as rows of names and values."""
    if run.recording is None:
        return []
    cost = recorded_cost(run.recording.spent)
    return [("recorded as", run.recording.name), *recorded_facts(run), *([("recorded cost", cost)] if cost else [])]


def _case(case: TestCase) -> dict[str, Any]:
    return {
        "scenario": case.scenario,
        "agent": case.agent,
        "persona": case.persona,
        "region": None if case.region == "default" else case.region,
        "perturbation": [f"{key}={value}" for key, value in case.perturbation],
        "recording": case.recording,
        "trial": case.trial,
        "trials": case.trials,
        "seed": str(case.seed),
    }


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
