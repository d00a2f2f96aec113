"""HTTP for tools: bounded in time and size, without redirects, and silent about what is secret."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from duologue.agents.http.client import LoopClients, TooLongError, bounded, checked_url, shown_url
from duologue.agents.tools.answers import ToolFault
from duologue.agents.tools.redaction import redacted
from duologue.errors import ConfigurationError
from duologue.specs.environment import expand
from duologue.tracing.propagation import outgoing_headers

LONGEST_ANSWER = 10 * 1024 * 1024
"""Bytes."""
_SHOWN = 300
_SHORTEST_SECRET = 4
"""Values shorter than this are not looked for: taking every '1' out of a text helps nobody."""
TELLING = re.compile(r"auth|key|token|secret|passw|cookie", re.IGNORECASE)
"""Names of headers and variables whose values are secret, wherever they come from."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back with a good status.

    Attributes:
        kind: the media type, without parameters.
        body: the bytes, with secrets of the request taken out.
    """

    kind: str
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent where.

    Attributes:
        who: the tool, for errors.
        method, url, headers: of the request.
        json: the body; None for none.
        secrets: texts that must not be shown.
        redact: paths of fields that must not be shown.
        seconds: from connecting to the last byte.
    """

    who: str
    method: str
    url: str
    headers: Mapping[str, str]
    json: Any = None
    secrets: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    seconds: float

    def fault(self, what: str) -> ToolFault:
        """What went wrong, without what is secret."""
        place = f"{self.method} {shown_url(checked_url(self.url))}"
        return ToolFault(without(self.secrets, f"tool {self.who}: {place}: {what}"))


class Web:
    """Sends requests of tools over one pool of connections."""

    def __init__(self) -> None:
        self._clients: LoopClients | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._clients is not None:
            await self._clients.aclose()

    async def send(self, request: Request) -> Reply:
        """Send a request and read the whole answer.

        Raises:
            ToolFault: there is no answer, or it has a status other than 2xx.
            ConfigurationError: the URL cannot be used.
        """
        checked_url(request.url)
        if self._clients is None:
            self._clients = LoopClients(trust_environment=True)
        limit = asyncio.timeout(request.seconds)
        try:
            async with limit:
                return await self._reply(request, self._clients)
        except TimeoutError as error:
            raise request.fault(f"timed out: no full answer within {request.seconds:g} s") from error

    async def _reply(self, request: Request, clients: LoopClients) -> Reply:
        import httpx

        client = await clients.get()
        content = {} if request.json is None else {"json": request.json}
        try:
            made = client.build_request(
                request.method, request.url, headers={**outgoing_headers(), **request.headers}, **content
            )
            response = await client.send(made, stream=True)
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise request.fault(f"no answer ({type(error).__name__}: {error})") from error
        try:
            body = b"".join([chunk async for chunk in bounded(response, LONGEST_ANSWER)])
        except (TooLongError, httpx.HTTPError) as error:
            raise request.fault(f"the answer broke off: {error}") from error
        finally:
            await response.aclose()
        if not response.is_success:
            text = without(request.secrets, _readable(body, request.redact))[:_SHOWN]
            raise request.fault(f"HTTP {response.status_code}: {text}")
        for secret in _worth(request.secrets):
            body = body.replace(secret.encode(), b"***")
        return Reply(kind=response.headers.get("content-type", "").partition(";")[0].strip().casefold(), body=body)


def _readable(body: bytes, redact: Iterable[str]) -> str:
    """What a refusal says, without the fields that nobody should see."""
    text = body.decode(errors="replace")
    if not redact:
        return text
    try:
        return json.dumps(redacted(json.loads(text), redact), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def headers_of(written: Mapping[str, str], from_environment: Iterable[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Headers with their values of now, and what is secret in them.

    Args:
        written: as the suite has them; ``${NAME}`` stands for an environment variable.
        from_environment: more, each as ``Header-Name=VARIABLE``.

    Raises:
        ConfigurationError: a variable is not set.
    """
    headers = {name: expand(value) for name, value in written.items()}
    secrets = [headers[name] for name, value in written.items() if "${" in value or TELLING.search(name)]
    for entry in from_environment:
        name, _, variable = entry.partition("=")
        value = os.environ.get(variable)
        if not value:
            raise ConfigurationError(f"the environment variable {variable} is not set, and the header {name} needs it")
        headers[name] = value
        secrets.append(value)
    # Of 'Bearer abc' the second word is what must not be seen.
    return headers, [*secrets, *(value.rpartition(" ")[2] for value in secrets)]


def without(secrets: Iterable[str], text: str) -> str:
    """The text without these secrets."""
    for secret in _worth(secrets):
        text = text.replace(secret, "***")
    return text


def _worth(secrets: Iterable[str]) -> list[str]:
    return sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)
