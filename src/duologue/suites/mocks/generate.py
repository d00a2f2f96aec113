"""Response files made of runs that took place: what was said once is said again, without a model.

    made = generate(results)
    Path("mocks.yaml").write_text(made.text())

A scenario has one answer for each call of its model. Where several runs of it differ, the first counts, and what is
lost is told. Tools are not part of it: they answer as the suite says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from duologue.conversation.result import ScenarioResult, decisions_from
from duologue.journal.events import CheckEvaluated, CriterionDecision
from duologue.messages import Message, arguments_of, text_of, tool_calls_of
from duologue.suites.mocks.file import ANY_PERSONA
from duologue.suites.mocks.model import call_number, user_turn_number
from duologue.suites.mocks.shapes import Word
from duologue.suites.results.run import RunResult
from duologue.vocabulary import CheckStatus, Decision

ANY_JUDGE = "default"
"""The entry for judges whose name is not known."""

_UNNAMED = {"judge", "JudgeAgent"}
"""What a judge is called that the suite has no name for."""
_WORDS: dict[Decision, Word] = {
    Decision.MET: "pass",
    Decision.UNMET: "fail",
    Decision.INCONCLUSIVE: "undecided",
}
_LINKS = {"image_url": "image", "audio_url": "audio", "video_url": "video"}

Data = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A response file that was made.

    Attributes:
        data: what it holds.
        conflicts: what runs said that others had said differently, a line each.
    """

    data: Data
    conflicts: tuple[str, ...] = ()

    def text(self) -> str:
        """The file, as YAML."""
        import yaml

        dump: Any = getattr(yaml, "safe_dump")  # noqa: B009 -- its types are unknown
        return cast("str", dump(_with_numbers(self.data), sort_keys=False, allow_unicode=True, width=100))


def generate(
    runs: Iterable[RunResult | ScenarioResult],
    *,
    merge: Mapping[str, Any] | None = None,
    default_response: str | None = None,
) -> Generated:
    """A response file with which runs go as these did.

    Args:
        runs: that took place, of one suite or of several.
        merge: what a file holds already; it counts over the runs.
        default_response: what is said where no run said anything.
    """
    writer = _Writer(data=_plain(merge or {}))
    if default_response is not None:
        writer.data["defaultResponse"] = default_response
    for run in runs:
        writer.take(_read(run))
    return Generated(data=writer.data, conflicts=tuple(dict.fromkeys(writer.conflicts)))


@dataclass(frozen=True, kw_only=True)
class _Said:
    """One message; ``persona`` is whom its simulated author played, None for nobody simulated."""

    message: Message
    persona: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Run:
    scenario: str
    said: Sequence[_Said]
    verdicts: Mapping[str, Sequence[CriterionDecision]]
    checks: Sequence[CheckEvaluated]


def _read(run: RunResult | ScenarioResult) -> _Run:
    if isinstance(run, ScenarioResult):
        said = [_Said(message=message) for message in run.messages]
        decisions = decisions_from(run)
        verdicts = {ANY_JUDGE: decisions} if decisions else {}
        return _Run(scenario=run.scenario or "", said=said, verdicts=verdicts, checks=run.checks)
    said = [
        _Said(
            message=item.message,
            persona=str(item.meta.get("persona") or run.persona or ANY_PERSONA) if _is_simulated(item) else None,
        )
        for item in run.messages
    ]
    judged: dict[str, list[CriterionDecision]] = {}
    for decided in run.judgements:
        name = ANY_JUDGE if decided.judge in _UNNAMED else decided.judge
        judged.setdefault(name, []).extend(decided.decisions)
    return _Run(scenario=run.case.scenario, said=said, verdicts=judged, checks=run.checks)


def _is_simulated(item: Any) -> bool:
    return item.message["role"] == "user" and (item.author is not None or "persona" in item.meta)


