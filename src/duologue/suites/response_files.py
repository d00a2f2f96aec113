"""Response files of a suite: made from runs that took place, and checked for answers that nobody asks for.

    made = generate(results)
    Path("mocks.yaml").write_text(made.text())

A scenario has one answer for each call of its model. Where several runs of it differ, the first one counts: what others
said from there on is left out and reported as a conflict, so that a file never mixes two conversations. Tools are not
part of it: they answer as the suite says.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from duologue.conversation.result import ScenarioResult, decisions_from
from duologue.frozen import frozen
from duologue.journal.events import CheckEvaluated, CriterionDecision
from duologue.messages import Message, arguments_of, tool_calls_of
from duologue.models.mock.file import ANY_PERSONA, call_number, user_turn_number
from duologue.models.mock.shapes import Word
from duologue.suites.results.run import MessageResult, RunResult
from duologue.vocabulary import CheckStatus, Decision

Data = dict[str, Any]

ANY_JUDGE = "default"
"""The entry for judges whose name is not known."""

DONE = "done"
"""What ``meta`` of a user's message is called that says why the user had nothing more to say."""

_UNNAMED = {"judge", "JudgeAgent"}
"""What a judge is called that the suite has no name for."""
_WORDS: dict[Decision, Word] = {
    Decision.MET: "pass",
    Decision.UNMET: "fail",
    Decision.INCONCLUSIVE: "undecided",
}
_HIGHEST_GRADE = 5
_LOW = 2
"""The highest grade of a metric that says that something went wrong."""
_LINKS = {"image_url": "image", "audio_url": "audio", "video_url": "video"}
_DIFFER = "runs differ; the first one is kept"
_HELD = "the file has another one, which is kept"


@frozen
class Generated:
    """A response file that was made.

    Attributes:
        data: what it holds.
        conflicts: what runs said that others had said differently, a line each.
    """

    data: Data
    conflicts: tuple[str, ...] = ()

    def text(self, *, for_terminal: bool = False) -> str:
        """The file, as YAML; on request with escapes for what would steer a terminal, and the same meaning.

        Raises:
            ConfigurationError: something was said that no file can hold.
        """
        from duologue.config.yaml_writer import yaml_text

        return yaml_text(_with_numbers(self.data), for_terminal=for_terminal)


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
    writer.write_lines()
    return Generated(data=writer.data, conflicts=tuple(dict.fromkeys(writer.conflicts)))


@frozen
class _Said:
    """One message.

    Attributes:
        persona: whom its simulated author played; None for nobody simulated.
        done: why its simulated author had nothing more to say after it.
    """

    message: Message
    persona: str | None = None
    done: str | None = None


@frozen
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
    said = [] if run.case.kind == "replay" else [_said(item, run) for item in run.messages]
    judged: dict[str, list[CriterionDecision]] = {}
    for decided in run.judgements:
        name = ANY_JUDGE if decided.judge in _UNNAMED else decided.judge
        judged.setdefault(name, []).extend(decided.decisions)
    return _Run(scenario=run.case.scenario, said=said, verdicts=judged, checks=run.checks)


def _said(item: MessageResult, run: RunResult) -> _Said:
    simulated = _is_simulated(item)
    return _Said(
        message=item.message,
        persona=str(item.meta.get("persona") or run.persona or ANY_PERSONA) if simulated else None,
        done=item.meta.get(DONE) if simulated else None,
    )


def _is_simulated(item: MessageResult) -> bool:
    return item.message["role"] == "user" and (item.author is not None or "persona" in item.meta)


Lines = dict[str, dict[str, Data]]


