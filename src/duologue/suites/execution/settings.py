"""How an execution is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duologue.models.budget import Budget
from duologue.suites.results.run import RunResult


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an execution is run; None takes what the suite says, or the default.

    Attributes:
        concurrency: test cases at once.
        run_timeout: seconds for one run.
        max_turns: turns after which a free conversation ends, over what scenarios say.
        budget: what the models of all runs may cost together.
        run_budget: what the models of one run may cost.
        temperature, max_tokens: of agents made of a model, over all that the suite says but for single turns.
        eval_types: which types of evals of prompt packs run; None for all, empty for none.
        fail_fast: begin no further case after one that failed or broke.
        allow_undecided, allow_errors: how many such cases are put up with; ``all`` for any number.
        execution_id: its name; None for a new one.
        resuming: an earlier launch of the same execution was cut off; models are not asked again what they answered
            then.
        known: results of that launch, which are not run again.
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
