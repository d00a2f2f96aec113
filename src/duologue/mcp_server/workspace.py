"""Where definitions and runs are, as the tools see it: a service, or this machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, Protocol

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.suites.results.run import RunResult

Kind = Literal["projects", "evals", "scenarios", "personas", "agents", "connectors", "suites"]
"""What can be listed beside executions and runs. Suites are files, and only on this machine."""
Which = Literal["errors", "not_passed"]
"""Which runs of an execution to run again."""
Row = Mapping[str, Any]


@frozen
class Rows:
    """A part of a list.

    Attributes:
        next: what the next part is asked for with; None if this is the last one.
        notes: what could not be read, a sentence each.
    """

    rows: Sequence[Row]
    next: str | None = None
    notes: Sequence[str] = ()


@frozen
class Progress:
    """How far an execution is.

    Attributes:
        id: what the tools call it.
        over: whether nothing more happens to it by itself.
        total: how many runs there are.
        outcomes: how many are over, by outcome.
        running: how many are under way, if that is known.
        cost: US dollars so far, if that is known.
        note: what else there is to say, such as why it ended.
    """

    id: str
    over: bool
    total: int
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])
    running: int | None = None
    cost: float | None = None
    note: str = ""

    @property
    def done(self) -> int:
        """How many runs are over."""
        return sum(self.outcomes.values())


@frozen
class WantedRuns:
    """Which runs of an execution, or of a project, are listed."""

    execution: str | None = None
    outcome: str | None = None
    scenario: str | None = None


@frozen
class SuiteLaunch:
    """A suite that is to be run.

    Attributes:
        path: of its file or folder.
        max_cost: US dollars that all models together may cost; None for no limit.
        mock: every model answers with fixed text.
        scenarios, agents, tags: only these; empty for all.
        trials: how often each case is run; None for what the suite says.
        seed: for every random choice; None for a new one.
    """

    path: str
    max_cost: float | None
    mock: bool = False
    scenarios: Sequence[str] = ()
    agents: Sequence[str] = ()
    tags: Sequence[str] = ()
    trials: int | None = None
    seed: int | None = None


def require_no_limit(max_cost: float | None, execution: str) -> None:
    """Refuse a limit for runs that are put into the queue again: they spend from what their execution may cost.

    Raises:
        ConfigurationError: there is one.
    """
    if max_cost is not None:
        raise ConfigurationError(
            f"runs of the execution {execution} that are run again spend from the limit with which it was launched; a "
            "limit of their own is not possible. Pass max_cost_usd=null to accept it, or launch its eval with run_eval"
        )


class Workspace(Protocol):
    """What the tools need. Executions are called as :meth:`executions` calls them, runs by their ids.

    All methods raise a ``DuologueError`` that says what to do.
    """

    @property
    def about(self) -> str:
        """Where it is, in a few words."""
        ...

    async def definitions(self, kind: Kind, limit: int, after: str | None) -> Rows:
        """What is defined."""
        ...

    async def executions(self, limit: int, after: str | None) -> Rows:
        """The executions, the newest first."""
        ...

    async def runs(self, wanted: WantedRuns, limit: int, after: str | None) -> Rows:
        """Runs, those of an execution in its order, others the newest first."""
        ...

    async def run(self, run_id: str, execution: str | None) -> RunResult:
        """Everything about a run.

        Args:
            run_id: of the run.
            execution: that it belongs to; None if its id says that, or it belongs to none.
        """
        ...

    async def not_passed(self, execution: str, most: int) -> Sequence[RunResult]:
        """Runs of an execution that are over and have not passed, at most so many."""
        ...

    async def progress(self, execution: str) -> Progress:
        """How far an execution is."""
        ...

    def watch(self, execution: str) -> AsyncGenerator[Progress]:
        """How far an execution is, now and after each change, until it is over."""
        ...

    async def run_eval(self, name: str, max_cost: float | None, seed: int | None) -> str:
        """Launch a saved eval; returns the execution."""
        ...

    async def run_suite(self, launch: SuiteLaunch) -> str:
        """Launch a suite file; returns the execution."""
        ...

    async def rerun(self, execution: str, which: Which, max_cost: float | None) -> str:
        """Run again what did not pass; returns the execution that does, which may be the same."""
        ...

    async def cancel(self, execution: str) -> str:
        """Stop an execution; returns what became of it, in words."""
        ...

    async def compare(self, baseline: str, candidate: str) -> Mapping[str, Any]:
        """Compare two executions, as :meth:`duologue.suites.comparison.Comparison.as_data` says it."""
        ...

    async def report(self, execution: str) -> str:
        """The report on an execution, as Markdown."""
        ...

    async def close(self) -> None:
        """End what was begun here, and let go of everything."""
        ...
