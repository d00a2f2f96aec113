"""Estimates what a plan will take: calls, tokens, cost and time. Prices are looked up; no model is called.

How many model calls a scenario makes is estimated from what is written. What nobody can know beforehand is assumed: see
the constants. A free conversation is counted with all its turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from duologue.checks.judge_checks import Judged
from duologue.checks.registry import find
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.events import Usage
from duologue.models.prices import estimated_cost
from duologue.models.scope import estimate_tokens
from duologue.settings import DEFAULT_MAX_TURNS
from duologue.specs.agents import Agent, Judge, Persona, Simulator
from duologue.specs.checks import CheckSpec
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Replay, Suite, find_named
from duologue.suites.plan.build import Plan, TestCase, attackers_of, needs_simulator

ANSWER_TOKENS = 150
"""Of an answer of the agent."""
LINE_TOKENS = 25
"""Of a line of a simulated user."""
JUDGE_TOKENS = 200
"""Of what a judge writes."""
RULES_TOKENS = 500
"""Of what a judge or a simulated user is told beside the conversation."""
ATTACK_CALLS = 2
"""For one message of an attacker: it is written, and the answer is scored."""
TOOL_ROUNDS = 2
"""Calls for one answer of an agent that has tools."""


@frozen(slots=True)
class Load:
    """Calls of one kind of participant, with the tokens of all of them together."""

    calls: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(calls=self.calls + other.calls, read=self.read + other.read, written=self.written + other.written)


@frozen(slots=True)
class Workload:
    """What one test case asks of models: of the agent's, of simulated users, of judges."""

    agent: Load = Load()
    user: Load = Load()
    judge: Load = Load()
    turns: int = 0


def workload_of(suite: Suite, scenario: Scenario, agent: Agent, persona: str | None = None) -> Workload:
    """What one run of a scenario with an agent asks of models."""
    lines = _lines(suite, scenario, persona)
    spoken = sum(tokens for tokens, _ in lines) + len(lines) * ANSWER_TOKENS
    return Workload(
        agent=_agent(suite, scenario, agent, [tokens for tokens, _ in lines]),
        user=_users(lines),
        judge=_judges(suite, scenario, len(lines), spoken),
        turns=len(lines),
    )


def workload_of_replay(suite: Suite, replay: Replay) -> Workload:
    """What judging a recording again asks of judges; its length is not known, five turns are assumed."""
    turns = 5
    calls = turns * _judged(replay.turn_checks) + _judged([*replay.checks, *suite.checks]) + bool(replay.criteria)
    read = RULES_TOKENS + turns * (LINE_TOKENS + ANSWER_TOKENS)
    return Workload(judge=Load(calls=calls, read=calls * read, written=calls * JUDGE_TOKENS), turns=turns)


def _lines(suite: Suite, scenario: Scenario, persona: str | None) -> list[tuple[int, int]]:
    """For each line of the user its tokens, and the calls of models for it."""
    if not scenario.turns:
        found = find_named(suite.personas, persona)
        attack = found.attack if found else None
        return _said_by(found, attack.turns if attack else _most_turns(scenario))
    return [line for turn in scenario.turns for line in _of(turn, suite, persona)]


