"""HTTP clients for adapters: one per event loop, closed when its loop shuts down; and answers of bounded size."""

from __future__ import annotations

import asyncio
import re
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit
from weakref import WeakKeyDictionary

from duologue.agents.http.addresses import public_address
from duologue.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

_KEPT_ALIVE = 100
"""Idle connections that a client keeps."""
_PORTS = {"http": 80, "https": 443}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class TooLongError(ValueError):
    """An answer that is longer than it may be."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a request goes, and what it has to carry to be understood there."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    extensions: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, eq=False)
class _Entry:
    client: httpx.AsyncClient
    lifetime: AsyncGenerator[None]


_open: set[_Entry] = set()
"""Every client that is open, so that none is collected before its loop has closed it."""


class LoopClients:
    """The clients of one adapter. An adapter that is dropped has them closed; so has a loop that shuts down."""

    def __init__(self, *, trust_environment: bool) -> None:
        """``trust_environment``: whether the machine's proxy settings are obeyed."""
        self._trust_environment = trust_environment
        self._entries: WeakKeyDictionary[asyncio.AbstractEventLoop, _Entry] = WeakKeyDictionary()

    async def get(self) -> httpx.AsyncClient:
        """The client of the running loop. No redirects, cookies, time limit of its own or limit on connections."""
        loop = asyncio.get_running_loop()
        entry = self._entries.get(loop)
        if entry is None or entry.client.is_closed:
            entry = self._entries[loop] = await _new_entry(self._trust_environment)
            weakref.finalize(self, _close_soon, weakref.ref(loop), entry)
        return entry.client

    async def aclose(self) -> None:
        """Close the client of the running loop, if it has one."""
        if entry := self._entries.pop(asyncio.get_running_loop(), None):
            await entry.lifetime.aclose()


async def _new_entry(trust_environment: bool) -> _Entry:
    import httpx

    client = httpx.AsyncClient(
        follow_redirects=False,
        timeout=None,
        trust_env=trust_environment,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_ALIVE),
    )
    entry = _Entry(client, _until_the_loop_ends(client))
    _open.add(entry)
    await anext(entry.lifetime)
    return entry


async def _until_the_loop_ends(client: httpx.AsyncClient) -> AsyncGenerator[None]:
    """A loop that shuts down closes its asynchronous generators, and this one closes the client."""
    try:
        yield
    finally:
        _open.difference_update([entry for entry in _open if entry.client is client])
        await client.aclose()


def _close_soon(loop: weakref.ref[asyncio.AbstractEventLoop], entry: _Entry) -> None:
    """The adapter is gone: close its client on the client's own loop, unless that has shut down and done so."""
    running = loop()
    if running is None or running.is_closed() or entry not in _open:
        _open.discard(entry)
        return
    with suppress(RuntimeError):  # the loop was closed just now
        running.call_soon_threadsafe(lambda: _closing.add(running.create_task(_close(entry))))


_closing: set[asyncio.Task[None]] = set()


async def _close(entry: _Entry) -> None:
    try:
        await entry.lifetime.aclose()
    finally:
        _closing.discard(cast("asyncio.Task[None]", asyncio.current_task()))


async def bounded(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """The body in pieces. Raises TooLongError as soon as it is longer than ``limit`` bytes."""
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > limit:
            raise TooLongError(f"the answer is longer than {limit} bytes")
        yield chunk


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, if they can be sent. Raises ConfigurationError, which does not show their values."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not the name of an HTTP header")
        if not (value.isascii() and value.isprintable()):
            raise ConfigurationError(f"the value of the header '{name}' must be printable ASCII (it is not shown here)")
    return dict(headers)


def checked_url(url: str) -> SplitResult:
    """The parts of an http or https URL. Raises ConfigurationError for anything else."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in _PORTS and bool(parts.hostname) and port_of(parts) > 0
    except ValueError:
        usable = False
        parts = SplitResult("", "", "", "", "")
    if not usable:
        raise ConfigurationError(
            f"the URL of an agent must look like http://host:port/path or https://…; found '{shown_url(parts)}'"
        )
    if parts.username is not None:
        raise ConfigurationError(
            f"the URL of an agent must not hold a user or password (at '{shown_url(parts)}'); "
            "give them as the header 'Authorization'"
        )
    return parts


def port_of(url: SplitResult) -> int:
    """The port, by the scheme where none is given."""
    return _PORTS[url.scheme] if url.port is None else url.port


def shown_url(url: SplitResult) -> str:
    """The URL as it may be shown: without its query, and without user and password, which may be secret."""
    host = url.netloc.rpartition("@")[2]
    return url._replace(netloc=host, query="…" if url.query else "", fragment="").geturl()


async def public_target(url: SplitResult) -> Target:
    """A request's way to a public address of that host and to no other.

    Raises:
        ForbiddenAddressError: the host has an address that is not public.
        OSError: the name cannot be resolved.
    """
    host = url.hostname or ""
    address = await public_address(host, port_of(url))
    netloc = f"{f'[{address}]' if ':' in address else address}:{port_of(url)}"
    return Target(
        url=url._replace(netloc=netloc).geturl(),
        headers={"Host": url.netloc},
        extensions={"sni_hostname": host},
    )
