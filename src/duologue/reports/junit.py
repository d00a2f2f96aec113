"""An execution as JUnit XML, for continuous integration: a suite for each scenario, a test case for each run.

The file is red if and only if the execution is not ok: what the execution's allowance puts up with, a failed trial
whose test case has enough others, and runs that never were, are ``skipped`` with the reason. One exception cannot be
said in this format: an interrupted execution in which nothing failed has skipped test cases only.

The file keeps to the schemas of Jenkins (``junit-10.xsd``) and Surefire, with one addition that pytest and others make
too, and that readers either use or pass over: ``properties`` of a test case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from duologue.messages import tool_calls_of
from duologue.reports.display import (
    errors_allowed,
    excused,
    recorded_facts,
    said_and_called,
    skipped_in,
    undecided_allowed,
    xml_text,
)
from duologue.reports.formats import ReportFormat
from duologue.runs.store.encoding import replace_file
from duologue.suites.plan.build import TestCase
from duologue.suites.results.execution import ExecutionResult, Group
from duologue.suites.results.run import Failure, MessageResult, RunResult, cited, failures_of, reason_of
from duologue.terminal_text import cut

_LAST = 4
"""Messages in the output of a test case."""
_LONGEST = 2000
_TYPES = {
    "check": "CheckFailed",
    "criterion": "CriterionNotMet",
    "guardrail": "GuardrailViolation",
    "undecided": "Undecided",
    "reason": "Failed",
}

_MESSAGE = 300
_MARK = "<!-- Duologue -->"
"""The second line of a file of ours."""


class Outcome(NamedTuple):
    """The content of a test case that did not pass.

    Attributes:
        element: ``failure``, ``error`` or ``skipped``.
        kind: its type.
        message: one line.
        text: all that is known.
    """

    element: str
    kind: str
    message: str
    text: str


def save_junit(execution: ExecutionResult, path: Path) -> Path:
    """Write the report to a file; its folder is made if need be."""
    replace_file(path, render_junit(execution))
    return path


def render_junit(execution: ExecutionResult) -> str:
    """The report as text."""
    out = StringIO()
    write_junit(execution, out)
    return out.getvalue()


def write_junit(execution: ExecutionResult, out: TextIO) -> None:
    """Write the report piece by piece."""
    _Writer(execution, out).write()


class _Writer:
    def __init__(self, execution: ExecutionResult, out: TextIO) -> None:
        self._execution = execution
        self._xml = XMLGenerator(cast("Any", out), encoding="utf-8", short_empty_elements=True)
        self._groups = {id(run): group for group in execution.groups for run in group.runs}
        self._runs = {run.case: run for run in execution.runs}
        self._stopped = {group.case.group: group.stopped.trials for group in execution.groups if group.stopped}
        self._undecided_allowed = undecided_allowed(execution)
        self._errors_allowed = errors_allowed(execution)

    def write(self) -> None:
        suites: dict[str, list[TestCase]] = {}
        for case in self._execution.plan.cases:
            suites.setdefault(case.scenario, []).append(case)
        outcomes = {case: self._outcome(case) for case in self._execution.plan.cases}
        self._xml.startDocument()
        self._xml.ignorableWhitespace(f"{_MARK}\n")
        counts = _counts(outcomes.values())
        del counts["skipped"]  # schemas know it of a suite only
        self._open("testsuites", name=self._execution.suite, **counts, time=self._execution.seconds)
        for scenario, cases in suites.items():
            self._suite(scenario, cases, outcomes)
        self._close("testsuites")
        self._xml.endDocument()

    def _suite(self, scenario: str, cases: list[TestCase], outcomes: dict[TestCase, Outcome | None]) -> None:
        runs = [run for case in cases if (run := self._runs.get(case))]
        self._open(
            "testsuite",
            name=scenario,
            **_counts(outcomes[case] for case in cases),
            time=sum(run.seconds for run in runs),
            timestamp=self._execution.started_at.replace(microsecond=0, tzinfo=None).isoformat(),
        )
        for case in cases:
            self._case(case, outcomes[case])
        self._close("testsuite")

    def _case(self, case: TestCase, outcome: Outcome | None) -> None:
        run = self._runs.get(case)
        self._open(
            "testcase",
            name=case.title,
            classname=f"{self._execution.suite}.{case.scenario}",
            time=run.seconds if run else 0.0,
        )
        if run:
            self._properties(run)
        if outcome:
            self._open(outcome.element, message=outcome.message, **({"type": outcome.kind} if outcome.kind else {}))
            self._xml.characters(xml_text(outcome.text))
            self._close(outcome.element)
        if run:
            self._open("system-out")
            self._xml.characters(xml_text(output_of(run)))
            self._close("system-out")
        self._close("testcase")

    def _outcome(self, case: TestCase) -> Outcome | None:
        run = self._runs.get(case)
        if run is None:
            return Outcome("skipped", "", self._not_run(case), "")
        if run.outcome == "pass":
            return None
        excuse = self._excuse(run)
        return Outcome("skipped", "", excuse, "") if excuse else _outcome(run)

    def _not_run(self, case: TestCase) -> str:
        stopped = self._stopped.get(case.group)
        return f"not needed: decided after {stopped} trials" if stopped else "not run"

    def _excuse(self, run: RunResult) -> str | None:
        """Why a run that did not pass does not count against the execution; None if it does."""
        group = self._groups[id(run)]
        if run.outcome == "cancelled":
            return f"cancelled. {reason_of(run)}"
        if run.outcome == "undecided" and self._undecided_allowed:
            return f"undecided, which is allowed here: {reason_of(run)}"
        if run.outcome == "error" and self._errors_allowed:
            return f"an error, which is allowed here: {reason_of(run)}"
        if run.outcome == "fail" and self._execution.failures_allowed:
            return f"failed, which is allowed here, as enough test cases passed: {reason_of(run)}"
        if excused(run, group):
            trials = f"{group.passed} of {len(group.runs)} trials passed"
            return f"this trial failed, its test case did not ({trials}): {reason_of(run)}"
        return None

    def _properties(self, run: RunResult) -> None:
        self._open("properties")
        for name, value in properties_of(run, self._groups[id(run)]):
            self._open("property", name=name, value=value)
            self._close("property")
        self._close("properties")

    def _open(self, element: str, **attributes: object) -> None:
        self._xml.startElement(element, AttributesImpl({name: _attribute(value) for name, value in attributes.items()}))

    def _close(self, element: str) -> None:
        self._xml.endElement(element)
        if element != "system-out":
            self._xml.ignorableWhitespace("\n")


def _attribute(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else xml_text(value)


def _counts(outcomes: Iterable[Outcome | None]) -> dict[str, int]:
    found = [outcome.element if outcome else "" for outcome in outcomes]
    return {
        "tests": len(found),
        "failures": found.count("failure"),
        "errors": found.count("error"),
        "skipped": found.count("skipped"),
    }


def _outcome(run: RunResult) -> Outcome:
    """Everything that kept a run from passing, as one element: readers of JUnit know no more than one."""
    found = failures_of(run)
    first = found[0]
    kind = "Undecided" if run.outcome == "undecided" else first.name if first.kind == "error" else _TYPES[first.kind]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    message = cut(_line(first), _MESSAGE) + more
    return Outcome("failure" if run.verdict else "error", kind, message, "\n\n".join(_told(run, found)))


def _told(run: RunResult, found: Sequence[Failure]) -> Iterator[str]:
    if run.reasoning:
        yield cut(run.reasoning, _LONGEST)
    for failure in found:
        said = [f"  {_said(item)}" for item in cited(run, failure.message_ids)]
        yield "\n".join([f"{failure.kind} {cut(_line(failure), _LONGEST)}", *said])


def _line(failure: Failure) -> str:
    return f"{failure.name}: {failure.text}" if failure.text else failure.name


def properties_of(run: RunResult, group: Group) -> Iterator[tuple[str, object]]:
    """Names and values of the properties of a test case; only those that it has."""
    spent = run.spent
    values: dict[str, object] = {
        "outcome": run.outcome,
        "run_id": run.run_id,
        "agent": run.case.agent,
        "persona": run.case.persona,
        "region": None if run.case.region == "default" else run.case.region,
        "recording": run.case.recording,
        "seed": run.case.seed,
        "termination": run.termination,
        "turns": run.turns,
        "cost_usd": f"{spent.cost:.6f}" if spent.calls else None,
        "tokens": spent.usage.total_tokens if spent.calls else None,
        "tool_calls": sum(len(tool_calls_of(item.message)) for item in run.messages) or None,
        "checks_passed": sum(check.status == "passed" for check in run.checks) if run.checks else None,
        "checks_failed": sum(check.status == "failed" for check in run.checks) if run.checks else None,
        "checks_skipped": sum(check.status == "skipped" for check in run.checks) or None,
        "trial": f"{run.case.trial} of {run.case.trials}" if run.case.trials > 1 else None,
        **_rate(group),
        "journal": run.journal,
        "recorded_as": run.recording.name if run.recording else None,
        "recorded_cost_usd": f"{run.recording.spent.cost:.6f}" if run.recording and run.recording.spent.cost else None,
    }
    values |= _voice(run)
    values |= {f"recorded.{name.replace(' ', '.')}": value for name, value in recorded_facts(run)}
    yield from ((name, value) for name, value in values.items() if value is not None)


_VOICE = (
    *("time_to_first_audio", "response_latency_p50", "response_latency_p95", "response_rate", "yield_latency"),
    *("interruptions", "agent_interruptions", "overlap", "longest_silence", "word_error_rate"),
)
"""Figures of a conversation in voice that are properties."""


def _voice(run: RunResult) -> dict[str, object]:
    """``voice.response_latency_p50`` and so on, as far as they are known."""
    figures: Mapping[str, float | None] = run.voice.figures if run.voice else {}
    return {f"voice.{name}": f"{value:g}" for name in _VOICE if (value := figures.get(name)) is not None}


def _rate(group: Group) -> dict[str, object]:
    """The pass rate of a test case with several trials: its denominator, its interval and what is not decided."""
    rate = group.rate
    if rate.value is None or len(group.runs) == 1:
        return {}
    return {
        "pass_rate": f"{rate.value:.3f}",
        "pass_rate_of": rate.decided,
        "pass_rate_low": f"{rate.low:.3f}",
        "pass_rate_high": f"{rate.high:.3f}",
        "trials_undecided": rate.undecided or None,
        "trials_with_errors": rate.errors or None,
    }


def _said(item: MessageResult) -> str:
    return f"{item.id} {item.message['role']}: {cut(said_and_called(item), _LONGEST)}".strip()


def output_of(run: RunResult) -> str:
    """The last messages of a run and the checks that were skipped, for the output of its test case."""
    left_out = len(run.messages) - _LAST
    lines = [f"… {left_out} earlier messages"] if left_out > 0 else []
    lines += [_said(item) for item in run.messages[-_LAST:]]
    lines += [f"skipped check {cut(f'{name}: {reason}', _LONGEST)}" for name, reason in dict.fromkeys(skipped_in(run))]
    return "\n".join(lines)


JUNIT = ReportFormat(
    file="junit.xml",
    save=lambda execution, path, _: save_junit(execution, path),
    aliases=("xml", "junit-xml"),
    mark=re.compile(re.escape(_MARK.encode())),
)
