"""Response files made of runs that took place: what was said once is said again, without a model.

    made = generate(results)
    Path("mocks.yaml").write_text(made.text())

A scenario has one answer for each call of its model. Where several runs of it differ, the first counts, what others
said from there on is left out, and that is told: a file never mixes two conversations. Tools are not part of it: they
answer as the suite says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from duologue.conversation.result import ScenarioResult, decisions_from
from duologue.journal.events import CheckEvaluated, CriterionDecision
from duologue.messages import Message
from duologue.models.mock.entries import Data, answer_entry, decisions_entry, judgement_entry
from duologue.models.mock.file import ANY_PERSONA
from duologue.models.mock.model import call_number, user_turn_number
from duologue.suites.results.run import MessageResult, RunResult

ANY_JUDGE = "default"
"""The entry for judges whose name is not known."""

DONE = "done"
"""What ``meta`` of a user's message is called that says why the user had nothing more to say."""

_UNNAMED = {"judge", "JudgeAgent"}
"""What a judge is called that the suite has no name for."""
_DIFFER = "runs differ; the first one is kept"
_HELD = "the file has another one, which is kept"


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
        """The file, as YAML.

        Raises:
            ConfigurationError: something was said that no file can hold.
        """
        from duologue.config.yaml_writer import yaml_text

        return yaml_text(_with_numbers(self.data))


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


@dataclass(frozen=True, kw_only=True)
class _Said:
    """One message.

    Attributes:
        persona: whom its simulated author played; None for nobody simulated.
        done: why its simulated author had nothing more to say after it.
    """

    message: Message
    persona: str | None = None
    done: str | None = None


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