def _most_turns(scenario: Scenario) -> int:
    turns, limit = scenario.max_turns or DEFAULT_MAX_TURNS, scenario.message_limit
    if limit is None:
        return turns
    said = sum(message.role != "tool" for message in scenario.messages)
    return max(1, min(turns, (limit - said + 1) // 2))


def _said_by(persona: Persona | None, most: int) -> list[tuple[int, int]]:
    if persona and persona.lines:
        return [(estimate_tokens(line), 0) for line in persona.lines[:most]]
    calls = 0 if persona and persona.agenda else ATTACK_CALLS if persona and persona.attack else 1
    return [(LINE_TOKENS, calls)] * most


def _of(turn: Turn, suite: Suite, persona: str | None) -> list[tuple[int, int]]:
    if turn.role == "simulated_user":
        return _said_by(find_named(suite.personas, turn.persona or persona), turn.most_exchanges)
    text = turn.content or "".join(part.text or "" for part in turn.parts)
    return [(estimate_tokens(text), 0)]


def _agent(suite: Suite, scenario: Scenario, agent: Agent, lines: list[int]) -> Load:
    """Each answer reads the instruction and the whole conversation so far. Other agents ask models of their own."""
    if not agent.is_native:
        return Load()
    prompt = suite.prompt_for(agent.prompt or scenario.prompt)
    told = estimate_tokens(prompt.system_template) if prompt else 0
    rounds = TOOL_ROUNDS if (prompt and prompt.allowed_tools) or suite.workflow else 1
    read = history = 0
    for line in lines:
        history += line
        read += rounds * (told + history)
        history += ANSWER_TOKENS
    return Load(calls=rounds * len(lines), read=read, written=rounds * len(lines) * ANSWER_TOKENS)


def _users(lines: list[tuple[int, int]]) -> Load:
    total, history = Load(), 0
    for tokens, calls in lines:
        total += Load(calls=calls, read=calls * (RULES_TOKENS + history), written=calls * LINE_TOKENS)
        history += tokens + ANSWER_TOKENS
    return total


def _judges(suite: Suite, scenario: Scenario, turns: int, spoken: int) -> Load:
    per_turn = sum(
        _judged(turn.checks) * (turn.most_exchanges if turn.role != "user" else 1) for turn in scenario.turns
    )
    at_end = _judged([*scenario.checks, *suite.checks])
    criteria = (1 if scenario.turns else turns) if scenario.judged else 0
    calls = per_turn + at_end + criteria
    return Load(calls=calls, read=calls * (RULES_TOKENS + spoken), written=calls * JUDGE_TOKENS)


def _judged(checks: list[CheckSpec] | tuple[CheckSpec, ...]) -> int:
    return sum(_asks_a_judge(check) for check in checks)


def _asks_a_judge(check: CheckSpec) -> bool:
    if check.type == "metrics":  # one request for all of them, unless nothing is asked of a model
        return bool(check.params.get("metrics", True) or check.params.get("expected_outcomes"))
    try:
        return issubclass(find(check.type)[0].parameters, Judged)
    except ConfigurationError:
        return False


def simulating_models(suite: Suite, scenario: Scenario) -> list[str | None]:
    """The models that play users, each once; None for the configured default."""
    first = suite.simulators[0].name if suite.simulators else None
    turns = [turn for turn in scenario.turns if turn.role == "simulated_user"] if scenario.turns else [None]
    simulated = [turn.simulator if turn else None for turn in turns if needs_simulator(suite, scenario, turn)]
    attacks = [persona.attack.models for persona in attackers_of(suite, scenario) if persona.attack]
    found = _models(suite.simulators, [name or first for name in simulated])
    return list(dict.fromkeys([*found, *(name for models in attacks for name in models)]))


def judging_models(suite: Suite, case: TestCase) -> list[str | None]:
    """The models that judge a scenario or a replay, each once; None for the configured default."""
    judged = suite.replay(case.scenario) if case.kind == "replay" else suite.scenario(case.scenario)
    asked = [judged.judge] if judged.judged else []
    named = (check.params.get("judge") for check in _checks(suite, judged))
    asked += [name for name in named if isinstance(name, str)]
    defaults = suite.judge_defaults
    usual = (defaults.judge if defaults else None) or (suite.judges[0].name if suite.judges else None)
    return _models(suite.judges, [name or usual for name in asked] or [usual])


def _checks(suite: Suite, judged: Scenario | Replay) -> Iterable[CheckSpec]:
    of_turns = (
        judged.turn_checks if isinstance(judged, Replay) else [item for turn in judged.turns for item in turn.checks]
    )
    return [*of_turns, *judged.checks, *suite.checks]


def _models(named: Sequence[Simulator] | Sequence[Judge], names: Iterable[str | None]) -> list[str | None]:
    found = (find_named(named, name) for name in names)
    return list(dict.fromkeys(item.model if item else None for item in found))


SECONDS = {"agent": 3.0, "user": 2.0, "judge": 5.0}
"""Of one call; local models and busy providers take longer."""
FREE = ("mock", "replay", "local")
"""Providers that cost nothing."""
_ROLES = ("agent", "user", "judge")


@frozen
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
    """Adds up cases. All cases of a scenario with an agent and a persona are alike, so they are looked at once."""

    def __init__(self, suite: Suite, now: float, mocking: bool) -> None:
        self._suite = suite
        self._now = now
        self._mocking = mocking
        self._loads = dict.fromkeys(_ROLES, Load())
        self._cost = 0.0
        self._seconds = 0.0
        self._longest = 0.0
        self._unpriced: dict[str, None] = {}
        self._known: dict[tuple[str, str | None, str | None], tuple[Workload, float]] = {}

    def add(self, case: TestCase) -> None:
        """Count one more case."""
        key = (case.scenario, case.agent, case.persona)
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
            return workload_of_replay(self._suite, self._suite.replay(case.scenario))
        scenario, agent = self._suite.scenario(case.scenario), self._suite.agent(case.agent or "")
        return workload_of(self._suite, scenario, agent, case.persona)

    def _price(self, case: TestCase, work: Workload) -> float:
        if self._mocking:
            return 0.0
        names: dict[str, Callable[[], list[str | None]]] = {
            "agent": lambda: [self._suite.agent(case.agent).model] if case.agent else [],
            "user": lambda: simulating_models(self._suite, self._suite.scenario(case.scenario)),
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
        spec = find_named(self._suite.models, name)
        usage = Usage(input_tokens=load.read, output_tokens=load.written)
        if spec is not None and spec.pricing is not None and spec.provider not in ("mock", "replay"):
            price = spec.pricing
            return (load.read * price.input_cost_per_1k + load.written * price.output_cost_per_1k) / 1000
        full = f"{spec.provider}/{spec.model}" if spec is not None else name
        if full.startswith(FREE):
            return 0.0
        cost = estimated_cost(full, usage, self._now)
        if cost is None:
            self._unpriced[name] = None
        return cost or 0.0
