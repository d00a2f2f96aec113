"""What both kinds of database do with a function of a SQLAlchemy connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Doubt:
    """A transaction that may have been committed although its connection broke.

    Attributes:
        transaction: its number on the server; '' as long as none was about to be committed.
        result: what it gave.
    """

    def __init__(self) -> None:
        self.transaction = ""
        self.result: Any = None


class Transactions(Protocol):
    """Executes functions of a connection. Used on the store's own loop; times are seconds."""

    async def read(self, work: Callable[[Connection], T], timeout: float) -> T:
        """Execute a function that only reads."""
        ...

    async def write(self, work: Callable[[Connection], T], timeout: float, doubt: Doubt) -> T:
        """Execute a function, whole or not at all; not again if ``doubt`` says that it was committed before."""
        ...

    async def outside(self, statement: str, timeout: float) -> None:
        """Execute a statement that cannot be part of a transaction."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
