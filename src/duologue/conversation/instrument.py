"""Who looks on while participants are called, so that what happens inside them can be put down to the right call.

A listener on the journal learns of a call when it is over. What a tracer needs beyond that is one thing: to be around
the call while it lasts. There is at most one instrument in a process, and none unless tracing was asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from duologue.context import Clock
    from duologue.journal.journal import Entry
    from duologue.settings import ScenarioConfig

T = TypeVar("T")

_TRACING = "duologue.tracing.setup"
"""Loaded by its name: it stands above the engine, which does not depend on it."""


class RunWatch(Protocol):
    """Looks on at one run."""

    def __call__(self, entry: Entry) -> None:
        """One more event in the journal."""
        ...

    async def around(self, participant: int, call: Awaitable[T]) -> T:
        """Wait for this call of that participant; give back or raise what it does."""
        ...


Instrument = Callable[["Clock"], RunWatch]
"""Makes the watch of a run that is about to begin, which takes its time from that clock."""

_instrument: Instrument | None = None


def install(instrument: Instrument | None) -> None:
    """Have every run that begins from now on looked on at; None for no longer."""
    global _instrument  # noqa: PLW0603 - the default configuration of the process
    _instrument = instrument


def installed() -> bool:
    """Whether runs are looked on at."""
    return _instrument is not None


def watch_for(config: ScenarioConfig, clock: Clock) -> RunWatch | None:
    """The watch of a run that is about to begin; None unless tracing is on or this configuration asks for it."""
    if config.observability is not None:
        import_module(_TRACING).setup_from(config.observability)
    return _instrument(clock) if _instrument else None
