"""Where a request comes from: names of hosts, origins of pages, and the cookie with which pages ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing."""


def is_own_origin(origin: str, host: str) -> bool:
    """Whether a page of this origin was served by the host that is asked now."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()


def is_from_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page of this service has sent a request. Who says nothing is no such page."""
    origin = headers.get("origin")
    if origin is not None:
        return is_own_origin(origin, headers.get("host", ""))
    return headers.get("sec-fetch-site") == "same-origin"


def cookie_name(host: str) -> str:
    """The cookie with the token. Browsers send a cookie to all ports of a host, so its name has the port."""
    port = host.rpartition(":")[2] if not host.endswith("]") and ":" in host else ""
    return f"duologue_token_{port}" if port.isdecimal() and len(port) <= 5 else "duologue_token"


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The host without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
