"""What listeners of an execution are told: which events there are, and which of them are new.

The rows of an execution's runs say how things are and not how they came about. What was told before, folded into
:class:`Told`, and the rows as they are now give what is to be told next. Nothing here reads or writes: see
:mod:`duologue.runs.store.database.execution_events`.

============================  ======================================================================================
``execution_started``         the first event
``run_started``               a worker has begun a run; a run that another worker continues is not begun again
``run_completed``             a run is over, whatever came of it; also when its outcome was changed afterwards
``run_retried``               a run that was over is in the queue again
``run_deleted``               a run of which something was told is not there any more
``execution_completed``       all runs are over; again after runs were retried
============================  ======================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic_core import from_json, to_json

from duologue.frozen import frozen
from duologue.runs.store.records import OVER, iso_instant

EventType = Literal[
    "execution_started", "run_started", "run_completed", "run_retried", "run_deleted", "execution_completed"
]
OUTCOMES = {
    "pass": "passed",
    "fail": "failed",
    "undecided": "undecided",
    "error": "error",
    "cancelled": "cancelled",
}
"""What a run came to, and how many of them there are is called."""
_LONGEST = 2_000
"""Characters of a reason or an error."""


class RunState(NamedTuple):
    """As much of a run as it takes to see whether there is news of it."""

    number: int
    status: str
    outcome: str | None
    completed_at: float | None
    updated_at: float


class RunNow(NamedTuple):
    """What is told of a run.

    Attributes:
        title: of its test case.
        details: latency and whatever else is kept with it.
    """

    number: int
    id: str
    status: str
    outcome: str | None
    title: str
    scenario: str
    persona: str | None
    agent: str | None
    trial: int
    score: float | None
    reason: str | None
    error: str | None
    details: Mapping[str, Any]
    cost: float | None
    tokens: int | None
    started_at: float | None
    completed_at: float | None


@frozen(slots=True)
class ExecutionFacts:
    """The execution that events are about."""

    id: int
    name: str
    eval_id: str | None
    created_at: float


class NewEvent(NamedTuple):
    """An event without a number.

    Attributes:
        run: the number of the run that it is about; None for the execution as a whole.
        data: JSON.
        at: seconds since 1970.
    """

    type: EventType
    run: int | None
    data: bytes
    at: float


class _Step(NamedTuple):
    """Something that has happened to a run, which may not exist any more."""

    at: float
    type: EventType
    number: int
    run: RunNow | None


class _ToldRun(NamedTuple):
    """What was told of a run last: that it was begun or, with an outcome, that it is over since then."""

    id: str
    outcome: str | None = None
    at: float = 0.0


class Counts:
    """How the runs of an execution stand.

    Attributes:
        running: how many of them.
        over: how many have come to which outcome.
    """

    def __init__(self, running: int = 0, over: Mapping[str, int] | None = None) -> None:
        self.running = running
        self.over = Counter(over or {})

    def copy(self) -> Counts:
        """The same, to be changed."""
        return Counts(self.running, self.over)

    def of(self, total: int) -> dict[str, int]:
        """The counts as they are told, of so many runs."""
        over = {name: self.over[outcome] for outcome, name in OUTCOMES.items()}
        completed = sum(over.values())
        queued = max(0, total - completed - self.running)
        return {"total": total, "queued": queued, "running": self.running, "completed": completed, **over}

    def change(self, before: _ToldRun | None, after: _ToldRun | None) -> None:
        """A run has become another."""
        for told, step in ((before, -1), (after, 1)):
            if told is None:
                continue
            if told.outcome is None:
                self.running += step
            else:
                self.over[told.outcome] += step


def pass_rate(passed: int, failed: int) -> float | None:
    """The share of runs that passed among those that passed or failed; None if there are none."""
    return passed / (passed + failed) if passed + failed else None


class Told:
    """What was told of an execution so far.

    Attributes:
        seq: the number of the last event; 0 if nothing was told.
        over: the last thing that was told is that all runs are over.
        counts: how the runs stood by then.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.over = False
        self.counts = Counts()
        self._runs: dict[int, _ToldRun] = {}

    def apply(self, event: NewEvent, seq: int) -> None:
        """Something was told.

        Args:
            event: what.
            seq: its number, which is one more than that of the event before.
        """
        self.seq = seq
        self.over = event.type == "execution_completed"
        if event.run is None:
            return
        before, after = self._runs.get(event.run), _after(event)
        self.counts.change(before, after)
        if after is None:
            self._runs.pop(event.run, None)
        else:
            self._runs[event.run] = after

    def of(self, number: int) -> _ToldRun | None:
        """What was told of a run last; None if it waits, as far as anybody knows."""
        return self._runs.get(number)

    def numbers(self) -> Iterable[int]:
        """Runs that have begun, or are over."""
        return self._runs.keys()

    @property
    def completed(self) -> int:
        """How many runs are over."""
        return self.counts.over.total()


def _after(event: NewEvent) -> _ToldRun | None:
    if event.type in {"run_retried", "run_deleted"}:
        return None
    data = from_json(event.data)
    return _ToldRun(data["run_id"], data["outcome"] if event.type == "run_completed" else None, event.at)


