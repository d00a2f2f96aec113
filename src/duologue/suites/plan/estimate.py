"""What a plan will take: calls, tokens, money and time. Prices are looked up; nothing is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from duologue.journal.events import Usage
from duologue.models.prices import estimated_cost
from duologue.specs.suite import Suite
from duologue.suites.plan.asked import judging_models, simulating_models
from duologue.suites.plan.cases import Plan, TestCase
from duologue.suites.plan.workload import Load, Workload, workload_of, workload_of_replay

SECONDS = {"agent": 3.0, "user": 2.0, "judge": 5.0}
"""Of one call; local models and busy providers take longer."""
FREE = ("mock", "replay", "local")
"""Providers that cost nothing."""
_ROLES = ("agent", "user", "judge")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a plan will take.

    Attributes:
        cases: test cases.
        agent, user, judge: calls and tokens by who asks.
        cost: US dollars of the models that have a price.
        unpriced: names of models that take part and have none.
        seconds: with so many cases at once as it was made for.
    """

    cases: int
    agent: Load
    user: Load
    judge: Load
    cost: float
    unpriced: tuple[str, ...]
    seconds: float

    @property
    def calls(self) -> int:
        """All of them."""
        return self.agent.calls + self.user.calls + self.judge.calls

    @property
    def tokens(self) -> int:
        """All of them, read and written."""
        return sum(load.read + load.written for load in (self.agent, self.user, self.judge))


def estimate(suite: Suite, plan: Plan, *, concurrency: int, now: float, mocking: bool = False) -> Estimate:
    """An estimate; see :mod:`workload` for what is assumed.

    Args:
        suite: what is planned.
        plan: its test cases.
        concurrency: cases at once.
        now: seconds since 1970: prices change.
        mocking: all models answer from a file, and cost nothing.
    """
    total = _Sum(suite, now, mocking)
    for case in plan.cases:
        total.add(case)
    return total.result(len(plan), concurrency)


class _Sum:
    """Adds up cases. All cases of a scenario with an agent are alike, so each such pair is looked at once."""

    def __init__(self, suite: Suite, now: float, mocking: bool) -> None:
        self._suite = suite
        self._now = now
        self._mocking = mocking
        self._loads = dict.fromkeys(_ROLES, Load())
        self._cost = 0.0
        self._seconds = 0.0
        self._longest = 0.0
        self._unpriced: dict[str, None] = {}
        self._known: dict[tuple[str, str | None], tuple[Workload, float]] = {}

    def add(self, case: TestCase) -> None:
        """Count one more case."""
        key = (case.scenario, case.agent)
        if key not in self._known:
            work = self._work(case)
            self._known[key] = work, self._price(case, work)
        work, cost = self._known[key]
        self._cost += cost
        seconds = 0.0
        for role in _ROLES:
            load: Load = getattr(work, role)
            self._loads[role] += load
            seconds += load.calls * SECONDS[role]
        if case.agent and not work.agent.calls:  # an agent of its own answers, too
            seconds += work.turns * SECONDS["agent"]
        self._seconds += seconds
        self._longest = max(self._longest, seconds)

    def result(self, cases: int, concurrency: int) -> Estimate:
        """Everything together."""
        seconds = 0.0 if self._mocking else max(self._seconds / concurrency, self._longest)
        return Estimate(cases=cases, cost=self._cost, unpriced=tuple(self._unpriced), seconds=seconds, **self._loads)

    def _work(self, case: TestCase) -> Workload:
        if case.kind == "replay":
            return workload_of_replay(self._suite, self._suite.named("replays", case.scenario))
        scenario, agent = self._suite.named("scenarios", case.scenario), self._suite.named("agents", case.agent)
        return workload_of(self._suite, scenario, agent)

    def _price(self, case: TestCase, work: Workload) -> float:
        if self._mocking:
            return 0.0
        names: dict[str, Callable[[], list[str | None]]] = {
            "agent": lambda: [self._suite.named("agents", case.agent).model] if case.agent else [],
            "user": lambda: simulating_models(self._suite, self._suite.named("scenarios", case.scenario)),
            "judge": lambda: judging_models(self._suite, case),
        }
        return sum(self._shared(names[role](), getattr(work, role)) for role in _ROLES if getattr(work, role).calls)

    def _shared(self, names: Sequence[str | None], load: Load) -> float:
        """US dollars of calls that several models share; who gets how many of them is not looked at."""
        return sum(self._of(name, load) for name in names) / max(len(names), 1)

    def _of(self, name: str | None, load: Load) -> float:
        """US dollars of some calls of a model; 0 for one without a price, which is remembered."""
        if name is None:
            return 0.0
        spec = self._suite.named("models", name)
        usage = Usage(input_tokens=load.read, output_tokens=load.written)
        if spec is not None and spec.pricing is not None:
            price = spec.pricing
            return (load.read * price.input_cost_per_1k + load.written * price.output_cost_per_1k) / 1000
        full = f"{spec.provider}/{spec.model}" if spec is not None else name
        if full.startswith(FREE):
            return 0.0
        cost = estimated_cost(full, usage, self._now)
        if cost is None:
            self._unpriced[name] = None
        return cost or 0.0
