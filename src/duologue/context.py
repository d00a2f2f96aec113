"""Time, randomness and identity: passed in, never fetched.

A :class:`Context` is made at the edge (``duologue.run``, the command line, a test) and handed down. Code below asks it
for the time, for sleep, for random numbers and for ids, so that a test can put a clock that jumps and ids that count
in their place (see :mod:`duologue.testing`). This is the one module that may touch ``time`` and ``random`` itself.
"""

from __future__ import annotations

import hashlib
import random
import time
from typing import Protocol

from duologue.frozen import frozen

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: sorts as its numbers do, and has no letters that look like digits."""


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancelled like any other await."""
        ...


class Ids(Protocol):
    """Where names for new things come from."""

    def new(self, prefix: str) -> str:
        """A name that nothing else has, such as ``run_01jd…``."""
        ...


class SystemClock:
    """The machine's own clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.perf_counter)

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        import asyncio  # takes long to load, and few who ask for the time wait

        await asyncio.sleep(seconds)


class RandomIds:
    """Ids that sort by the time they were made: 48 bits of milliseconds, then 64 random bits."""

    def __init__(self, clock: Clock | None = None, source: random.Random | None = None) -> None:
        self._clock = clock or SystemClock()
        self._source = source or random.SystemRandom()

    def new(self, prefix: str) -> str:
        number = (int(self._clock.now() * 1000) << 64) | self._source.getrandbits(64)
        digits = [_ALPHABET[(number >> shift) & 31] for shift in range(110, -1, -5)]
        return f"{prefix}_{''.join(digits)}"


def random_uuid() -> str:
    """A UUID of version 4, for what the store names."""
    from uuid import UUID  # few processes need it

    return str(UUID(int=random.SystemRandom().getrandbits(128), version=4))


_SYSTEM_CLOCK = SystemClock()
_RANDOM_IDS = RandomIds(_SYSTEM_CLOCK)


@frozen
class Context:
    """What a run may know of the world.

    Attributes:
        clock: time and sleep.
        ids: new identifiers.
        seed: every random choice of the run derives from it.
    """

    clock: Clock = _SYSTEM_CLOCK
    ids: Ids = _RANDOM_IDS
    seed: int = 0

    def random(self, *purpose: str | int) -> random.Random:
        """A generator of its own for each purpose, so that a new consumer never shifts the others."""
        return random.Random(derive_seed(self.seed, *purpose))

    def with_seed(self, seed: int) -> Context:
        """The same clock and ids under another seed."""
        return Context(clock=self.clock, ids=self.ids, seed=seed)


def derive_seed(seed: int, *identity: str | int) -> int:
    """A 63-bit seed for one part of a whole: depends on the whole's seed and the part's identity, on nothing else."""
    text = "\x1f".join([str(seed), *map(str, identity)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def fresh_seed() -> int:
    """A seed for a run that was given none. It is recorded, so that the run can be repeated."""
    return random.SystemRandom().getrandbits(32)
