"""The shortest script that still fails: a recorded run reduced to the turns, facts and words that its failure needs.

A candidate counts if the same failures come again in enough of its trials. The user's lines are said as they were
recorded, so that no model plays the user. Where a failure does not come again that way, the simulated user stays, and
what it knows is reduced instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import ceil

from duologue.errors import ConfigurationError
from duologue.frozen import changed, frozen
from duologue.journal.events import Entry
from duologue.messages import text_of
from duologue.specs.agents import Persona
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Suite, find_named
from duologue.stats.proportion import Proportion, wilson
from duologue.suites.execution.engine import Engine
from duologue.suites.forks.delta import minimised
from duologue.suites.forks.facts import facts_of, with_facts
from duologue.suites.forks.fork import trials_of
from duologue.suites.forks.recorded import RecordedLine, first_turns, total_turns
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult
from duologue.suites.runner.case_run import CaseRunner
from duologue.suites.runner.definition import DEFAULT_CONCURRENCY
from duologue.vocabulary import CheckStatus, Decision, RunStatus, Verdict

TAG = "regression"
"""The tag of a scenario that was made of a failed run."""

FailureKey = tuple[str, str]
"""What failed: ``("check", "no refund is promised")``."""

_ROUNDED = 1e-9


@frozen
class ShrinkOptions:
    """How a run is reduced.

    Attributes:
        trials: how often each candidate is played.
        share: the share of them that must fail in the same way.
        words: whether single words are left out, too.
        keep: texts; a turn whose line has one of them stays.
        failures: names of checks or criteria that must fail; empty for those that fail again of those that failed.
        reference: the name of an agent of the suite that must pass what is left, so that it does ask for something
            that can be done.
        most_runs: after so many runs, what has been found by then is the result.
        concurrency: runs at once.
    """

    trials: int = 5
    share: float = 0.8
    words: bool = True
    keep: Sequence[str] = ()
    failures: Sequence[str] = ()
    reference: str | None = None
    most_runs: int = 2000
    concurrency: int = DEFAULT_CONCURRENCY

    @property
    def needed(self) -> int:
        """How many trials must fail."""
        return max(1, ceil(self.share * self.trials - _ROUNDED))


@frozen
class Shrunk:
    """A recorded run, reduced.

    Attributes:
        suite: with the reduced scenario only: a regression case that can be written and run.
        scenario: what is left.
        failures: what fails in it.
        turns_before, turns: of the recorded run, and of what is left; None where a simulated user speaks.
        words_before, words: of the user's lines; None where a simulated user speaks.
        facts_before, facts: that the simulated user knows; None where none speaks.
        failing: how many of the last trials, played anew, failed in the same way.
        runs: how many runs it took.
        notes: what a reader should know.
    """

    suite: Suite
    scenario: Scenario
    failures: tuple[FailureKey, ...]
    turns_before: int
    turns: int | None
    words_before: int
    words: int | None
    facts_before: int | None
    facts: int | None
    failing: Proportion
    runs: int
    notes: tuple[str, ...] = ()


def failures_in(run: RunResult) -> frozenset[FailureKey]:
    """What failed in a run; nothing for one that passed or that nobody decided."""
    if run.status is RunStatus.ERROR:
        return frozenset({("error", run.error.type if run.error else "")})
    if run.verdict is not Verdict.FAIL:
        return frozenset()
    checks = {("check", check.name) for check in run.checks if check.status is CheckStatus.FAILED}
    criteria = {("criterion", item.criterion) for item in run.decisions if item.decision is Decision.UNMET}
    guardrails = {("guardrail", item.type) for item in run.violations}
    return frozenset(checks | criteria | guardrails or {("verdict", "fail")})


async def shrink(
    engine: Engine,
    case: TestCase,
    entries: Sequence[Entry],
    failed: frozenset[FailureKey],
    options: ShrinkOptions | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Shrunk:
    """Reduce a recorded run that failed to what its failure needs.

    Args:
        engine: of the suite.
        case: which test case.
        entries: of the journal of the recorded run.
        failed: what failed in it; see :func:`failures_in`.
        options: how.
        progress: told what has been found.

    Raises:
        ConfigurationError: the run did not fail, or its failure does not come again.
    """
    options = options or ShrinkOptions()
    if case.kind == "replay":
        raise ConfigurationError(f"{case.title} is a recording, whose agent cannot be asked; name a run of a scenario")
    failed = _wanted(failed, options.failures)
    if not failed:
        raise ConfigurationError(f"the run {entries[0].run_id} did not fail, so there is no failure to look for")
    if options.reference is not None:
        engine.suite.agent(options.reference)
    return await _Shrinker(engine, case, options, progress).shrink(entries, failed)


def _wanted(failed: frozenset[FailureKey], names: Sequence[str]) -> frozenset[FailureKey]:
    if not names:
        return failed
    known = {name for _, name in failed}
    for name in names:
        if name not in known:
            listed = "; ".join(sorted(known)) or "nothing"
            raise ConfigurationError(f"'{name}' did not fail in this run. What failed: {listed}")
    return frozenset(key for key in failed if key[1] in names)


@frozen
class _Candidate:
    scenario: Scenario
    persona: Persona | None = None


class _Shrinker:
    def __init__(self, engine: Engine, case: TestCase, options: ShrinkOptions, progress: Callable[[str], None]) -> None:
        self._engine = engine
        self._case = case
        self._options = options
        self._progress = progress
        self._target: frozenset[FailureKey] = frozenset()
        self._runs = 0
        self._stopped = False
        self._gate = asyncio.Semaphore(options.concurrency)

    async def shrink(self, entries: Sequence[Entry], failed: frozenset[FailureKey]) -> Shrunk:
        suite = self._engine.suite
        scenario, persona = suite.scenario(self._case.scenario), find_named(suite.personas, self._case.persona)
        recorded = first_turns(entries, total_turns(entries))
        turns = [turn_of(line, scenario) for line in recorded.lines if line.step >= opening_of(scenario)]
        scripted = _Candidate(scenario=_scripted(scenario, turns, persona), persona=_with_headers(persona))
        self._target = await self._coming_again(scripted, failed) if turns else frozenset()
        words = sum(len((turn.content or "").split()) for turn in turns)
        if self._target:
            self._progress(f"The failure comes again with the {len(turns)} recorded lines.")
            left = await self._lines(scripted, turns)
            facts: tuple[int | None, int | None] = (None, None)
        else:
            left, facts = await self._facts(_Candidate(scenario=scenario, persona=persona), failed)
        runs = await self._play(left, range(self._options.trials), "last")
        failing = wilson(sum(self._fails(run) for run in runs), len(runs))
        final = left.scenario.changed(
            tags=tuple(dict.fromkeys((*scenario.tags, TAG))),
            trials=None if failing.rate == 1 else self._options.trials,
            annotations={**scenario.annotations, "reduced_from": recorded.run_id},
        )
        notes = await self._notes(left)
        fixed = facts == (None, None)
        return Shrunk(
            suite=self._suite(changed(left, scenario=final)),
            scenario=final,
            failures=tuple(sorted(self._target)),
            turns_before=recorded.total,
            turns=len(final.turns) if fixed else None,
            words_before=words,
            words=sum(len((turn.content or "").split()) for turn in final.turns) if fixed else None,
            facts_before=facts[0],
            facts=facts[1],
            failing=failing,
            runs=self._runs,
            notes=tuple(notes),
        )

    async def _coming_again(self, candidate: _Candidate, failed: frozenset[FailureKey]) -> frozenset[FailureKey]:
        """Those of the failures that come again often enough."""
        runs = await self._play(candidate, range(self._options.trials), "again")
        found = [failures_in(run) for run in runs]
        again = frozenset(key for key in failed if sum(key in keys for keys in found) >= self._options.needed)
        if sum(again <= keys for keys in found) < self._options.needed:
            return frozenset()
        return again

    async def _lines(self, candidate: _Candidate, turns: Sequence[Turn]) -> _Candidate:
        """The candidate with as few turns, opening messages and words as the failure needs."""
        scenario, persona = candidate.scenario, candidate.persona

        def made(kept: Sequence[Turn]) -> _Candidate:
            return _Candidate(scenario=scenario.changed(turns=tuple(kept)), persona=persona)

        always = [turn for turn in turns if any(text in (turn.content or "") for text in self._options.keep)]
        places = [place for place, turn in enumerate(turns) if turn not in always]

        def with_places(kept: Sequence[int]) -> list[Turn]:
            return [turn for place, turn in enumerate(turns) if place in kept or turn in always]

        left = await minimised(
            places, lambda kept: self._still_fails(made(with_places(kept))), least=0 if always else 1
        )
        kept = with_places(left)
        self._progress(f"{len(kept)} of {len(turns)} turns are needed.")
        if scenario.messages:
            shorter = scenario.changed(messages=())
            if await self._still_fails(_Candidate(scenario=shorter.changed(turns=tuple(kept)), persona=persona)):
                scenario = shorter
        if self._options.words:
            kept = await self._words(kept, made)
        return _Candidate(scenario=scenario.changed(turns=tuple(kept)), persona=persona)

    async def _words(self, turns: list[Turn], made: Callable[[Sequence[Turn]], _Candidate]) -> list[Turn]:
        for place, turn in enumerate(turns):
            words = (turn.content or "").split()
            if len(words) < 2 or turn.parts:
                continue

            left = await minimised(words, self._asked_about(turns, place, made), least=1)
            if len(left) < len(words):
                turns = [*turns[:place], turn.changed(content=" ".join(left)), *turns[place + 1 :]]
                self._progress(f"Turn {place + 1}: {len(left)} of {len(words)} words are needed.")
        return turns

    def _asked_about(
        self, turns: Sequence[Turn], place: int, made: Callable[[Sequence[Turn]], _Candidate]
    ) -> Callable[[Sequence[str]], Awaitable[bool]]:
        """Whether the script still fails with some of the words of a turn."""

        async def fails(words: Sequence[str]) -> bool:
            turn = turns[place].changed(content=" ".join(words))
            return await self._still_fails(made([*turns[:place], turn, *turns[place + 1 :]]))

        return fails

    async def _facts(
        self, candidate: _Candidate, failed: frozenset[FailureKey]
    ) -> tuple[_Candidate, tuple[int | None, int | None]]:
        """The candidate with a simulated user that knows as little as the failure needs."""
        scenario, persona = candidate.scenario, candidate.persona
        again = await self._coming_again(candidate, failed) if scenario.simulates_a_user else frozenset[FailureKey]()
        if not again:
            tried = "neither with the recorded lines nor with" if scenario.simulates_a_user else "with the recorded"
            what = "the simulated user" if scenario.simulates_a_user else "lines"
            raise ConfigurationError(
                f"the failure does not come again {tried} {what} in {self._options.needed} of {self._options.trials} "
                "trials: try more trials, or a smaller share"
            )
        self._target = again
        facts = facts_of(scenario, persona)
        self._progress(f"The failure comes again with the simulated user, who has {len(facts)} facts.")
        left = await minimised(facts, lambda kept: self._still_fails(_Candidate(**with_facts(scenario, persona, kept))))
        self._progress(f"{len(left)} of {len(facts)} facts are needed.")
        found = _Candidate(**with_facts(scenario, persona, left))
        return found, (len(facts), len(left))

    async def _still_fails(self, candidate: _Candidate) -> bool:
        """Whether enough trials fail in the same way. No more are played than it takes to know."""
        options = self._options
        if self._stopped or self._runs >= options.most_runs:
            self._stopped = True
            return False
        first = await self._play(candidate, range(options.needed), "try")
        failing = sum(map(self._fails, first))
        left = options.trials - options.needed
        if failing < options.needed and failing + left >= options.needed:
            failing += sum(map(self._fails, await self._play(candidate, range(options.needed, options.trials), "try")))
        return failing >= options.needed and await self._can_be_passed(candidate)

    async def _can_be_passed(self, candidate: _Candidate) -> bool:
        """Whether the agent that is known to be right passes it."""
        if self._options.reference is None:
            return True
        runs = await self._play(candidate, range(self._options.trials), "reference", agent=self._options.reference)
        return all(run.verdict is Verdict.PASS for run in runs)

    def _fails(self, run: RunResult) -> bool:
        return self._target <= failures_in(run)

    def _suite(self, candidate: _Candidate, agent: str | None = None) -> Suite:
        suite = self._engine.suite
        who = agent or self._case.agent
        others = {turn.persona for turn in candidate.scenario.turns} | set(candidate.scenario.personas)
        personas = [
            candidate.persona if candidate.persona and item.name == candidate.persona.name else item
            for item in suite.personas
            if item.name in others
        ]
        return suite.changed(
            scenarios=(candidate.scenario,),
            agents=tuple(item for item in suite.agents if item.name == who),
            personas=tuple(personas),
            replays=(),
            trials=1,
        ).within(suite.folder)

    async def _play(
        self, candidate: _Candidate, numbers: range, salt: str, *, agent: str | None = None
    ) -> list[RunResult]:
        """Play some trials of a candidate."""
        engine = await self._engine.with_suite(self._suite(candidate, agent))
        runner = await engine.case_runner()
        persona = candidate.persona.name if candidate.persona and candidate.scenario.personas else None
        case = changed(self._case, persona=persona, perturbation=(), agent=agent or self._case.agent)
        every = trials_of(case, numbers.stop, salt=salt)
        self._runs += len(numbers)
        return await asyncio.gather(*(self._one(runner, every[number]) for number in numbers))

    async def _one(self, runner: CaseRunner, case: TestCase) -> RunResult:
        async with self._gate:
            return await runner.run(case)

    async def _notes(self, left: _Candidate) -> list[str]:
        found: list[str] = []
        if self._stopped:
            found.append(f"Stopped after {self._runs} runs: a shorter script may exist (--max-runs).")
        if self._options.reference is None and await self._fails_silent(left):
            found.append(
                "An agent that says nothing fails in the same way: something is missing that the agent should have "
                "done. Make sure that the script still asks for it: keep the turn that does (--keep), or name an agent "
                "that is known to be right (--passing)."
            )
        return found

    async def _fails_silent(self, left: _Candidate) -> bool:
        from duologue.suites.self_test.controls import SilentAgent

        engine = await self._engine.with_suite(self._suite(left))
        engine.parts = changed(engine.parts, agents={**engine.parts.agents, self._case.agent or "": SilentAgent})
        runner = await engine.case_runner()
        persona = left.persona.name if left.persona and left.scenario.personas else None
        self._runs += 1
        return self._fails(await self._one(runner, changed(self._case, persona=persona, perturbation=())))


def opening_of(scenario: Scenario) -> int:
    """How many steps of the script put in the messages that the conversation begins with."""
    answered = bool(scenario.turns) and bool(scenario.messages) and scenario.messages[-1].role == "user"
    return len(scenario.messages) + answered


def turn_of(line: RecordedLine, scenario: Scenario) -> Turn:
    """A turn of a scenario in which the user says a recorded line, with the checks of the turn that it was said in."""
    place = line.step - opening_of(scenario)
    written = scenario.turns[place] if place < len(scenario.turns) else None
    if written is not None and written.parts and written.role == "user":
        return written
    content = text_of(line.message)
    if written is None:
        return Turn(content=content)
    return written.changed(
        role="user",
        content=content,
        parts=(),
        simulator=None,
        persona=None,
        exchanges=1,
        max_exchanges=None,
        user_temperature=None,
        perturbations={},
    )


def _scripted(scenario: Scenario, turns: Sequence[Turn], persona: Persona | None) -> Scenario:
    kept = (persona.name,) if persona is not None and persona.headers else ()
    return scenario.changed(turns=tuple(turns), personas=kept, max_turns=None, max_messages=None)


def _with_headers(persona: Persona | None) -> Persona | None:
    """A persona that an agent is told of in headers, which matter also where its lines are written down."""
    return persona if persona is not None and persona.headers else None
