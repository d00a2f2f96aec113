"""A recorded run that is continued from the end of one of its turns, as often as asked for.

Everything comes from the suite as it is now: the agent or another one, the simulated user, checks and judges. Nothing
of it reads files: give it an engine, a test case and the entries of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from duologue.context import derive_seed
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.conversation.script import agent as agent_step
from duologue.conversation.script import proceed
from duologue.conversation.script import user as user_step
from duologue.conversation.setup import ScriptStep
from duologue.errors import ConfigurationError
from duologue.frozen import changed, frozen
from duologue.journal.events import Entry
from duologue.messages import Message, text_of
from duologue.own_model import adapter
from duologue.specs.scenario import Turn
from duologue.specs.suite import Suite, find_named
from duologue.stats.proportion import Proportion, wilson
from duologue.suites.execution.engine import Engine
from duologue.suites.execution.launch import Observer
from duologue.suites.forks.recorded import (
    RecordedLine,
    RecordedTurns,
    first_turns,
    follows_history,
    open_next_turn,
    recorded_step,
    total_turns,
)
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import RunOptions
from duologue.suites.runner.script import Participants, TurnStep, UntilMessages, final_judgement
from duologue.vocabulary import AgentRole, Scope, Verdict


@frozen
class Continuation:
    """Lets a run begin with the first turns of another.

    Attributes:
        recorded: those turns.
        say: what the user says next; None for what the scenario says.
        again: whether the user's lines are said to the agent again; None to find out what the agent needs.
    """

    recorded: RecordedTurns
    say: str | None = None
    again: bool | None = None

    def __call__(self, case: TestCase, parts: Participants) -> Participants:
        """The participants of the run, with a script that begins in the middle."""
        agent = next((item for item in parts.agents if item.role is AgentRole.AGENT), None)
        again = self.again if self.again is not None else agent is not None and not follows_history(agent)
        metadata = {**parts.metadata, "fork": self.facts(again)}
        if not self.recorded.turns and self.say is None:
            return changed(parts, metadata=metadata)
        script = parts.script or (proceed(),)
        before = self._said_again(script) if again else self._recorded(parts)
        after = self._after(script)
        if not again and self.recorded.turns and (self.say is not None or any(map(_needs_a_turn, after))):
            before = [*before, open_next_turn]
        return changed(parts, script=(*before, *self._next_line(after)), metadata=metadata)

    def as_data(self) -> dict[str, Any]:
        """As JSON data, for runs that other processes carry out."""
        data: dict[str, Any] = _continuations().dump_python(self, mode="json")
        return data

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Continuation:
        """What :meth:`as_data` has made. Raises ValueError if it is something else."""
        made: Continuation = _continuations().validate_python(data)
        return made

    def facts(self, again: bool) -> dict[str, Any]:
        """Where the run begins, as JSON data for its journal."""
        said = {"say": self.say} if self.say is not None else {}
        answers = "asked for again" if again else "as recorded"
        return {"run_id": self.recorded.run_id, "turns": self.recorded.turns, "answers": answers, **said}

    def _recorded(self, parts: Participants) -> list[ScriptStep]:
        if not self.recorded.turns:
            return []
        checked = frozenset(check.name for check in parts.checks if check.scope is Scope.TURN)
        return [recorded_step(self.recorded, parts.agents, checked)]

    def _said_again(self, script: Sequence[ScriptStep]) -> list[ScriptStep]:
        """The steps with which the user's lines are said again, one by one."""
        first = opening_length(script)
        opening = script[:first] if self.recorded.turns else ()
        return [*opening, *(line_step(line, script) for line in self.recorded.lines if line.step >= first)]

    def _after(self, script: Sequence[ScriptStep]) -> list[ScriptStep]:
        """What is left of the script after the recorded turns."""
        place = self.recorded.step
        if place is None:
            return list(script)
        if place >= len(script):
            return []
        step, later = script[place], list(script[place + 1 :])
        if goes_on(step):
            return [step, *later]
        if isinstance(step, TurnStep) and step.line is None:
            left = step.turn.most_exchanges - self.recorded.exchanges
            return [_shortened(step, left), *later] if left > 0 else later
        return later

    def _next_line(self, after: list[ScriptStep]) -> list[ScriptStep]:
        """The steps with the user's next line put in: in the place of one that is written, or before what follows."""
        if self.say is None:
            return after
        line: Message = {"role": "user", "content": self.say}
        first = after[0] if after else None
        if isinstance(first, TurnStep) and first.line is not None:
            return [changed(first, line=line), *after[1:]]
        if isinstance(first, TurnStep):
            left = first.turn.most_exchanges - 1
            rest = [_shortened(first, left), *after[1:]] if left > 0 else after[1:]
            return [changed(first, line=line), *rest]
        return [user_step(line), agent_step(), *after]


@cache
def _continuations() -> TypeAdapter[Continuation]:
    return adapter(Continuation)


def _shortened(step: TurnStep, left: int) -> TurnStep:
    turn = step.turn.changed(exchanges=min(step.turn.exchanges, left), max_exchanges=left)
    return changed(step, turn=turn)


