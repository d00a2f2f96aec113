"""Which unit is done next: dependencies, priorities, and units whose workers have died.

Whoever was at work when a worker died may have had nothing to do with it. A unit that was lost is therefore first done
again among all others. For its last attempt it waits until nothing else is left and is done alone, so that a unit that
ends its workers cannot take others with it, and only one that was alone can be blamed.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from heapq import heappop, heappush

from duologue.errors import ConfigurationError
from duologue.runs.distributed.ports import WorkUnit

ATTEMPTS = 3
"""Workers that a unit may end before it is given up."""


class WorkQueue:
    """Units that wait, that are ready and that are being done.

    Args:
        attempts: workers that a unit may end before it is given up.
    """

    def __init__(self, attempts: int = ATTEMPTS) -> None:
        self.order: dict[str, WorkUnit] = {}
        """All units, in the order in which they came."""
        self.running: dict[str, WorkUnit] = {}
        self._attempts = attempts
        self._ready: list[tuple[float, float, int, str]] = []
        self._waits_for: dict[str, set[str]] = {}
        self._holds_up: defaultdict[str, list[str]] = defaultdict(list)
        self._finished: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._suspects: deque[str] = deque()
        self._alone: str | None = None
        self._places: dict[str, int] = {}

    def add(self, unit: WorkUnit) -> None:
        """Take in a unit.

        Raises:
            ConfigurationError: there is one of that id already.
        """
        if unit.id in self.order:
            raise ConfigurationError(f"two units of work have the id '{unit.id}'; ids must be unique in an execution")
        self._places[unit.id] = len(self.order)
        self.order[unit.id] = unit
        open_ = set(unit.dependencies) - self._finished
        if not open_:
            self._make_ready(unit)
            return
        self._waits_for[unit.id] = open_
        for needed in open_:
            self._holds_up[needed].append(unit.id)

    def take(self) -> WorkUnit | None:
        """The unit to begin next, which counts as running from now on; None if none can begin now."""
        if self._alone is not None:
            return None
        if self._ready:
            unit = self.order[heappop(self._ready)[-1]]
        elif self._suspects and not self.running:
            unit = self.order[self._suspects.popleft()]
            self._alone = unit.id
        else:
            return None
        self.running[unit.id] = unit
        return unit

    def finish(self, unit_id: str) -> None:
        """A unit has come to its end, with or without success; what waits for it may begin."""
        self._let_go(unit_id)
        self._finished.add(unit_id)
        for held in self._holds_up.pop(unit_id, ()):
            waits = self._waits_for[held]
            waits.discard(unit_id)
            if not waits:
                del self._waits_for[held]
                self._make_ready(self.order[held])

    def lose(self, unit_id: str) -> bool:
        """The worker of a unit has died.

        Returns:
            Whether the unit is given up. It is still to be finished then; otherwise it is done again.
        """
        self._let_go(unit_id)
        self._deaths[unit_id] += 1
        left = self._attempts - self._deaths[unit_id]
        if left == 1:
            self._suspects.append(unit_id)
        elif left > 1:
            self._make_ready(self.order[unit_id])
        return left < 1

    def deaths(self, unit_id: str) -> int:
        """How many workers have died while they were doing the unit."""
        return self._deaths[unit_id]

    @property
    def ready(self) -> int:
        """Units that can begin."""
        return len(self._ready) + len(self._suspects)

    @property
    def stuck(self) -> Mapping[str, set[str]]:
        """Units that can never begin, with what each of them waits for, once no other is left."""
        return {} if self._ready or self._suspects or self.running else self._waits_for

    def _let_go(self, unit_id: str) -> None:
        self.running.pop(unit_id, None)
        if self._alone == unit_id:
            self._alone = None

    def _make_ready(self, unit: WorkUnit) -> None:
        heappush(self._ready, (-unit.priority, -(unit.estimated_duration or 0.0), self._places[unit.id], unit.id))


def stuck_message(stuck: Mapping[str, set[str]], known: Mapping[str, WorkUnit]) -> str:
    """Why units can never begin, as an error message."""
    unit_id, waits = next(iter(stuck.items()))
    missing = sorted(name for name in waits if name not in known)
    if missing:
        return f"the unit of work '{unit_id}' depends on '{missing[0]}', which is not among the units"
    named = ", ".join(f"'{name}'" for name in list(stuck)[:5])
    return f"these units of work wait for each other: {named}; take one of their dependencies away"
