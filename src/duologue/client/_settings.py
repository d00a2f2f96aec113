"""Where the service is, and how it is called."""

from __future__ import annotations

import os
import re
from dataclasses import field

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.http import MAX_BODY_BYTES, parse_url, shown_url
from duologue.secret_values import remember

API_URL = "DUOLOGUE_API_URL"
"""Names the address of the service."""
API_TOKEN = "DUOLOGUE_API_TOKEN"
"""Holds the token."""
DEFAULT_URL = "http://127.0.0.1:8642"
"""Where ``duologue serve`` listens unless it is told otherwise."""
TIMEOUT = 30.0
"""Seconds that one answer may take."""
IDLE_TIMEOUT = 60.0
"""Seconds in which a stream of events must bring something; the service sends a comment where nothing happens."""
RETRIES = 3
"""How often a request is sent again, where that is safe."""
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


@frozen
class ClientSettings:
    """What all requests of a client share.

    Attributes:
        url: of the service, without a path behind it.
        token: sent with each request.
        project: name or id; None for that of the token, or for the only one.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    project: str | None = None
    timeout: float = TIMEOUT
    idle_timeout: float = IDLE_TIMEOUT
    retries: int = RETRIES
    max_bytes: int = MAX_BODY_BYTES

    @property
    def shown_url(self) -> str:
        """The URL as errors show it."""
        return shown_url(parse_url(self.url, "the URL of a service"))


def settings_of(
    url: str | None,
    token: str | None,
    *,
    project: str | None,
    timeout: float,
    idle_timeout: float,
    retries: int,
) -> ClientSettings:
    """Settings from arguments, and from the environment where they are None.

    Raises:
        ConfigurationError: one of them cannot be used.
    """
    given = url or os.environ.get(API_URL) or DEFAULT_URL
    parts = parse_url(given, f"url, or {API_URL}: the URL of a service")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"the URL of a service has no query; found '{shown_url(parts)}'")
    secret = (token if token is not None else os.environ.get(API_TOKEN)) or None
    if secret is not None:
        secret = secret.strip()
        remember(secret, placed=True)
        if not _HEADER_VALUE.fullmatch(secret):
            raise ConfigurationError(
                f"token, or {API_TOKEN}: it holds characters that no token has; it is not shown here because it may be "
                "secret"
            )
    for name, value in (("timeout", timeout), ("idle_timeout", idle_timeout)):
        if not value > 0:
            raise ConfigurationError(f"{name} is {value}; expected seconds above 0")
    if retries < 0:
        raise ConfigurationError(f"retries is {retries}; expected 0 or more")
    whole = given.strip().rstrip("/").removesuffix("/api/v1")
    return ClientSettings(
        url=whole, token=secret, project=project, timeout=timeout, idle_timeout=idle_timeout, retries=retries
    )
