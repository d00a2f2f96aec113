"""The connection of asyncpg, as far as it is used here: the package has no types of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class RawConnection(Protocol):
    """What is used of a connection of asyncpg, which has no types of its own."""

    async def fetch(self, query: str, *args: object) -> list[Sequence[Any]]:
        """The rows of a query."""
        ...

    async def fetchrow(self, query: str, *args: object) -> Sequence[Any] | None:
        """Its first row."""
        ...

    async def execute(self, query: str, *args: object) -> str:
        """Execute a statement that gives no rows."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Begin a transaction, and commit it in the end."""
        ...

    async def add_listener(self, channel: str, callback: Callable[..., object]) -> None:
        """Listen to a channel."""
        ...

    def add_termination_listener(self, callback: Callable[[object], object]) -> None:
        """Be told when the connection ends."""
        ...

    def is_closed(self) -> bool:
        """Whether it has ended."""
        ...

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    async def close(self, *, timeout: float) -> None:
        """Say goodbye."""
        ...

    def terminate(self) -> None:
        """End it without a word."""
        ...
