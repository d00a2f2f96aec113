"""Helpers for rehearsals with agents on the telephone: an address for this machine that Twilio reaches."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import deque
from contextlib import AsyncExitStack
from typing import Any, Protocol

from duologue.config.processes import end_group, environment_with, start_program
from duologue.errors import ConfigurationError
from duologue.voice.adapters.twilio import TwilioAgentAdapter

_ADDRESS = re.compile(rb"https://[a-z0-9-]+\.trycloudflare\.com")
_START_TIMEOUT = 60.0


class Tunnel(Protocol):
    """Makes a port of this machine reachable for as long as it is open; gives its public address."""

    async def __aenter__(self) -> str: ...

    async def __aexit__(self, *error: object) -> None: ...


class CloudflareTunnel:
    """A quick tunnel of Cloudflare, which needs no account.

        async with CloudflareTunnel(8765) as public_base_url:
            ...

    It needs the program ``cloudflared`` on this machine, which is not part of this package (Homebrew, apt and
    Cloudflare have it), and a network that lets it reach Cloudflare. Meanwhile everybody who knows the address reaches
    the port.

    Args:
        port: of this machine.
        program: the program, by name or path.
        timeout: seconds until Cloudflare must have given an address.
    """

    def __init__(self, port: int, *, program: str = "cloudflared", timeout: float = _START_TIMEOUT) -> None:
        self.port, self.program, self.timeout = port, program, timeout
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> str:
        """Open it; returns its address.

        Raises:
            ConfigurationError: the program is missing, or gives no address.
        """
        if shutil.which(self.program) is None:
            raise ConfigurationError(
                f"CloudflareTunnel needs the program '{self.program}', which is not installed: see "
                "https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads/. "
                "Any other tunnel does as well: pass its address as public_base_url"
            )
        command = [self.program, "tunnel", "--no-autoupdate", "--url", f"http://127.0.0.1:{self.port}"]
        self._process = await start_program(command, environment=environment_with(("HOME",)))
        lines: deque[bytes] = deque(maxlen=20)
        try:
            async with asyncio.timeout(self.timeout):
                address = await self._address(lines)
        except TimeoutError:
            address = None
        except BaseException:
            await self.__aexit__()
            raise
        if address is None:
            await self.__aexit__()
            said = b"".join(lines).decode("utf-8", "replace").strip()[-300:]
            raise ConfigurationError(f"'{self.program}' gave no address within {self.timeout:g} s; it said: {said}")
        assert self._process.stderr is not None
        self._reader = asyncio.create_task(_read_on(self._process.stderr))
        return address

    async def __aexit__(self, *error: object) -> None:
        """Close it."""
        process, self._process = self._process, None
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})
            self._reader = None
        if process is not None:
            await end_group(process)

    async def _address(self, lines: deque[bytes]) -> str | None:
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            lines.append(line)
            if found := _ADDRESS.search(line):
                return found[0].decode()
        return None


class TwilioHarness:
    """A :class:`TwilioAgentAdapter` that Twilio reaches: it listens, behind a tunnel of its own.

        async with TwilioHarness() as phone:
            await phone.place_call("+14155550100")

    Args:
        http_port: where the adapter listens.
        public_base_url: an address that leads there already; no tunnel is made then.
        tunnel: makes the address; None for a :class:`CloudflareTunnel` to ``http_port``.
        options: of the adapter; its credentials and number come from the environment otherwise.
    """

    def __init__(
        self, *, http_port: int = 8765, public_base_url: str | None = None, tunnel: Tunnel | None = None, **options: Any
    ) -> None:
        self._port, self._url, self._tunnel, self._options = http_port, public_base_url, tunnel, options
        self._open = AsyncExitStack()

    async def __aenter__(self) -> TwilioAgentAdapter:
        """Open the tunnel, and listen."""
        try:
            url = self._url or await self._open.enter_async_context(self._tunnel or CloudflareTunnel(self._port))
            adapter = TwilioAgentAdapter(public_base_url=url, http_port=self._port, **self._options)
            return await self._open.enter_async_context(adapter)
        except BaseException:
            await self._open.aclose()
            raise

    async def __aexit__(self, *error: object) -> None:
        """Hang up, and close the tunnel."""
        await self._open.aclose()


async def _read_on(stream: asyncio.StreamReader) -> None:
    """A program whose output nobody reads stops when its pipe is full."""
    while await stream.read(65_536):
        continue
