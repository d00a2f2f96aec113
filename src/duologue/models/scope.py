"""What a participant may use of the run that it takes part in: time, chance, ids and the journal.

The engine makes one scope per adapter and hands it over with every call (``AgentInput.scope``). Whatever reaches
outside the process goes through it, so that each call is timed, counted, recorded and can be replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from duologue.context import Context
from duologue.journal.journal import Journal
from duologue.models.budget import Ledger
from duologue.models.cassette import Cassette
from duologue.models.recall import Recall
from duologue.settings import DEFAULT_MODEL_TIMEOUT


@dataclass(frozen=True, kw_only=True)
class RunScope:
    """One participant's share of a run.

    Attributes:
        context: clock, ids and seed of the run.
        journal: of the run; None when the adapter is called outside a run, as in its own unit tests.
        who: the participant's name, used in events and errors.
        participant: its index in events; None outside a run, and for checks.
        model_timeout: seconds that one model call may take.
        ledger: the budget that calls are paid from; None where nothing is limited.
        cassette: what the outside world's answers are recorded on or replayed from; None asks the world.
        recall: what models answered before the run was cut off; None for a run from the beginning.
    """

    context: Context = field(default_factory=Context)
    journal: Journal | None = None
    who: str = "adapter"
    participant: int | None = None
    model_timeout: float = DEFAULT_MODEL_TIMEOUT
    ledger: Ledger | None = None
    cassette: Cassette | None = None
    recall: Recall | None = None

    @property
    def turn(self) -> int:
        """Number of the open turn."""
        return self.journal.view.turn if self.journal else 0