def goes_on(step: ScriptStep) -> bool:
    """Whether a step lasts for several turns, and looks itself how far they have come."""
    return isinstance(step, UntilMessages) or getattr(step, "__name__", "") == "proceed"


def _needs_a_turn(step: ScriptStep) -> bool:
    return isinstance(step, TurnStep) or goes_on(step)


def opening_length(script: Sequence[ScriptStep]) -> int:
    """How many steps put in the messages that a conversation begins with."""
    for place, step in enumerate(script):
        if isinstance(step, TurnStep) or goes_on(step) or step is final_judgement:
            return place
    return len(script)


def line_step(line: RecordedLine, script: Sequence[ScriptStep] = ()) -> TurnStep:
    """A step in which the user says a recorded line, with the checks of the turn that it belonged to."""
    step = script[line.step] if line.step < len(script) else None
    if isinstance(step, TurnStep):
        return changed(step, line=line.message)
    turn = Turn(content=text_of(line.message) or "…")
    return TurnStep(index=line.turn, turn=turn, line=line.message, checks=(), listeners=())


async def judged_at_the_end(state: ScenarioState) -> ScenarioResult | None:
    """A step of a script: the judge decides, if there is one."""
    if any(agent.role is AgentRole.JUDGE for agent in state.executor.agents):
        return await state.executor.judge()
    return None


def trials_of(case: TestCase, count: int, *, salt: str) -> tuple[TestCase, ...]:
    """A test case so many times, each with a seed of its own.

    All of them are played, whatever the suite says about when its trials end.

    Args:
        case: which.
        count: how often.
        salt: what the seeds are for; other purposes get other seeds.
    """
    return tuple(
        changed(
            case,
            index=index,
            trial=index + 1,
            trials=count,
            seed=derive_seed(case.seed, salt, index),
            until_decided=False,
        )
        for index in range(count)
    )


def require_forkable(suite: Suite, case: TestCase) -> None:
    """See that a case can be continued from the middle.

    Raises:
        ConfigurationError: it is a recording, or its user is an attacker.
    """
    if case.kind == "replay":
        raise ConfigurationError(f"{case.title} is a recording, whose agent cannot be asked; name a run of a scenario")
    scenario = suite.scenario(case.scenario)
    names = {case.persona, *(turn.persona for turn in scenario.turns)}
    for name in names:
        persona = find_named(suite.personas, name)
        if persona is not None and persona.attack is not None:
            raise ConfigurationError(
                f"the persona '{persona.name}' is an attacker, whose plan cannot begin in the middle of a "
                "conversation; use 'duologue shrink', which says the recorded lines"
            )


@frozen
class Forked:
    """A run that was continued several times.

    Attributes:
        turns: after how many recorded turns.
        say: what the user said then; None for what the scenario says.
        execution: the runs.
    """

    turns: int
    say: str | None
    execution: ExecutionResult

    @property
    def passed(self) -> Proportion:
        """How many of the decided runs passed."""
        return passed_of(self.execution.runs)


def passed_of(runs: Sequence[RunResult]) -> Proportion:
    """The share of runs that passed, of those with a verdict either way."""
    verdicts = [run.verdict for run in runs if run.verdict in {Verdict.PASS, Verdict.FAIL}]
    return wilson(verdicts.count(Verdict.PASS), len(verdicts))


async def fork(
    engine: Engine,
    case: TestCase,
    entries: Sequence[Entry],
    *,
    turns: int,
    trials: int = 10,
    say: str | None = None,
    again: bool | None = None,
    options: RunOptions | None = None,
    observers: Sequence[Observer] = (),
) -> Forked:
    """Continue a recorded run from the end of one of its turns.

    Args:
        engine: of the suite.
        case: which test case; its agent may be another one than that of the recorded run.
        entries: of the journal of the recorded run.
        turns: after how many turns; 0 from the beginning.
        trials: how often.
        say: what the user says next; None for what the scenario says.
        again: whether the user's lines are said to the agent again; None to find out what the agent needs.
        options: how the runs are run.
        observers: are told of everything.

    Raises:
        ConfigurationError: the run has fewer turns, or cannot be continued.
    """
    require_forkable(engine.suite, case)
    total = total_turns(entries)
    if not 0 <= turns <= total:
        raise ConfigurationError(f"the run has {total} turns, so it cannot be continued after turn {turns}")
    adapt = Continuation(recorded=first_turns(entries, turns), say=say, again=again)
    cases = trials_of(case, trials, salt=f"fork {turns} {say}")
    execution = await run_cases(engine, {one.index: adapt for one in cases}, cases, options, observers)
    return Forked(turns=turns, say=say, execution=execution)


async def run_cases(
    engine: Engine,
    continuations: Mapping[int, Continuation],
    cases: Sequence[TestCase],
    options: RunOptions | None = None,
    observers: Sequence[Observer] = (),
) -> ExecutionResult:
    """Run cases, each begun as its continuation says."""
    plan = Plan(suite=engine.suite.name, cases=tuple(cases), seed=cases[0].seed)

    def adapt(case: TestCase, parts: Participants) -> Participants:
        return continuations[case.index](case, parts)

    before, engine.adapt = engine.adapt, adapt
    try:
        return await engine.execute(plan, options, observers=observers)
    finally:
        engine.adapt = before
