r"""What all reports share: words and marks for outcomes, numbers and where they come from, and text made harmless.

Text of agents, users and judges is untrusted: an answer may hold markup, control sequences for a terminal, or
characters that turn round the order of what is read. Nothing is dropped in silence: what cannot be seen is written as
``\u{202e}``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from duologue.frozen import frozen
from duologue.journal.events import CheckEvaluated, cut_mark
from duologue.messages import text_of, tool_calls_of
from duologue.stats.proportion import percent
from duologue.suites.results.execution import ExecutionResult, Group
from duologue.suites.results.run import SPENDERS, MessageResult, RunResult, Spent, reason_of, total_spent
from duologue.terminal_text import BAR, cut, one_line, visible
from duologue.vocabulary import CheckStatus

if TYPE_CHECKING:
    from duologue.stats.bootstrap import Interval
    from duologue.stats.pass_k import PassK
    from duologue.suites.results.rates import Rate

# Compiled when they are first used, and cached by ``re``: tables of all Unicode are costly to compile.
_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_MARKDOWN = (
    r"(?P<reference>#|!|(?i:\bgh-))(?=\d)|(?P<number>^\d{1,9})(?=[.)](?: |$))|(?P<mark>[\\`*_\[\]|~$^=]|^[-+#/])"
    r"|&|<|>|@|://|(?i:(?<=www)\.)"
)
_BOT = re.compile(r"^(?=[^\S\n]*[/@])", re.MULTILINE)
"""Where a line may command a bot that reads comments, also code in them: ``/approve``, ``@dependabot merge``."""
_IN_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@<!-- -->", "://": "&#58;//", ".": "&#46;"}


def html_text(value: object) -> str:
    """Anything as text of a web page: nothing in it is markup."""
    from html import escape  # brings a table of all entities

    return escape(visible(value), quote=True)


def xml_text(value: object) -> str:
    """Anything as text that XML 1.0 can hold, ``�`` in place of the rest. Writers of XML do the escaping."""
    return re.sub(_NOT_XML, "\ufffd", str(value))


def markdown_text(value: object, longest: int | None = None) -> str:
    """Anything as one line of Markdown: no markup, no HTML, no mention, no link, no cell border, no command to a bot.

    Args:
        value: what to show.
        longest: cut after so many characters; None for never.
    """
    return re.sub(_MARKDOWN, _in_markdown, one_line(value, longest))


def _in_markdown(match: re.Match[str]) -> str:
    if match["reference"]:
        return f"{match[0]}<!-- -->"  # to an issue or a merge request, which would then show where it was mentioned
    if match["number"]:
        return f"{match[0]}\\"  # of a list
    return f"\\{match[0]}" if match["mark"] else _IN_MARKDOWN[match[0]]


def markdown_block(value: object, longest: int) -> str:
    """A text of several lines as a code block that nothing in it can end."""
    text = _BOT.sub(BAR, cut(visible(value), longest))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


OUTCOMES = ("pass", "fail", "undecided", "error", "cancelled")
"""The words of :attr:`RunResult.outcome`, in the order in which reports show them."""

NOT_RUN = "not run"
"""In place of an outcome, for a test case of the plan that was not started."""

MARKS = {"pass": "✓", "fail": "✗", "undecided": "?", "error": "!", "cancelled": "–", NOT_RUN: "·"}
"""One character for each of them, so that nobody has to tell colours apart."""

STYLES = {
    "pass": "green",
    "fail": "red",
    "undecided": "yellow",
    "error": "magenta",
    "cancelled": "dim",
    NOT_RUN: "dim",
}
"""How a terminal shows each of them."""


STOPPING = "Stopping: runs that are under way finish. Ctrl-C again cancels them."
"""Shown when somebody asks an execution to stop."""
CANCELLING = "Cancelling the runs that are under way."
"""Shown when somebody asks a second time."""

_REASON = 160
"""Characters of a reason on a line of progress."""


def text_of_message(item: MessageResult) -> str:
    """The text of a message, marked where its author was cut off."""
    said = text_of(item.message)
    return f"{said} {cut_mark(item.cut)}" if item.cut else said


def said_and_called(item: MessageResult) -> str:
    """The text of a message and the tools that it calls: what a failure rests on may be a call without a word."""
    made = [f"{call['function']['name']}({call['function']['arguments']})" for call in tool_calls_of(item.message)]
    return " ".join(filter(None, [text_of_message(item), *made]))


def money(dollars: float, unpriced: int = 0) -> str:
    """US dollars with as many digits as matter. ``+`` where calls without a price are left out."""
    digits = 2 if dollars >= 10 or not dollars else 4
    return f"${dollars:,.{digits}f}" + ("+" if unpriced else "")


def duration(seconds: float) -> str:
    """``320 ms``, ``4.2 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    if seconds < 0.9995:  # what is rounded to 1000 ms is a second
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def share(rate: float | None) -> str:
    """A share as a percentage; ``–`` where it is not known."""
    return "–" if rate is None else percent(rate)


