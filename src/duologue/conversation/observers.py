"""Who watches runs: observers of every run of this process, and the instrument that a tracer installs.

Both are part of the explicit default configuration, like ``ScenarioConfig.default_config``; nothing registers itself.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    # The pytest plugin registers itself here at every start of pytest: this module must cost nothing to import.
    from duologue.context import Clock
    from duologue.conversation.result import ScenarioResult, ScenarioState
    from duologue.journal.events import Entry
    from duologue.journal.journal import Journal
    from duologue.settings import ScenarioConfig

T = TypeVar("T")

logger = logging.getLogger("duologue.observers")

CURRENT_RUN: ContextVar[ScenarioState | None] = ContextVar("duologue_run", default=None)
"""The run that the code of the moment belongs to; None outside of one."""

RunObserver = Callable[["ScenarioResult", "Journal"], None]
"""Called after every run, also after those that raise; a failure in it is logged and changes nothing."""

_observers: tuple[RunObserver, ...] = ()


def add_observer(observer: RunObserver) -> None:
    """Call this after every run of the process from now on."""
    global _observers  # noqa: PLW0603 - the default configuration of the process
    _observers = (*_observers, observer)


def remove_observer(observer: RunObserver) -> None:
    """Stop calling it; harmless if it was never added."""
    global _observers  # noqa: PLW0603 - the default configuration of the process
    _observers = tuple(item for item in _observers if item != observer)


def observed() -> bool:
    """Whether anybody has to be told of runs that have finished."""
    return bool(_observers)


def notify_observers(result: ScenarioResult, journal: Journal) -> None:
    """A run has finished."""
    for observer in _observers:
        try:
            observer(result, journal)
        except Exception:
            logger.exception("an observer of runs failed")


class RunWatch(Protocol):
    """Watches one run: its journal, and each call of a participant while it lasts."""

    def __call__(self, entry: Entry) -> None:
        """One more event in the journal."""
        ...

    async def around(self, participant: int, call: Awaitable[T]) -> T:
        """Wait for this call of that participant; give back or raise what it does."""
        ...


Instrument = Callable[["Clock"], RunWatch]
"""Makes the watch of a run that is about to begin, which takes its time from that clock."""


class Instrumented(Protocol):
    """A participant that may want its runs to be watched."""

    def run_watch(self) -> Instrument | None:
        """What watches a run for it where nothing else does."""
        ...


_instrument: Instrument | None = None


def install(instrument: Instrument | None) -> None:
    """Watch every run that begins from now on; None to stop."""
    global _instrument  # noqa: PLW0603 - the default configuration of the process
    _instrument = instrument


def installed() -> bool:
    """Whether every run is watched from now on."""
    return _instrument is not None


def watch_for(config: ScenarioConfig, clock: Clock, agents: Iterable[Instrumented] = ()) -> RunWatch | None:
    """The watch of a run that is about to begin.

    Returns:
        None unless tracing is on, this configuration asks for it, or one of the agents wants to know what is traced.
    """
    if config.observability is not None:
        _set_up_tracing(config.observability)
    if _instrument is not None:
        return _instrument(clock)
    for agent in agents:
        if (instrument := agent.run_watch()) is not None:
            return instrument(clock)
    return None


def _set_up_tracing(options: object) -> None:
    """Tracing stands above the engine, which does not depend on it: it is found by its entry point."""
    from duologue.config.entry_points import load_registered

    load_registered("duologue.instruments", "observability")(options)
