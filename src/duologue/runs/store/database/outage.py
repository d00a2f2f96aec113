"""Tells the operator of a database that is away: once that it is, and once that it is back, and after how long.

Whoever uses the database meanwhile waits for it and has nothing to tell. A connection that broke and was made anew at
once is no outage.
"""

from __future__ import annotations

import logging

from duologue.context import Clock
from duologue.runs.store.database.address import DatabaseAddress
from duologue.runs.store.database.failures import cannot_be_reached, store_error

logger = logging.getLogger("duologue.runs")

UNREACHABLE, BUSY = 0.1, 5.0
"""Seconds after which it is told that a database cannot be reached, or that it can and does not do what it is asked."""


class Outage:
    """Whether a database is away, as far as this process knows. Used on the store's own loop.

    Args:
        address: of the database.
        clock: for how long.
    """

    def __init__(self, address: DatabaseAddress, clock: Clock) -> None:
        self._address, self._clock = address, clock
        self._since: float | None = None
        self._of_writers = False
        self._told = False

    def failed(self, error: BaseException, doing: str, began: float, *, writing: bool, given_up: bool = False) -> None:
        """Something failed and is tried again.

        Args:
            error: why.
            doing: what it was.
            began: when it was begun, on the clock.
            writing: it was to write.
            given_up: it is not tried again.
        """
        if self._since is None:
            self._since = began
        self._of_writers |= writing
        patience = UNREACHABLE if cannot_be_reached(error) else BUSY
        if not self._told and (given_up or self._clock.monotonic() - self._since >= patience):
            self._told = True
            logger.warning("the database is away, and is waited for: %s", store_error(error, self._address, doing))

    def worked(self, *, writing: bool) -> None:
        """Something was done. That a file can be read says nothing if it could not be written."""
        if self._since is None or (self._of_writers and not writing):
            return
        if self._told:
            away = self._clock.monotonic() - self._since
            logger.warning("the database is back after %.1f s: %s", away, self._address)
        self._since, self._of_writers, self._told = None, False, False
