"""A clock for tests of waiting: it writes down each pause and takes none."""

from __future__ import annotations


class PatientClock:
    """Time passes only by sleeping, and sleeping takes no time."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds
