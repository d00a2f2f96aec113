"""Who made a run fail: the agent, the simulated user, the judge, the tools around the agent, or the machinery.

Rules decide, and each of them cites what it rests on. What no rule explains is put down to the agent, because that is
what is tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from duologue.config.patterns import late
from duologue.suites.results.fidelity import SPOILING
from duologue.suites.results.run import RunResult, failures_of
from duologue.suites.results.simulated import BlameResult, Party
from duologue.vocabulary import CheckStatus, Decision, RunStatus, Verdict

_NETWORK = late(
    r"connect\w*|refused|reset by peer|timed? ?out while connecting|name resolution|dns|unreachable|certificate|ssl"
    r"|\b(?:429|502|503|504)\b|rate limit|too many requests|bad gateway|service unavailable|gateway time",
    re.IGNORECASE,
)
_INFRASTRUCTURE = frozenset(
    {
        "JournalError",
        "ResultsError",
        "ArtifactError",
        "BudgetExceededError",
        "ExecutorError",
        "PlatformError",
        "StoreError",
    }
    | {
        "CassetteError",
        "CassetteMissError",
        "TargetError",
        "ConfigurationError",
        "MissingKeyError",
        "MissingExtraError",
    }
    | {"UnknownModelError", "MissingRoleError", "SuiteError", "ScriptError", "RunTimeoutError", "ResumeError"}
)
_MODELS = late(
    r"\bthe simulated user has no line\b|\bthe model of the (?:judge|simulated user) failed\b", re.IGNORECASE
)
_OVERLOADED = late(r"\bthis machine could not keep up\b")
_SPLIT = 2 / 3
"""A decision on which fewer of the votes agree is doubtful."""


def blame(run: RunResult) -> tuple[BlameResult, ...]:
    """Who is to blame for each failure of a run; nothing for one that passed or was cancelled."""
    if run.verdict is Verdict.PASS or run.status is RunStatus.CANCELLED:
        return ()
    if run.error is not None:
        return (_of_error(run),)
    return tuple(_of_failure(run, item.name, item.kind, item.message_ids) for item in failures_of(run))


def charged_to(run: RunResult) -> Party | None:
    """Whom a run that did not pass is charged to: the first failure that is the agent's, else the first of all."""
    parties: list[Party] = [item.party for item in run.blame]
    return "agent" if "agent" in parties else next(iter(parties), None)


def _of_error(run: RunResult) -> BlameResult:
    error = run.error
    assert error is not None
    text = " ".join([error.message, *error.causes])
    party, reason = _party_of_error(error.type, text)
    return BlameResult(party=party, failure=error.type, reason=reason, evidence=_last_messages(run))


def _party_of_error(kind: str, text: str) -> tuple[Party, str]:
    found: tuple[Party, str] = ("agent", "the agent broke, took too long, or answered with something that is no answer")
    if kind in _INFRASTRUCTURE or kind.startswith("Service") or _MODELS.search(text):
        found = "infrastructure", "the run could not be carried out, which says nothing about the agent"
    elif _OVERLOADED.search(text) and kind in {"CheckError", "OverloadError"}:
        found = "infrastructure", "the machine that held the call could not keep up"
    elif _NETWORK.search(text) and kind != "AgentReturnError":
        found = "infrastructure", "a connection failed, or a service was busy"
    elif kind == "SimulatorError":
        found = "simulator", "the simulated user gave no line that a user would say"
    elif kind in {"JudgeError", "CheckError"}:
        found = "judge", "the judge or a check broke"
    elif kind == "ToolUnavailableError":
        found = "environment", "a tool that the agent needs was not available"
    elif kind.startswith("Model"):
        found = "infrastructure", "a model did not answer"
    return found


_Rule = Callable[[RunResult, str, str], "BlameResult | None"]


