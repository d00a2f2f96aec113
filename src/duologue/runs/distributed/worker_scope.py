"""What a unit of work may use where it is done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

OpenSession = Callable[["WorkerScope"], AbstractAsyncContextManager[object]]
"""Opens what all units on a worker share. It is sent to the worker as units are."""


class WorkerScope:
    """What the units on one worker share.

    Args:
        worker_id: of the worker.
        session: opens what they share; None for nothing.
        send: takes a message about a unit to whoever gives out the work.
        folder: for files that are of no use once the worker has ended; None for the system's.
    """

    def __init__(
        self,
        worker_id: str,
        session: OpenSession | None = None,
        send: Callable[[str, object], None] | None = None,
        folder: str | None = None,
    ) -> None:
        self.worker_id = worker_id
        self.folder = folder
        self._open = session
        self._send = send
        self._entered: AbstractAsyncContextManager[object] | None = None
        self._session: object = None

    async def open(self) -> None:
        """Open the session. Called once, before the first unit."""
        if self._open is not None:
            entered = self._open(self)
            self._session = await entered.__aenter__()
            self._entered = entered

    @property
    def session(self) -> object:
        """What the executor's ``session`` has opened for this worker; None if there is none."""
        return self._session

    def tell(self, work_unit_id: str, message: object) -> None:
        """Send a message about a unit while it is being done. Nobody may be listening."""
        if self._send is not None:
            self._send(work_unit_id, message)

    async def close(self) -> None:
        """Close the session; harmless when it was done before."""
        entered, self._entered = self._entered, None
        if entered is not None:
            await entered.__aexit__(None, None, None)
