"""Where the scheduler of a Dask cluster is, how the connection to it is encrypted, and how a cluster of ours is set up.

Dask takes a second to load; what is here is needed before that.
"""

from __future__ import annotations

from collections.abc import Mapping

from duologue.errors import ConfigurationError
from duologue.frozen import frozen

QUIET: Mapping[str, object] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.allowed-failures": 0,  # the coordinator says what is done again
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "30s",
}
"""Settings of a cluster that is ours."""

TOGETHER = 0.05
"""Seconds within which units and results travel together."""


@frozen
class Tls:
    """Files for an encrypted connection, in PEM format. Both ends show a certificate.

    Attributes:
        ca_file: of the authority that has signed the certificates.
        cert_file, key_file: of this end.
    """

    ca_file: str
    cert_file: str
    key_file: str


def require_address(address: str | None, tls: Tls | None) -> None:
    """Raise ConfigurationError if there can be no scheduler at that address."""
    if address is None:
        return
    protocol, found, place = address.partition("://")
    if not found or protocol not in {"tcp", "tls"} or not place:
        raise ConfigurationError(
            f"found '{address}' as the address of a Dask scheduler; expected tcp://HOST:PORT or tls://HOST:PORT"
        )
    if protocol == "tls" and tls is None:
        raise ConfigurationError(f"{address} needs --tls-ca, --tls-cert and --tls-key")
    if protocol == "tcp" and tls is not None:
        raise ConfigurationError(f"{address} is not encrypted; use tls:// with TLS files, or leave them out")