def plural(count: int, word: str) -> str:
    """``1 run``, ``3 runs``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def run_line(result: RunResult) -> str:
    """``✗ booking · gpt-5  4.1 s  why it did not pass``."""
    reason = one_line(reason_of(result), _REASON)
    line = f"{MARKS[result.outcome]} {one_line(result.case.title)}  {duration(result.seconds)}"
    return f"{line}  {reason}" if reason else line


_TECHNICAL = {"source", "format", "index", "agent", "model", "tags", "seed", "run_id", "complete", "warnings"}


def recorded_facts(run: RunResult) -> list[tuple[str, str]]:
    """Facts about a recording, as shown in reports: ``(reward, 1.0)``, ``(task_id, 3)``, ``(score match, I)``.

    What was left out of it is among them, as ``warning``.
    """
    if run.recording is None:
        return []
    facts = run.recording.facts
    found = [(name, str(value)) for name, value in facts.items() if name not in _TECHNICAL and _is_plain(value)]
    scores: object = facts.get("scores")
    if isinstance(scores, Mapping):
        named = cast("Mapping[str, object]", scores).items()
        found += [(f"score {name}", str(value)) for name, value in named if _is_plain(value)]
    warnings: object = facts.get("warnings")
    told = cast("list[object]", warnings) if isinstance(warnings, (list, tuple)) else []
    return [*found, *(("warning", str(text)) for text in told)]


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float))


def recorded_cost(spent: Spent) -> str:
    """``$0.50 and 1,200 tokens recorded``: what the source says that the conversation took; '' if it says nothing."""
    parts = [money(spent.cost, spent.unpriced)] if spent.cost else []
    parts += [f"{spent.usage.total_tokens:,} tokens"] if spent.usage.total_tokens else []
    return f"{' and '.join(parts)} recorded" if parts else ""


_LOWEST = 3
"""Metrics that are named where there is one line for all."""


def graded(execution: ExecutionResult) -> str:
    """What metrics come to: ``84.0 of 80 needed · 2 of 3 graded runs good enough · …``; '' without any."""
    found = execution.grading
    if found is None:
        return ""
    needed = "" if execution.metrics_threshold is None else f" of {execution.metrics_threshold:g} needed"
    scored = sorted((item.mean, item.metric) for item in found.metrics if item.mean is not None)
    cases = found.passed + found.failed + found.undecided + found.errors
    parts = [f"{found.weighted_score:.1f}{needed}" if found.weighted_score is not None else "no score"]
    parts += [f"{found.passed:,} of {plural(cases, 'graded run')} good enough"]
    parts += (
        [f"lowest: {', '.join(f'{metric} {mean:.1f}' for mean, metric in scored[:_LOWEST])} of 5"] if scored else []
    )
    return " · ".join(parts)


@frozen
class AgentFigures:
    """One agent over all of its runs. ``agent`` is None for recordings."""

    agent: str | None
    runs: tuple[RunResult, ...]
    passed: int
    spent: dict[str, Spent]
    seconds: float

    @property
    def cost(self) -> float:
        """US dollars, of everybody together."""
        return sum(part.cost for part in self.spent.values())

    @property
    def unpriced(self) -> int:
        """Calls without a price."""
        return sum(part.unpriced for part in self.spent.values())


def by_agent(execution: ExecutionResult) -> list[AgentFigures]:
    """A row for each agent, in the order of the plan."""
    runs: dict[str | None, list[RunResult]] = {}
    for run in execution.runs:
        runs.setdefault(run.case.agent, []).append(run)
    return [
        AgentFigures(
            agent=agent,
            runs=tuple(found),
            passed=sum(run.outcome == "pass" for run in found),
            spent={who: total_spent(getattr(run, who) for run in found) for who in SPENDERS},
            seconds=sum(run.seconds for run in found),
        )
        for agent, found in runs.items()
    ]


def row_of(group: Group) -> tuple[str, str]:
    """What a line of the matrix shows: a scenario, and what varies besides the agent."""
    case = group.case
    varied = [case.persona or "", "" if case.region == "default" else case.region]
    varied += [f"{key}={value}" for key, value in case.perturbation]
    varied += [case.recording_title] if case.recording else []
    return case.scenario, " · ".join(part for part in varied if part)


def matrix(execution: ExecutionResult) -> tuple[list[str], dict[tuple[str, str], dict[str, Group]]]:
    """Agents across, scenarios (with persona, region, perturbation or recording) down; in the order of the plan."""
    agents = _in_order(execution.groups, lambda group: group.case.agent or "")
    rows: dict[tuple[str, str], dict[str, Group]] = {}
    for group in execution.groups:
        rows.setdefault(row_of(group), {})[group.case.agent or ""] = group
    return agents, rows


def _in_order(groups: Iterable[Group], key: Callable[[Group], str]) -> list[str]:
    return list(dict.fromkeys(map(key, groups)))


@frozen(slots=True)
class SkippedCheck:
    """A check that decided nothing in some runs.

    Attributes:
        name: of the check.
        reason: why it was skipped.
        runs: in how many runs.
    """

    name: str
    reason: str
    runs: int


def skipped_checks(execution: ExecutionResult) -> list[SkippedCheck]:
    """Every check that was skipped, with its reasons, those of the most runs first."""
    count = Counter(pair for run in execution.runs for pair in dict.fromkeys(skipped_in(run)))
    return [SkippedCheck(name=name, reason=reason, runs=runs) for (name, reason), runs in count.most_common()]


def skipped_in(run: RunResult) -> list[tuple[str, str]]:
    """Name and reason of each check that was skipped, turn by turn; of one that decided something in a turn, none."""
    if all(check.status is not CheckStatus.SKIPPED for check in run.checks):
        return []
    decided = {check.name for check in run.checks if check.status is not CheckStatus.SKIPPED}
    return [(check.name, check.explanation) for check in run.checks if check.name not in decided]


def excused(run: RunResult, group: Group) -> bool:
    """Whether a run failed and its test case did not, because the share of passing trials is enough."""
    return run.outcome == "fail" and group.outcome != "fail"


def undecided_allowed(execution: ExecutionResult) -> bool:
    """Whether the number of undecided test cases is within what is tolerated."""
    limit = execution.allowance.undecided
    return limit is None or execution.totals.undecided <= limit


def errors_allowed(execution: ExecutionResult) -> bool:
    """The same for test cases that broke."""
    limit = execution.allowance.errors
    return limit is None or execution.totals.errors <= limit


_KIND = "metrics"


def grades_of(item: CheckEvaluated) -> dict[str, Any] | None:
    """The grades that a check has given; None for a check of another kind, or one that gave none."""
    if item.kind.rpartition(":")[2] != _KIND or not isinstance(item.details.get("metrics"), list):
        return None
    details = item.details
    weights = details.get("weights")
    shares = cast("dict[str, object]", weights) if isinstance(weights, dict) else {}
    return {
        "score": _number(details.get("score")),
        "threshold": _number(details.get("threshold")) or 0,
        "judge": details.get("judge", ""),
        "metrics": [_metric(grade, shares) for grade in _objects(details, "metrics")],
        "outcomes": [_expected(grade, grade.get("outcome"), "met") for grade in _objects(details, "outcomes")],
        "toolCalls": [_expected(grade, _called(grade), "made") for grade in _objects(details, "tool_calls")],
    }


def _metric(grade: Mapping[str, Any], shares: Mapping[str, object]) -> dict[str, Any]:
    return {
        "title": grade.get("title") or grade.get("metric", ""),
        "tier": grade.get("tier", ""),
        "score": _number(grade.get("score")),
        "label": str(grade.get("label", "")),
        "binary": grade.get("score_type") == "binary",
        "share": _number(shares.get(str(grade.get("metric")))),
        "code": grade.get("failure_code"),
        "why": grade.get("reason", ""),
        **_places(grade),
    }


def _expected(grade: Mapping[str, Any], name: object, came_about: str) -> dict[str, Any]:
    return {
        "name": str(name or ""),
        "met": bool(grade.get(came_about)),
        "why": grade.get("reason", ""),
        **_places(grade),
    }


def _called(grade: Mapping[str, Any]) -> object:
    expected = grade.get("expected")
    return cast("dict[str, Any]", expected).get("tool") if isinstance(expected, dict) else ""


def _places(grade: Mapping[str, Any]) -> dict[str, Any]:
    return {"cites": grade.get("message_ids") or [], "turns": grade.get("turns") or []}


def _objects(details: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    found = details.get(name)
    items = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def blame_lines(run: RunResult, *, fidelity: bool = False) -> list[str]:
    """Who is to blame for a run that did not pass, and how well its user was played.

    Args:
        run: the run.
        fidelity: say the score of the simulated user also where it has made no fault.
    """
    parties: dict[tuple[str, str], list[str]] = {}
    for item in run.blame:
        parties.setdefault((item.party, item.reason), []).extend(item.evidence)
    lines = [
        f"blame: {party}, {reason}" + (f" [{', '.join(dict.fromkeys(ids))}]" if ids else "")
        for (party, reason), ids in parties.items()
        if party != "agent" or fidelity
    ]
    played = run.fidelity
    if played is not None and (played.faults or fidelity):
        lines.append(f"simulated user: fidelity {played.score:.2f}")
        lines += [f"  {fault.kind}: {fault.text} [{fault.message_id}]" for fault in played.faults]
    return [*lines, *([run.repeated] if run.repeated else [])]


# --- pass rates: what they are of, their interval, and what is beside them -------------------------------------------


def interval_text(low: float | None, high: float | None) -> str:
    """``32–52%``; '' where there is none."""
    if low is None or high is None:
        return ""
    first, last = percent(low), percent(high)
    return f"{first.removesuffix('%')}–{last}"


def rate_text(rate: Rate, noun: str = "") -> str:
    """``42% of 200 runs [32–52%]``; ``none decided`` where nothing was.

    Args:
        rate: what to write.
        noun: what it is of, such as ``run``; '' for nothing.
    """
    if rate.value is None:
        return "none decided"
    of = plural(rate.decided, noun) if noun else f"{rate.decided:,}"
    return f"{share(rate.value)} of {of} [{interval_text(rate.low, rate.high)}]"


def beside(rate: Rate) -> str:
    """``2 undecided, 1 error``: runs that a rate does not count; '' without any."""
    parts = [f"{rate.undecided:,} undecided"] if rate.undecided else []
    parts += [plural(rate.errors, "error")] if rate.errors else []
    parts += [f"{rate.cancelled:,} cancelled"] if rate.cancelled else []
    return ", ".join(parts)


def confidence_text(confidence: float) -> str:
    """``95%``."""
    return percent(confidence)


def value_text(found: Interval) -> str:
    """``42% [32–52%]``."""
    if found.value is None:
        return "–"
    ends = interval_text(found.low, found.high)
    return f"{share(found.value)} [{ends}]" if ends else share(found.value)


def chosen_ks(execution: ExecutionResult) -> list[PassK]:
    """Of all pass^k those that a line has room for: the first and the last."""
    found = execution.pass_k
    return [found[0], found[-1]] if len(found) > 1 else list(found)


@frozen
class Saved:
    """What was not run, because test cases were decided before.

    Attributes:
        runs, planned: how many were not needed, of how many.
        cases: test cases that were decided before all of their trials.
        cost: what they would probably have cost, in US dollars: as much as the trials of their cases did.
    """

    runs: int
    planned: int
    cases: int
    cost: float

    def __str__(self) -> str:
        money_ = f", about {money(self.cost)}" if self.cost else ""
        share_ = percent(self.runs / self.planned)
        early = f"{plural(self.cases, 'test case')} decided early"
        return f"{self.runs:,} of {plural(self.planned, 'run')} were not needed ({share_}{money_}): {early}"


def saved_by(execution: ExecutionResult) -> Saved | None:
    """What was saved; None where nothing could be, or nothing was."""
    if not execution.spared:
        return None
    groups = [group for group in execution.groups if group.spared]
    cost = sum(group.spared * total_spent(run.spent for run in group.runs).cost / len(group.runs) for group in groups)
    return Saved(runs=execution.spared, planned=len(execution.plan), cases=len(groups), cost=cost)
