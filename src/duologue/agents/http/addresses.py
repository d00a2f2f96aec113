"""Where a request may go: keeps a URL that somebody else typed from reaching into the network that Duologue runs in."""

from __future__ import annotations

import asyncio
import ipaddress
import socket


class ForbiddenAddressError(ValueError):
    """A host name that leads to a private, loopback or otherwise special address."""


async def public_address(host: str, port: int) -> str:
    """An address of that host, after all of its addresses were found to be public.

    Connect to the address that is returned, not to the name: the name may lead elsewhere a moment later.

    Raises:
        ForbiddenAddressError: one of them is not public.
        OSError: the name cannot be resolved.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not is_public(address):
            raise ForbiddenAddressError(f"'{host}' leads to {address}, which is not a public address")
    return addresses[0]


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


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
