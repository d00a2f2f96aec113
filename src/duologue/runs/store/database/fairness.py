"""Which runs a worker takes: the same arithmetic for every database.

Projects come first: a free slot goes to the project that has the fewest runs going, so that a project with a hundred
thousand queued runs delays another one's five by no more than its share. Within a project the order is priority, then
age. Nobody takes more than the limits of its project and provider leave.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Any

from duologue.frozen import frozen
from duologue.runs.store.records import ProviderLimit

Group = tuple[str, str]
"""A project, and a provider ('' for none)."""


@frozen(slots=True)
class Candidate:
    """A run that could be taken."""

    number: int
    project: str
    provider: str
    priority: int


@frozen(slots=True)
class Bucket:
    """A token bucket, as it was counted last.

    Attributes:
        available: tokens at ``counted_at``.
        counted_at: seconds, on the clock of leases.
    """

    limit: ProviderLimit
    available: float
    counted_at: float

    def tokens(self, now: float) -> float:
        """How many there are now; as many as one likes where nothing limits them."""
        if self.limit.per_second is None:
            return math.inf
        burst = self.limit.burst if self.limit.burst is not None else max(1.0, self.limit.per_second)
        return min(burst, self.available + max(0.0, now - self.counted_at) * self.limit.per_second)

    def seconds_to_next(self, now: float) -> float:
        """Until there is a whole token."""
        missing = 1.0 - self.tokens(now)
        if missing <= 0 or self.limit.per_second is None:
            return 0.0
        return missing / self.limit.per_second if self.limit.per_second > 0 else math.inf


class Allotment:
    """Takes candidates for free slots, and knows how many are left of each kind.

    Args:
        slots: runs that the worker can take.
        groups: those that have runs in the queue.
        running: runs that all workers have now, by group.
        project_limits: runs at once by project; None for no limit.
        buckets: of limited providers.
        now: on the clock of leases.
    """

    def __init__(
        self,
        slots: int,
        groups: Iterable[Group],
        running: Mapping[Group, int],
        project_limits: Mapping[str, int | None],
        buckets: Mapping[str, Bucket],
        now: float,
    ) -> None:
        self.slots = slots
        self._groups = set(groups)
        self._running: Counter[str] = Counter()
        at_providers: Counter[str] = Counter()
        for (project, provider), count in running.items():
            self._running[project] += count
            at_providers[provider] += count
        self._room = {
            project: math.inf if limit is None else max(0, limit - self._running[project])
            for project, limit in project_limits.items()
        }
        self._at = {
            provider: math.floor(
                min(
                    1e9 if math.isinf(tokens := bucket.tokens(now)) else tokens,
                    1e9 if (most := bucket.limit.max_concurrency) is None else max(0, most - at_providers[provider]),
                )
            )
            for provider, bucket in buckets.items()
        }
        self.taken: Counter[str] = Counter()
        """Runs by provider."""

    def wanted(self) -> dict[Group, int]:
        """How many of the first runs of each group are looked at next; empty when nothing more can be taken."""
        open_groups = [group for group in self._groups if self._free_at(group[1]) > 0 and self._room_of(group[0]) > 0]
        if not open_groups or self.slots <= 0:
            return {}
        shares = self._shares({project for project, _ in open_groups})
        return {
            group: int(min(shares[group[0]], self._free_at(group[1])))
            for group in open_groups
            if shares.get(group[0], 0) > 0
        }

    def choose(self, candidates: Sequence[Candidate], wanted: Mapping[Group, int]) -> list[Candidate]:
        """Take what may be taken of these, which are the first of their groups.

        Args:
            candidates: that were found.
            wanted: how many were looked for: a group with fewer has no more.
        """
        found = Counter((item.project, item.provider) for item in candidates)
        self._groups -= {group for group, count in wanted.items() if found[group] < count}
        queues: dict[str, list[Candidate]] = {}
        for item in sorted(candidates, key=lambda item: (item.priority, -item.number)):
            queues.setdefault(item.project, []).append(item)  # the first one is last
        waiting = [(self._running[project], project) for project in queues]
        heapify(waiting)
        chosen: list[Candidate] = []
        while self.slots > 0 and waiting:
            _, project = waiting[0]
            item = self._next(queues[project]) if self._room_of(project) > 0 else None
            if item is None:
                heappop(waiting)
                continue
            self._take(item)
            chosen.append(item)
            heapreplace(waiting, (self._running[project], project))
        return chosen

    def _next(self, queue: list[Candidate]) -> Candidate | None:
        while queue:
            item = queue.pop()
            if self._free_at(item.provider) > 0:
                return item
        return None

    def _take(self, item: Candidate) -> None:
        self.slots -= 1
        self._running[item.project] += 1
        self.taken[item.provider] += 1
        if item.project in self._room:
            self._room[item.project] -= 1
        if item.provider in self._at:
            self._at[item.provider] -= 1

    def _shares(self, projects: set[str]) -> dict[str, int]:
        """The free slots, given one by one to the project that has the fewest runs."""
        if len(projects) == 1:
            (project,) = projects
            return {project: int(min(self.slots, self._room_of(project)))}
        shares: Counter[str] = Counter()
        waiting = [(self._running[name], name) for name in projects]
        heapify(waiting)
        for _ in range(self.slots):
            if not waiting:
                break
            count, name = waiting[0]
            shares[name] += 1
            if shares[name] < self._room_of(name):
                heapreplace(waiting, (count + 1, name))
            else:
                heappop(waiting)
        return shares

    def _room_of(self, project: str) -> float:
        return self._room.get(project, math.inf)

    def _free_at(self, provider: str) -> float:
        return self._at.get(provider, math.inf)


def bucket_of(row: Sequence[Any], ticks: float, boot: str) -> Bucket:
    """A token bucket from its row; a full one if it was counted before the machine's last boot, or never."""
    provider, per_second, burst, most, available, counted_at, of_boot = row
    limit = ProviderLimit(provider=provider, per_second=per_second, burst=burst, max_concurrency=most)
    if available is None or counted_at is None or of_boot != boot:
        available, counted_at = math.inf, ticks
    return Bucket(limit=limit, available=available, counted_at=counted_at)


def must_count(groups: Sequence[Group], limits: dict[str, int | None], buckets: dict[str, Bucket]) -> bool:
    """Whether it matters how many runs there are at present."""
    several = len({project for project, _ in groups}) > 1
    return (
        several
        or any(most is not None for most in limits.values())
        or any(bucket.limit.max_concurrency is not None for bucket in buckets.values())
    )


def drawn(buckets: dict[str, Bucket], allotment: Allotment, ticks: float) -> list[tuple[str, float]]:
    """What is left in each bucket from which something was taken."""
    return [
        (provider, bucket.tokens(ticks) - allotment.taken[provider])
        for provider, bucket in buckets.items()
        if allotment.taken[provider] and bucket.limit.per_second is not None
    ]


def seconds_to_refill(
    groups: Sequence[Group], buckets: dict[str, Bucket], allotment: Allotment, ticks: float
) -> float | None:
    """Until a provider that has runs in the queue and no tokens has one again; None if there is no such provider."""
    waits: list[float] = []
    for provider in {provider for _, provider in groups} & buckets.keys():
        bucket = buckets[provider]
        left = bucket.tokens(ticks) - allotment.taken[provider]
        if bucket.limit.per_second and left < 1:
            waits.append((1 - left) / bucket.limit.per_second)
    return min(waits, default=None)


def sooner(one: float | None, other: float | None) -> float | None:
    """The shorter of two times; None is never."""
    return other if one is None else one if other is None else min(one, other)
