"""Access tokens of LiveKit: JSON Web Tokens that say who may do what in which room.

Source: LiveKit, *Tokens & grants*; RFC 7519, RFC 7515 (HS256).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any


def access_token(
    api_key: str,
    api_secret: str,
    *,
    room: str,
    identity: str,
    now: float,
    valid_seconds: float,
    agent_name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """A token to join one room, speak and listen in it, and send data.

    Args:
        api_key, api_secret: of the LiveKit project.
        room: that may be joined. The server creates it where it does not exist.
        identity: of who joins; unique in the room.
        now: seconds since 1970.
        valid_seconds: within which it has to be used to join; who has joined may stay.
        agent_name: of the agent that is to be sent into the room, where agents are dispatched by name.
        metadata: that this agent is given.
    """
    claims: dict[str, Any] = {
        "iss": api_key,
        "sub": identity,
        "name": identity,
        "nbf": int(now) - 10,
        "exp": int(now + valid_seconds),
        "video": {"room": room, "roomJoin": True, "canPublish": True, "canSubscribe": True, "canPublishData": True},
    }
    if agent_name is not None:
        dispatch = {"agentName": agent_name, **({"metadata": json.dumps(metadata)} if metadata is not None else {})}
        claims["roomConfig"] = {"agents": [dispatch]}
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    digest = hmac.new(api_secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64(digest)}"


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
