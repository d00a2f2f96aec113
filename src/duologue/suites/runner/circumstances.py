"""What the execution adds to a run, whatever is played in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from duologue.context import Context
from duologue.journal.journal import Listener
from duologue.models.budget import Budget, Ledger
from duologue.models.recall import Recall
from duologue.settings import ScenarioConfig


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """How one run is played.

    Attributes:
        execution_id: it belongs to.
        config: what it obeys.
        context: clock, ids and seed.
        budget: what its model calls may cost.
        ledger: what all runs of the execution spend from together.
        recall: what models answered before it was cut off.
        listeners: told of every event.
    """

    execution_id: str
    config: ScenarioConfig
    context: Context
    budget: Budget | None = None
    ledger: Ledger | None = None
    recall: Recall | None = None
    listeners: tuple[Listener, ...] = ()

    def as_arguments(self) -> dict[str, Any]:
        """All but ``recall``, as an executor takes them."""
        return {
            "batch_run_id": self.execution_id,
            "config": self.config,
            "context": self.context,
            "budget": self.budget,
            "ledger": self.ledger,
            "listeners": self.listeners,
        }