@dataclass(kw_only=True)
class _Writer:
    data: Data
    conflicts: list[str] = field(default_factory=list[str])
    _lines: dict[str, Lines] = field(default_factory=dict[str, Lines])
    """What personas said: by persona, scenario and number."""
    _written: set[str] = field(default_factory=set[str])
    """Places that runs have filled; what stands elsewhere was there before."""

    def take(self, run: _Run) -> None:
        """Write down one run, each participant until it says something else than it did in an earlier one."""
        before: list[Message] = []
        other: set[str] = set()
        for said in run.said:
            message, persona = said.message, said.persona
            if message["role"] == "assistant" and "" not in other:
                same = self._answer(run.scenario, call_number(before), answer_entry(message))
                other |= set() if same else {""}
            elif persona is not None and f"p {persona}" not in other:
                same = self._line(persona, run.scenario, _line_number(before), _spoken(said))
                other |= set() if same else {f"p {persona}"}
            before.append(message)
        for judge, decisions in run.verdicts.items():
            self._verdict(judge, run.scenario, decisions_entry(decisions))
        for check in run.checks:
            if (verdict := judgement_entry(check)) is not None:
                for judge in {ANY_JUDGE: None, **run.verdicts} if "criteria" in verdict else [ANY_JUDGE]:
                    self._verdict(judge, run.scenario, verdict)

    def write_lines(self) -> None:
        """Write down what personas said, by scenario where they said different things."""
        for persona, by_scenario in self._lines.items():
            entry: Data = self.data.setdefault("selfplay", {}).setdefault(persona, {})
            apart = not _agree(by_scenario.values())
            for scenario, lines in by_scenario.items():
                into: Data = entry.setdefault("scenarios", {}).setdefault(scenario, {}) if apart else entry
                place = f"selfplay.{persona}" + (f".scenarios.{scenario}" if apart else "")
                for number, line in lines.items():
                    self._put(into.setdefault("turns", {}), number, line, f"{place}.turns.{number}")

    def _answer(self, scenario: str, number: int, answer: Any) -> bool:
        turns: Data = self.data.setdefault("scenarios", {}).setdefault(scenario, {}).setdefault("turns", {})
        return self._put(turns, str(number), answer, f"scenarios.{scenario}.turns.{number}")

    def _line(self, persona: str, scenario: str, number: int, line: Any) -> bool:
        lines = self._lines.setdefault(persona, {}).setdefault(scenario, {})
        if lines.setdefault(str(number), line) == line:
            return True
        self.conflicts.append(f"what {persona} says in {scenario}, turn {number}: {_DIFFER}")
        return False

    def _verdict(self, judge: str, scenario: str, verdict: Data) -> None:
        judges: Data = self.data.setdefault("judges", {})
        written: Any = judges.get(judge, {})
        by_scenario = isinstance(written, dict) and (not written or {"default", "scenarios"} & written.keys())
        entry: Data = judges.setdefault(judge, {}) if by_scenario else {"default": written}
        judges[judge] = entry
        scenarios: Data = entry.setdefault("scenarios", {})
        place = f"judges.{judge}.scenarios.{scenario}"
        held: Any = scenarios.get(scenario)
        if not (isinstance(held, dict) and "criteria" in held and "criteria" in verdict):
            self._put(scenarios, scenario, _plain(verdict), place)
            return
        for part in ("criteria", "scores"):
            for criterion, said in verdict.get(part, {}).items():
                self._put(cast("Data", held).setdefault(part, {}), criterion, said, f"{place}.{part}.{criterion}")

    def _put(self, into: Data, key: str, value: Any, place: str) -> bool:
        """Put it there, unless something is there already; whether the rest of the run may follow."""
        if key not in into:
            into[key] = value
            self._written.add(place)
        elif into[key] != value:
            by_run = place in self._written
            self.conflicts.append(f"{place}: {_DIFFER if by_run else _HELD}")
            return not by_run
        return True


def _agree(many: Iterable[Data]) -> bool:
    every: Data = {}
    return all(every.setdefault(number, line) == line for lines in many for number, line in lines.items())


def _line_number(before: Sequence[Message]) -> int:
    return user_turn_number([message for message in before if message["role"] != "system"])


def _spoken(said: _Said) -> Any:
    """A line of a simulated user as it is written."""
    line = answer_entry(said.message)
    if said.done is None:
        return line
    return {**({"content": line} if isinstance(line, str) else line), "done": said.done}


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


def answer_entry(message: Message) -> Any:
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
    made: Data = {"name": name, "arguments": _arguments(call)}
    return made if call.get("id") in {None, f"call_{index}_{name}"} else {"id": call["id"], **made}


def _arguments(call: Data) -> Data | str:
    """The arguments; what the model wrote, where that is no JSON object, or none that a file can hold."""
    value, text = arguments_of(cast("Any", call)), str(call["function"]["arguments"])
    try:
        json.dumps(value, allow_nan=False)
        return dict(value) if isinstance(json.loads(text or "{}"), dict) else text
    except (ValueError, RecursionError):
        return text if text.strip() else {}


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


def decisions_entry(decisions: Sequence[CriterionDecision]) -> Data:
    """What a judge said of criteria, as it is written."""
    reasons = [item.reason for item in decisions if item.reason]
    made: Data = {"criteria": {item.criterion: _WORDS[item.decision] for item in decisions}}
    return {**made, "reasoning": reasons[-1]} if reasons else made


def judgement_entry(check: CheckEvaluated) -> Data | None:
    """What a judge said for a check; None if none was asked."""
    if check.kind == "metrics":
        return _grades_entry(check)
    passed = check.details.get("judge_passed")
    if not isinstance(passed, bool) or check.status not in {CheckStatus.PASSED, CheckStatus.FAILED}:
        return None
    word, score, asked = "pass" if passed else "fail", check.details.get("judge_score"), check.details.get("criteria")
    made: Data = {"criteria": {asked: word}} if asked else {"verdict": word}
    if isinstance(score, (int, float)):
        made |= {"scores": {asked: score}} if asked else {"score": score}
    return {**made, "reasoning": check.explanation} if check.explanation else made


def _grades_entry(check: CheckEvaluated) -> Data | None:
    """The grades of metrics, by name, and the outcomes, by text; a metric that did not apply is undecided."""
    words: dict[str, Word] = {}
    scores: dict[str, float] = {}
    for grade in check.details.get("metrics", ()):
        score = grade["score"]
        words[grade["metric"]] = "undecided" if score is None else "pass" if score > _LOW else "fail"
        if score is not None:
            scores[grade["metric"]] = score / _HIGHEST_GRADE
    for outcome in check.details.get("outcomes", ()):
        words[outcome["outcome"]] = "pass" if outcome["met"] else "fail"
    if not words:
        return None
    return {"criteria": words, "scores": scores} if scores else {"criteria": words}
