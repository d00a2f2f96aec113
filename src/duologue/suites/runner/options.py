"""How an execution is run: the one set of knobs that the command line, the engine and the runner share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from duologue.config.durations import parse_duration
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.models.scope import Budget
from duologue.suites.results.run import RunResult
from duologue.suites.runner.earlier import Earlier

if TYPE_CHECKING:
    from duologue.specs.suite import Defaults

DEFAULT_CONCURRENCY = 8
"""Test cases at once, unless the suite or the command line says otherwise."""


@frozen
class RunOptions:
    """How an execution is run; None takes what the suite says, or the default.

    Attributes:
        concurrency: test cases at once.
        run_timeout: seconds for one run.
        max_turns: turns after which a free conversation ends, overriding the scenarios.
        budget: what the models of all runs may cost together.
        run_budget: what the models of one run may cost.
        temperature, max_tokens: of native agents, overriding everything in the suite but single turns.
        eval_types: which types of evals of prompt packs run; None for all, empty for none.
        fail_fast: start no further case after one that failed or ended in an error.
        allow_undecided, allow_errors: how many such cases are tolerated; ``all`` for any number.
        execution_id: its name; None for a new one.
        resuming: an earlier launch of the same execution was cut off; its runs continue from their journals.
        known: results of that launch that still hold, and are not run again.
        anew: ids of runs that start from their beginning, whatever their journals hold.
        last: identities of cases that are run after all others, one at a time: the process has ended during them.
        earlier: what the sessions before this one took; None in the first.
    """

    concurrency: int | None = None
    run_timeout: float | None = None
    max_turns: int | None = None
    budget: Budget | None = None
    run_budget: Budget | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    eval_types: Sequence[str] | None = None
    fail_fast: bool = False
    allow_undecided: int | str | None = None
    allow_errors: int | str | None = None
    execution_id: str | None = None
    resuming: bool = False
    known: Sequence[RunResult] = ()
    anew: frozenset[str] = frozenset()
    last: Sequence[str] = ()
    earlier: Earlier | None = None

    def over(self, defaults: Defaults) -> RunOptions:
        """These options, with what a suite says wherever nothing else was asked for.

        Raises:
            ConfigurationError: there is no such number of cases at once.
        """
        concurrency = self.concurrency or defaults.concurrency or DEFAULT_CONCURRENCY
        if concurrency < 1:
            raise ConfigurationError(f"concurrency is {concurrency}; expected at least 1")
        run_timeout = self.run_timeout
        if run_timeout is None and defaults.run_timeout:
            run_timeout = parse_duration(defaults.run_timeout)
        undecided, errors = self.allow_undecided, self.allow_errors
        return replace(
            self,
            concurrency=concurrency,
            run_timeout=run_timeout,
            budget=self.budget or (defaults.budget.as_budget() if defaults.budget else None),
            run_budget=self.run_budget or (defaults.run_budget.as_budget() if defaults.run_budget else None),
            allow_undecided=defaults.allow_undecided if undecided is None else undecided,
            allow_errors=defaults.allow_errors if errors is None else errors,
        )


Settings = RunOptions
"""The earlier name."""
