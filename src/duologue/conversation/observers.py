"""Who wants to know of every run in this process: the pytest plugin, reports of your own.

Part of the explicit default configuration, like ``ScenarioConfig.default_config``; nothing is registered by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The pytest plugin registers itself here at every start of pytest: this module must cost nothing to import.
    from duologue.conversation.result import ScenarioResult
    from duologue.journal.journal import Journal

logger = logging.getLogger("duologue.observers")

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


def tell_observers(result: ScenarioResult, journal: Journal) -> None:
    """A run has finished."""
    for observer in _observers:
        try:
            observer(result, journal)
        except Exception:
            logger.exception("an observer of runs failed")
