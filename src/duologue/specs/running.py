"""How a suite is run where nothing else is said: sampling, limits, what is put up with, which reports are written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from duologue.models.budget import Budget
from duologue.specs.spec import EMPTY, Amount, Count, Duration, Items, JsonObject, Spec


class Output(Spec):
    """Which reports are written, and where."""

    dir: str = "out"
    """The folder; relative to the suite file."""
    formats: Items[str] = ()
    """Of json, junit, markdown and html."""
    files: dict[str, str] = EMPTY
    """Names of files, by format."""
    recording: str | None = None
    """Journals are asked for. They are kept anyway, in the folder ``journals``, unless the command line says not."""
    options: JsonObject = EMPTY
    """Options of the formats."""


class Spending(Spec):
    """What model calls may take, those of agents made of a model included. It is set aside before each call."""

    money: Annotated[float, Field(ge=0)] | None = None
    """US dollars; None for no limit. Every model needs a price then."""
    tokens: Amount | None = None
    """Read and written together; None for no limit."""

    def as_budget(self, seconds: float | None = None) -> Budget:
        """The same for the engine."""
        return Budget(money=self.money, tokens=self.tokens, seconds=seconds)


class Defaults(Spec):
    """What holds where nothing else is said."""

    temperature: float | None = None
    """Of agents made of a model."""
    max_tokens: Amount | None = None
    """Of their answers."""
    seed: int | None = None
    """Of the whole execution."""
    concurrency: Count | None = None
    """Test cases at once."""
    run_timeout: Duration | None = None
    """How long one test case may take."""
    budget: Spending | None = None
    """What the models of a whole execution may cost."""
    run_budget: Spending | None = None
    """What the models of one test case may cost."""
    fail_on: Items[str] = ()
    """Has no effect: failed checks always count, and errors as ``allow_errors`` says."""
    stop_on_failed_check: bool = False
    """End a conversation after the first answer that fails a check of its turn; all checks of that turn are told."""
    allow_undecided: Amount | Literal["all"] = 0
    """Test cases without a verdict that an execution puts up with."""
    allow_errors: Amount | Literal["all"] = 0
    """Broken test cases that an execution puts up with."""
    metrics_threshold: Annotated[float, Field(ge=0, le=100)] | None = None
    """The score, 0 to 100, that the metrics of all graded test cases together have to reach; None for any."""
    verbose: bool = False
    """Has no effect: ``duologue show`` shows conversations."""
    output: Output | None = None
    """Which reports are written."""
