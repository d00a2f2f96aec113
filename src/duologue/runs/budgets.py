"""What all runs of an execution may spend together, whichever workers carry them out.

What other workers have spent is read from the runs that are over, before a run begins and at most once a second.
Workers together may therefore overspend by what those of their runs take that are under way at the same time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from duologue.context import Clock
from duologue.models.scope import Amount, Budget, Ledger, ledger_for
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import runs
from duologue.runs.store.records import ClaimedRun
from duologue.suites.results.run import RunResult

_FRESH = 1.0
"""Seconds for which it is good enough what is known of the others."""
_MOST = 256
"""Executions that are remembered."""


@dataclass(kw_only=True, eq=False)
class _Spending:
    """An execution, as this worker knows it.

    Attributes:
        ledger: what its runs here spend from.
        own: what runs have spent that this worker has recorded.
        others: what the ledger has counted for other workers.
        read_at: when that was read; None if never.
    """

    ledger: Ledger
    own: Amount = field(default_factory=Amount)
    others: Amount = field(default_factory=Amount)
    read_at: float | None = None


class ExecutionBudgets:
    """The ledgers of executions that have a budget.

    Args:
        database: has what other workers have spent.
        clock: of all runs.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: OrderedDict[int, _Spending] = OrderedDict()

    async def ledger(self, run: ClaimedRun, budget: Budget | None) -> Ledger | None:
        """What a run spends from together with the others of its execution; None if there is no such budget."""
        if budget is None or run.execution_id is None:
            return None
        spending = self._known.get(run.execution_id)
        if spending is None:
            ledger = ledger_for(budget, self._clock, owner="the execution")
            spending = self._known[run.execution_id] = _Spending(ledger=ledger)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        self._known.move_to_end(run.execution_id)
        now = self._clock.monotonic()
        if spending.read_at is None or now - spending.read_at >= _FRESH:
            spending.read_at = now
            others = await self._recorded(run.execution_id) - spending.own
            spending.ledger.count_earlier(others - spending.others, above=False)
            spending.others = others
        return spending.ledger

    def recorded(self, run: ClaimedRun, result: RunResult | None) -> None:
        """The end of a run of this worker is in the database."""
        spending = None if run.execution_id is None else self._known.get(run.execution_id)
        if spending is not None and result is not None:
            spent = result.spent
            spending.own += Amount(money=spent.cost, tokens=spent.usage.total_tokens)

    async def _recorded(self, execution: int) -> Amount:
        """What all runs of an execution have spent that are over."""

        def work(connection: Connection) -> Amount:
            money, tokens = func.coalesce(func.sum(runs.c.cost), 0.0), func.coalesce(func.sum(runs.c.tokens), 0)
            found = connection.execute(select(money, tokens).where(runs.c.execution_id == execution)).one()
            return Amount(money=float(found[0]), tokens=int(found[1]))

        return await self._database.read(work)