def _of_failure(run: RunResult, name: str, kind: str, ids: tuple[str, ...]) -> BlameResult:
    for rule in _RULES:
        if (found := rule(run, name, kind)) is not None:
            return found
    reason = "no fault of the simulated user, the judge or the tools was found"
    return BlameResult(party="agent", failure=name, reason=reason, evidence=ids or _last_messages(run))


def _spoilt(run: RunResult, name: str, _kind: str) -> BlameResult | None:
    """The simulated user has spoilt the conversation before the agent's last answer."""
    faults = [item for item in run.fidelity.faults if item.kind in SPOILING] if run.fidelity else []
    places = {item.id: place for place, item in enumerate(run.messages)}
    last = max((place for place, item in enumerate(run.messages) if item.message["role"] == "assistant"), default=-1)
    for fault in faults:
        if places.get(fault.message_id, last) < last:
            return BlameResult(
                party="simulator",
                failure=name,
                reason=f"the simulated user: {fault.text}",
                evidence=(fault.message_id,),
            )
    return None


def _undecided(run: RunResult, name: str, kind: str) -> BlameResult | None:
    """The judge could not decide, its votes are split, or nothing decided at all."""
    for item in run.decisions:
        if item.criterion == name and item.decision is Decision.INCONCLUSIVE:
            reason = "the judge could not decide the criterion"
            return BlameResult(party="judge", failure=name, reason=reason, evidence=tuple(item.message_ids))
    if kind == "undecided":
        reason = "no criterion and no check decided about the conversation"
        return BlameResult(party="judge", failure=name, reason=reason, evidence=_last_messages(run))
    for call, criterion, share in _votes(run):
        if kind == "criterion" and criterion == name and share < _SPLIT:
            reason = f"only {share:.0%} of the judge's votes agree"
            return BlameResult(party="judge", failure=name, reason=reason, evidence=(call,))
    broken = next((item for item in run.checks if item.name == name and item.status is CheckStatus.ERROR), None)
    if broken is not None and "own_lateness" in broken.details:
        reason = "the machine that held the call could not keep up"
        return BlameResult(party="infrastructure", failure=name, reason=reason, evidence=(broken.call,))
    if broken is not None:
        return BlameResult(party="judge", failure=name, reason="the check broke", evidence=(broken.call,))
    return None


def _votes(run: RunResult) -> Iterator[tuple[str, str, float]]:
    """For each criterion, the share of the votes that agree, where a judge was asked several times."""
    for judged in run.judgements:
        shares = judged.details.get("agreement")
        if isinstance(shares, (list, tuple)):
            for item, share in zip(judged.decisions, shares, strict=False):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
                if isinstance(share, (int, float)):
                    yield judged.call, item.criterion, float(share)


def _broken_tool(run: RunResult, name: str, kind: str) -> BlameResult | None:
    """A tool answered with an error that nobody injected."""
    if kind == "guardrail":
        return None
    for tool in run.tools:
        if tool.error and not _INJECTED.search(tool.error) and not _REJECTED.search(tool.error):
            reason = f"the tool {tool.name} failed: {tool.error}"
            return BlameResult(
                party="environment",
                failure=name,
                reason=reason,
                evidence=tuple(filter(None, (tool.call, tool.call_id))),
            )
    return None


_INJECTED = late(r"\binjected\b|^chaos:", re.IGNORECASE)
_REJECTED = late(
    r"\b(?:no tool|unknown tool|not allowed|blocklist|limit|policy|consent|declined|invalid arguments?"
    r"|does not fit|schema|expected|required|missing|rejected)\b",
    re.IGNORECASE,
)
"""Errors that tell the agent that it has called a tool wrongly."""

_RULES: tuple[_Rule, ...] = (_spoilt, _undecided, _broken_tool)


def _last_messages(run: RunResult) -> tuple[str, ...]:
    """The last line of the user and what followed, where nothing better is known."""
    ids: list[str] = []
    for item in reversed(run.messages):
        ids.append(item.id)
        if item.message["role"] == "user":
            break
    return tuple(reversed(ids[:4]))
