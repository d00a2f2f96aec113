"""Servers that help two sides of a WebRTC connection to find each other."""

from __future__ import annotations

from dataclasses import field

from duologue.frozen import frozen


@frozen
class IceServer:
    """A STUN or TURN server.

    Attributes:
        urls: such as ``stun:stun.example.com:3478`` or ``turn:turn.example.com?transport=udp``.
        username, credential: for TURN.
    """

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)
