"""Which URLs and headers can be used, and which hosts are on the public internet."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from duologue.config.access import access
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.http._errors import NoResponseError
from duologue.secret_values import hidden

_PORTS = {"http": 80, "https": 443}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST_AND_PORT = re.compile(
    r"(?P<host>localhost|[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.)+[A-Za-z0-9-]{1,63}|[A-Za-z][A-Za-z0-9-]{0,62}(?=:))"
    r"(?::(?P<port>\d{1,5}))?(?P<path>(?:/[A-Za-z0-9._~/-]*)?)"
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddressError(NoResponseError, ValueError):
    """A host name that resolves to a private, loopback or otherwise special address."""


@frozen
class Target:
    """Where to connect, and what the request has to carry to be understood there."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    extensions: Mapping[str, Any] = field(default_factory=dict[str, Any])


def parse_url(url: str, what: str = "the URL of an agent", *, credentials: bool = False) -> SplitResult:
    """Split an http or https URL.

    Args:
        url: as somebody typed it.
        what: what the URL is for, for the error.
        credentials: whether it may hold a user and password.

    Raises:
        ConfigurationError: it is something else, or holds a user or password and must not.
    """
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in _PORTS and bool(parts.hostname) and port_of(parts) > 0
    except ValueError:
        usable = False
        parts = SplitResult("", "", "", "", "")
    if not usable:
        raise ConfigurationError(
            f"{what} must look like http://host:port/path or https://…; found '{shown_url(parts)}'{_with_scheme(url)}"
        )
    if parts.username is not None and not credentials:
        raise ConfigurationError(
            f"{what} must not contain a user or password (at '{shown_url(parts)}'); "
            "pass them as the header 'Authorization'"
        )
    return parts


def _with_scheme(url: str) -> str:
    """A suggestion for a host and port that somebody typed without a scheme."""
    found = _HOST_AND_PORT.fullmatch(url.strip())
    if found is None:
        return ""
    scheme = "http" if found["port"] not in {None, "443"} or found["host"] == "localhost" else "https"
    return f"; did you mean '{scheme}://{found['host']}{':' + found['port'] if found['port'] else ''}{found['path']}'?"


def port_of(url: SplitResult) -> int:
    """The port, by the scheme where none is given."""
    return _PORTS[url.scheme] if url.port is None else url.port


def shown_url(url: SplitResult) -> str:
    """The URL as it may be shown: without its query, user and password, which may be secret."""
    host = url.netloc.rpartition("@")[2]
    return hidden(url._replace(netloc=host, query="…" if url.query else "", fragment="").geturl())


def written_url(url: str) -> str:
    """A URL as somebody wrote it, with references such as ``${HOST}``, as it may be shown; see :func:`shown_url`."""
    try:
        return shown_url(urlsplit(url))
    except ValueError:
        return hidden(url.partition("?")[0])


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, if they can be sent. Raises ConfigurationError, which does not show their values."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not a valid HTTP header name")
        if not (value.isascii() and value.isprintable()):
            raise ConfigurationError(f"the value of the header '{name}' must be printable ASCII (it is not shown here)")
    return dict(headers)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; an IPv4 address inside an IPv6 one decides for it."""
    ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


OWN_SERVER: dict[str, Any] = {"duologue_own_server": True}
"""Extensions of requests to servers that Duologue has started itself, which are on this machine."""


async def pinned(request: Any, library: Any) -> Any:
    """A request of httpx or httpx2, which goes to a public address only, if private ones may not be used now.

    Raises:
        ForbiddenAddressError: the host has an address that is not public.
        OSError: the name cannot be resolved.
    """
    if access().private_addresses or "duologue_own_server" in request.extensions:
        return request
    parts = urlsplit(str(request.url))
    if parts.scheme not in _PORTS:
        return request
    target = await public_target(parts)
    headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
    host = request.headers.get("host", target.headers["Host"])
    extensions = {**target.extensions, **request.extensions}
    return library.Request(
        request.method,
        target.url,
        headers={"Host": host, **headers},
        stream=request.stream,
        extensions=extensions,
    )


async def to_public_address(request: Any) -> None:
    """An event hook of an HTTPX client: each request, redirected ones included, goes to a public address or fails.

    Raises:
        ForbiddenAddressError: the host has an address that is not public.
    """
    target = await public_target(parse_url(str(request.url)))
    request.url = type(request.url)(target.url)
    request.headers.update(target.headers)
    request.extensions = {**request.extensions, **target.extensions}


async def public_address(host: str, port: int) -> str:
    """An IP address of that host, all of whose addresses are public.

    Raises:
        ForbiddenAddressError: one is not.
        OSError: the name cannot be resolved.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not is_public(address):
            raise ForbiddenAddressError(f"'{host}' leads to {address}, which is not a public address")
    return addresses[0]


async def public_target(url: SplitResult) -> Target:
    """The way to a public address of that host and to no other.

    The request goes to the address that was checked, not to the name: a moment later the name may resolve to another.

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