def changed_runs(told: Told, found: Iterable[RunState]) -> list[int]:
    """The numbers of runs of which there is news."""
    return [state.number for state in found if _is_news(told.of(state.number), state)]


def _is_news(told: _ToldRun | None, state: RunState | RunNow) -> bool:
    if state.status in OVER:
        return told is None or told.outcome is None or not _is_same_end(told, state)
    if state.status == "running":
        return told is None or told.outcome is not None
    return told is not None and told.outcome is not None


def _is_same_end(told: _ToldRun, state: RunState | RunNow) -> bool:
    at = told.at if state.completed_at is None else state.completed_at
    return (told.outcome, told.at) == (_outcome(state), at)


def _outcome(state: RunState | RunNow) -> str:
    return state.outcome if state.outcome in OUTCOMES else "undecided"


def news(
    told: Told,
    subject: ExecutionFacts,
    found: Sequence[RunNow],
    *,
    total: int,
    now: float,
    gone: Iterable[int] = (),
    all_over: bool = False,
) -> list[NewEvent]:
    """What is to be told next, in its order.

    Args:
        told: what was told before.
        subject: the execution.
        found: runs of which there may be news.
        total: how many runs the execution has.
        now: seconds since 1970, for what has no instant of its own.
        gone: numbers of runs that do not exist any more.
        all_over: whether every run that there is, is over.
    """
    steps: list[_Step] = []
    for run in found:
        steps += _steps(told.of(run.number), run, now)
    steps += [_Step(now, "run_deleted", number, None) for number in gone]
    steps.sort(key=lambda step: step.at)  # what came earlier is told earlier; of one run, in its order
    counts, latest = told.counts.copy(), dict[int, _ToldRun | None]()
    events: list[NewEvent] = []
    if not told.seq:
        events.append(_of_execution("execution_started", subject, counts.of(total), subject.created_at))
    for at, kind, number, run in steps:
        before = latest[number] if number in latest else told.of(number)
        run_id = run.id if run is not None else before.id if before is not None else ""
        ended = run is not None and kind == "run_completed"
        after = (
            None
            if kind in {"run_retried", "run_deleted"}
            else _ToldRun(run_id, _outcome(run) if ended and run is not None else None, at)
        )
        counts.change(before, after)
        latest[number] = after
        data = {"execution_id": subject.id, "run_id": run_id, **_facts(kind, run), "counts": counts.of(total)}
        events.append(NewEvent(kind, number, to_json(data), at))
    if all_over and total and (steps or not told.over):
        last = max((step.at for step in steps), default=now)
        events.append(_of_execution("execution_completed", subject, counts.of(total), last))
    return events


def _steps(told: _ToldRun | None, run: RunNow, now: float) -> list[_Step]:
    """What has happened to a run since it was told of."""
    if not _is_news(told, run):
        return []
    ended, begun = run.status in OVER, run.started_at
    kinds: list[tuple[float | None, EventType]] = []
    was_over = told is not None and told.outcome is not None
    changed = told is not None and was_over and ended and (begun is None or begun <= told.at)  # only what came of it
    if was_over and not changed:
        kinds.append((begun, "run_retried"))
    if (told is None or was_over) and not changed and (run.status == "running" or (ended and begun is not None)):
        kinds.append((begun, "run_started"))
    if ended:
        kinds.append((run.completed_at, "run_completed"))
    steps: list[_Step] = []
    for at, kind in kinds:
        least = steps[-1].at if steps else 0.0
        if at is None or kind != "run_completed":  # an end keeps its instant, by which it is known again
            at = max(at or now, least)
        steps.append(_Step(at, kind, run.number, run))
    return steps


def _facts(kind: EventType, run: RunNow | None) -> dict[str, Any]:
    if run is None:
        return {}
    facts: dict[str, Any] = {
        "title": run.title,
        "scenario": run.scenario,
        "persona": run.persona,
        "agent": run.agent,
        "trial": run.trial,
    }
    if kind == "run_started":
        facts["started_at"] = iso_instant(run.started_at)
    if kind == "run_completed":
        facts |= {
            "status": run.status,
            "outcome": _outcome(run),
            "score": run.score,
            "reason": _short(run.reason),
            "error": _short(run.error),
            "latency_ms": run.details.get("latency_ms"),
            "cost": run.cost,
            "tokens": run.tokens,
            "started_at": iso_instant(run.started_at),
            "completed_at": iso_instant(run.completed_at),
        }
    return facts


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _of_execution(kind: EventType, subject: ExecutionFacts, counts: Mapping[str, int], at: float) -> NewEvent:
    data: dict[str, Any] = {"execution_id": subject.id, "name": subject.name, "eval_id": subject.eval_id}
    if kind == "execution_completed":
        data["status"] = "cancelled" if counts["cancelled"] else "completed"
        data["pass_rate"] = pass_rate(counts["passed"], counts["failed"])
    return NewEvent(kind, None, to_json({**data, "counts": dict(counts)}), at)
