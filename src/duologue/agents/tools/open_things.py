"""What a toolbox has open: programs, servers and connections, closed in turn when the toolbox is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from duologue.errors import ConfigurationError


class OpenThings:
    """Knows how to close what was opened since ``open``."""

    def __init__(self) -> None:
        self._stack: AsyncExitStack | None = None

    def open(self) -> None:
        """From here on things may be opened."""
        self._stack = self._stack or AsyncExitStack()

    async def aclose(self) -> None:
        """Close everything, what was opened last first."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    def on_close(self, close: Callable[[], Awaitable[None]], what: str) -> None:
        """Have something closed.

        Args:
            close: closes it.
            what: its name, for the error.

        Raises:
            ConfigurationError: nobody would close it.
        """
        if self._stack is None:
            raise ConfigurationError(f"{what} can only be used within 'async with Toolbox(suite)', which ends it")
        self._stack.push_async_callback(close)
