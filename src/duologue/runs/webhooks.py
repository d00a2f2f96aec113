"""Tells an environment that a version of an agent is to be deployed: one signed ``POST``, bounded in time and size.

The receiver checks the signature: HMAC-SHA256, with the secret, of the timestamp, a full stop and the body as they were
sent (``X-Duologue-Signature: v1=HEX``). No redirect is followed, and an address that is not on the public internet is
called only where the environment allows it. A webhook is sent once: whoever wants it sent again deploys again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from duologue.config.redaction import redacted, remember_headers, remember_url
from duologue.config.templates import expand, expand_url
from duologue.context import Clock
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.http import ForbiddenAddressError, HttpClients, HttpError, HttpRequest, check_headers
from duologue.runs.store.definitions import AgentVersion, SavedAgent, without_credentials
from duologue.runs.store.releases import Deployment, Environment, GateResult, iso

EVENT = "deployment"
_SHOWN = 300
_LARGEST_ANSWER = 64 * 1024
_TRUSTING = HttpClients()
_GUARDED = HttpClients(trust_private=False)


@frozen
class Webhook:
    """A request that tells of a deployment.

    Attributes:
        url, headers: as they are sent; in a preview ``${NAME}`` stands for what is filled in.
        body: the JSON text.
        secret: that it is signed with; None for an unsigned one.
    """

    url: str
    headers: Mapping[str, str]
    body: str
    timeout: float
    allow_private_addresses: bool = False
    secret: str | None = None

    def as_data(self) -> dict[str, Any]:
        """For people, without the secret."""
        return {"method": "POST", "url": self.url, "headers": dict(self.headers), "body": json.loads(self.body)}


@frozen
class Delivered:
    """Whether a webhook was taken.

    Attributes:
        message: what the receiver answered, or why it was not reached.
    """

    success: bool
    message: str


def webhook_of(
    environment: Environment,
    agent: SavedAgent,
    version: AgentVersion,
    gate: GateResult | None,
    deployment: Deployment | None,
    values: Mapping[str, str] | None,
) -> Webhook:
    """The request for a deployment.

    Args:
        environment: that has a webhook.
        agent, version: what is deployed.
        gate: what the gate said; None without one.
        deployment: that it tells of; None for a preview, in which references stay as they are written.
        values: what references stand for; None for the variables of the process.

    Raises:
        ConfigurationError: the environment has no webhook, or a value is missing or cannot be used.
    """
    spec = environment.spec
    if spec.webhook_url is None:
        raise ConfigurationError(f"the environment '{environment.name}' has no webhook_url")
    body = json.dumps(_payload(environment, agent, version, gate, deployment), ensure_ascii=False, allow_nan=False)
    common: dict[str, Any] = {
        "body": body,
        "timeout": spec.timeout,
        "allow_private_addresses": spec.allow_private_addresses,
    }
    told = {"X-Duologue-Event": EVENT, "X-Duologue-Delivery": str(deployment.id) if deployment else "0"}
    if deployment is None:
        signed = {"X-Duologue-Timestamp": "…", "X-Duologue-Signature": "v1=…"} if spec.signing_secret else {}
        return Webhook(url=spec.webhook_url, headers={**spec.headers, **told, **signed}, **common)
    try:
        url = expand_url(spec.webhook_url, values)
        headers = {name: expand(value, values, secret=True) for name, value in spec.headers.items()}
        secret = expand("${" + spec.signing_secret + "}", values, secret=True) if spec.signing_secret else None
    except ConfigurationError as error:
        raise ConfigurationError(f"the webhook of the environment '{environment.name}': {error}") from error
    if spec.signing_secret and not secret:
        raise ConfigurationError(f"the secret '{spec.signing_secret}' of the environment '{environment.name}' is empty")
    remember_url(url)
    remember_headers(headers)
    check_headers(headers)
    return Webhook(url=url, headers={**headers, **told}, secret=secret, **common)


def signature_of(secret: str, timestamp: str, body: str) -> str:
    """The signature of a webhook, as its header has it."""
    signed = hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256)
    return f"v1={signed.hexdigest()}"


async def send_webhook(webhook: Webhook, clock: Clock) -> Delivered:
    """Send it, once. Only a status of 2xx is a success.

    Raises:
        ConfigurationError: the URL or a header cannot be used.
    """
    headers = {**webhook.headers, "Content-Type": "application/json"}
    if webhook.secret is not None:
        timestamp = str(int(clock.now()))
        headers["X-Duologue-Timestamp"] = timestamp
        headers["X-Duologue-Signature"] = signature_of(webhook.secret, timestamp, webhook.body)
    request = HttpRequest(
        url=webhook.url,
        headers=headers,
        content=webhook.body.encode(),
        timeout=webhook.timeout,
        max_bytes=_LARGEST_ANSWER,
    )
    clients = _TRUSTING if webhook.allow_private_addresses else _GUARDED
    try:
        async with clients.send(request) as response:
            status, text = response.status, redacted(await response.excerpt(_SHOWN))
    except ForbiddenAddressError as error:
        told = f"{error}. Set allow_private_addresses of the environment if the webhook is meant to be there"
        return Delivered(success=False, message=redacted(told))
    except HttpError as error:
        return Delivered(success=False, message=redacted(str(error)))
    said = f"HTTP {status}: {text.strip()[:_SHOWN]}" if text.strip() else f"HTTP {status}"
    if 300 <= status < 400:
        return Delivered(success=False, message=f"{said} (redirects are not followed)")
    return Delivered(success=200 <= status < 300, message=said)


def _payload(
    environment: Environment,
    agent: SavedAgent,
    version: AgentVersion,
    gate: GateResult | None,
    deployment: Deployment | None,
) -> dict[str, Any]:
    spec = environment.spec
    return {
        "event": EVENT,
        "deployment_id": deployment.id if deployment else None,
        "at": iso(deployment.created_at) if deployment else None,
        "environment": {
            "id": environment.id,
            "name": environment.name,
            "platform": spec.platform,
            "platform_agent_id": spec.platform_agent_id,
        },
        "agent": {
            "id": agent.id,
            "name": agent.name,
            "version": version.version,
            "note": version.note,
            "published_at": iso(version.published_at),
            "definition": without_credentials(version.draft.written()),
        },
        "gate": gate.as_data() if gate else None,
    }
