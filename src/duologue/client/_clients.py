"""The two faces of the client."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from duologue.client._async import AsyncSender
from duologue.client._generated.async_operations import AsyncOperations
from duologue.client._generated.sync_operations import Operations
from duologue.client._settings import IDLE_TIMEOUT, RETRIES, TIMEOUT, settings_of
from duologue.client._sync import LoopThread
from duologue.context import Context
from duologue.frozen import changed


class AsyncClient(AsyncOperations):
    """A client for programs with an event loop; one method for each operation of the service.

    Args:
        url: of the service; None for that in ``DUOLOGUE_API_URL``, else ``http://127.0.0.1:8642``.
        token: None for that in ``DUOLOGUE_API_TOKEN``.
        project: name or id; None for that of the token, or for the only one there is.
        timeout: seconds that one answer may take.
        idle_timeout: seconds in which a stream of events must bring something.
        retries: how often a request is sent again that did not come through, where sending it twice is safe.
        context: time and randomness, for tests.

    Raises:
        ConfigurationError: an argument cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        project: str | None = None,
        timeout: float = TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        retries: int = RETRIES,
        context: Context | None = None,
    ) -> None:
        settings = settings_of(url, token, project=project, timeout=timeout, idle_timeout=idle_timeout, retries=retries)
        super().__init__(AsyncSender(settings, context or Context()), settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.shown_url!r}, project={self._settings.project!r})"

    def in_project(self, project: str | None) -> Self:
        """The same client with another project; both share their connections."""
        other = object.__new__(type(self))
        other._sender, other._settings = self._sender, changed(self._settings, project=project)
        return other

    async def close(self) -> None:
        """Close the connections of this event loop. Requests can be sent again."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class Client(Operations):
    """A client for programs without an event loop, and for notebooks; from any thread. Arguments as above."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        project: str | None = None,
        timeout: float = TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        retries: int = RETRIES,
        context: Context | None = None,
    ) -> None:
        settings = settings_of(url, token, project=project, timeout=timeout, idle_timeout=idle_timeout, retries=retries)
        super().__init__(AsyncSender(settings, context or Context()), LoopThread(), settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.shown_url!r}, project={self._settings.project!r})"

    def in_project(self, project: str | None) -> Self:
        """The same client with another project; both share their connections, and are closed together."""
        other = object.__new__(type(self))
        other._sender, other._thread = self._sender, self._thread
        other._settings = changed(self._settings, project=project)
        return other

    def close(self) -> None:
        """Close the connections. No request can be sent after that."""
        self._thread.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