@dataclass(kw_only=True)
class _Writer:
    data: Data
    conflicts: list[str] = field(default_factory=list[str])

    def take(self, run: _Run) -> None:
        """Write down one run."""
        before: list[Message] = []
        for said in run.said:
            message = said.message
            if message["role"] == "assistant":
                self._turn(("scenarios", run.scenario), call_number(before), _answer(message))
            elif said.persona is not None:
                self._turn(("selfplay", said.persona), _line_number(before), text_of(message))
            before.append(message)
        for judge, decisions in run.verdicts.items():
            self._verdict(judge, run.scenario, _decided(decisions))
        for check in run.checks:
            if (verdict := _judged(check)) is not None:
                self._verdict(ANY_JUDGE, run.scenario, verdict)

    def _turn(self, place: tuple[str, str], number: int, answer: Any) -> None:
        section, name = place
        turns: Data = self.data.setdefault(section, {}).setdefault(name, {}).setdefault("turns", {})
        self._put(turns, str(number), answer, f"{section}.{name}.turns.{number}")

    def _verdict(self, judge: str, scenario: str, verdict: Data) -> None:
        judges: Data = self.data.setdefault("judges", {})
        written: Any = judges.get(judge, {})
        by_scenario = isinstance(written, dict) and (not written or {"default", "scenarios"} & written.keys())
        entry: Data = judges.setdefault(judge, {}) if by_scenario else {"default": written}
        judges[judge] = entry
        scenarios: Data = entry.setdefault("scenarios", {})
        self._put(scenarios, scenario, verdict, f"judges.{judge}.scenarios.{scenario}")

    def _put(self, into: Data, key: str, value: Any, place: str) -> None:
        if key not in into:
            into[key] = value
        elif into[key] != value:
            self.conflicts.append(f"{place}: runs differ; the first one is kept")


def _line_number(before: Sequence[Message]) -> int:
    return user_turn_number([message for message in before if message["role"] != "system"])


def _answer(message: Message) -> Any:
    """An answer as it is written: a text where it is nothing else."""
    made: Data = {}
    content = message.get("content")
    if isinstance(content, list):
        made |= {"type": "multimodal", "parts": [_part(cast("Data", part)) for part in content]}
    elif content:
        made["content"] = content
    calls = tool_calls_of(message)
    if calls:
        made["tool_calls"] = [_call(index, cast("Data", call)) for index, call in enumerate(calls)]
    if made.keys() == {"content"}:
        return made["content"]
    return made or ""


def _call(index: int, call: Data) -> Data:
    name = call["function"]["name"]
    made: Data = {"name": name, "arguments": arguments_of(cast("Any", call))}
    return made if call.get("id") in {None, f"call_{index}_{name}"} else {"id": call["id"], **made}


def _part(part: Data) -> Data:
    kind = str(part["type"])
    if kind == "text":
        return {"type": "text", "text": part.get("text", "")}
    facts: Data = dict(part.get("metadata") or {})
    if part.get("mime_type"):
        facts.setdefault("mime_type", part["mime_type"])
    about = {"metadata": facts} if facts else {}
    inner: Data = part.get(kind) or {}
    if kind in _LINKS:
        return {"type": _LINKS[kind], kind: {key: inner[key] for key in ("url", "detail") if key in inner}, **about}
    if kind == "input_audio":
        url = f"data:audio/{inner.get('format', 'wav')};base64,{inner.get('data', '')}"
        return {"type": "audio", "audio_url": {"url": url}, **about}
    url = str(inner.get("file_data") or inner.get("file_id") or "unknown")
    return {"type": "document", "document_url": {"url": url}, **about}


def _decided(decisions: Sequence[CriterionDecision]) -> Data:
    reasons = [item.reason for item in decisions if item.reason]
    made: Data = {"criteria": {item.criterion: _WORDS[item.decision] for item in decisions}}
    return {**made, "reasoning": reasons[-1]} if reasons else made


def _judged(check: CheckEvaluated) -> Data | None:
    """What a judge said for a check; None if none was asked."""
    passed = check.details.get("judge_passed")
    if not isinstance(passed, bool) or check.status not in {CheckStatus.PASSED, CheckStatus.FAILED}:
        return None
    made: Data = {"verdict": "pass" if passed else "fail"}
    score = check.details.get("judge_score")
    if isinstance(score, (int, float)):
        made["score"] = score
    return {**made, "reasoning": check.explanation} if check.explanation else made


def _plain(value: Any) -> Any:
    """A copy in which names are texts, as they are in files that were read."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    return [_plain(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _with_numbers(data: Data) -> Data:
    """The data with turns by number and in order, as people write them."""
    made: Data = {}
    for key, value in data.items():
        if key == "turns" and isinstance(value, dict):
            turns = cast("Data", value)
            made[key] = {int(number): turns[number] for number in sorted(turns, key=int)}
        else:
            made[key] = _with_numbers(cast("Data", value)) if isinstance(value, dict) and key != "arguments" else value
    return made
