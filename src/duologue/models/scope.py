"""What a participant may use of the run that it takes part in: time, chance, ids and the journal.

The engine makes one scope per adapter and hands it over with every call (``AgentInput.scope``). Whatever reaches
outside the process goes through it, so that each call is timed, counted, recorded and can be replayed.
"""

from __future__ import annotations

from dataclasses import field
from itertools import count
from typing import TYPE_CHECKING

from duologue.context import Context
from duologue.frozen import frozen
from duologue.journal.artifacts import ArtifactStore, MemoryArtifacts
from duologue.journal.events import Noted
from duologue.journal.journal import Journal
from duologue.journal.notes import Note
from duologue.models.budget import Ledger
from duologue.settings import DEFAULT_MODEL_TIMEOUT

if TYPE_CHECKING:
    from duologue.models.cassette import Cassette


@frozen
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
        call: id of the call in progress, such as ``c3``; '' outside of one.
    """

    context: Context = field(default_factory=Context)
    journal: Journal | None = None
    who: str = "adapter"
    participant: int | None = None
    model_timeout: float = DEFAULT_MODEL_TIMEOUT
    ledger: Ledger | None = None
    cassette: Cassette | None = None
    call: str = ""
    _numbers: count[int] = field(default_factory=lambda: count(1), repr=False, compare=False)

    def for_call(self, call: str) -> RunScope:
        """The same scope during another call of its participant."""
        scope = object.__new__(RunScope)  # half the time of dataclasses.replace, once for every call of a run
        scope.__dict__.update(self.__dict__)
        scope.__dict__["call"] = call
        scope.__dict__["_numbers"] = count(1)
        return scope

    def next_call(self) -> str:
        """The id of the next call that is made on behalf of this one: ``c3.1``, then ``c3.2``."""
        number = next(self._numbers)
        return f"{self.call}.{number}" if self.call else f"x{number}"

    @property
    def turn(self) -> int:
        """Number of the open turn."""
        return self.journal.view.turn if self.journal else 0

    @property
    def artifacts(self) -> ArtifactStore:
        """Keeps bytes that belong to the run, such as a recording; beside its journal, if it is recorded in a file."""
        if self.journal is not None:
            return self.journal.artifacts
        own: ArtifactStore = self.__dict__.setdefault("_artifacts", MemoryArtifacts())
        return own

    def note(self, note: Note) -> None:
        """Put a note of the call in progress into the journal, if there is one."""
        if self.journal is not None:
            self.journal.append(Noted(turn=self.journal.view.turn, note=note, call=self.call or None))
