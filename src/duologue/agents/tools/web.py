"""HTTP for tools: bounded in time and size, without redirects, and silent about what is secret."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from duologue.agents.tools.call import ToolFault, ToolUnreachable
from duologue.config.access import missing_variable, variables
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.redaction import (
    names_secret,
    redacted,
    remember,
    secrets_of_headers,
    without_fields,
    without_values,
)
from duologue.config.templates import expand
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.http import (
    MAX_BODY_BYTES,
    ForbiddenAddressError,
    HttpClients,
    HttpError,
    HttpRequest,
    HttpTimeoutError,
    NoResponseError,
    parse_url,
    shown_url,
)
from duologue.tracing.setup import outgoing_headers

LONGEST_ANSWER = MAX_BODY_BYTES
_SHOWN = 300


@frozen
class Reply:
    """What came back with a good status.

    Attributes:
        kind: the media type, without parameters.
        body: the bytes, with secrets of the request taken out.
    """

    kind: str
    body: bytes


@frozen
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
        return ToolFault(self._told(what))

    def unreachable(self, what: str) -> ToolUnreachable:
        """Why nobody answered, without what is secret."""
        return ToolUnreachable(self._told(what))

    def _told(self, what: str) -> str:
        place = f"{self.method} {shown_url(parse_url(self.url))}"
        return redacted(without_values(f"tool {self.who}: {place}: {what}", self.secrets))


class Web:
    """Sends requests of tools over one pool of connections.

    Args:
        trust_private: whether they may go to loopback and private addresses.
    """

    def __init__(self, *, trust_private: bool = True) -> None:
        self._clients = HttpClients(trust_private=trust_private)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._clients.aclose()

    async def send(self, request: Request) -> Reply:
        """Send a request and read the whole answer.

        Raises:
            ToolUnreachable: nobody answers at the address.
            ToolFault: the answer is late or has a status other than 2xx.
            ConfigurationError: the URL cannot be used.
        """
        asked = HttpRequest(
            method=request.method,
            url=request.url,
            headers={**outgoing_headers(), **request.headers},
            json=request.json,
            timeout=request.seconds,
            max_bytes=LONGEST_ANSWER,
        )
        try:
            async with self._clients.send(asked) as response:
                body = await response.read()
        except ForbiddenAddressError as error:
            raise request.unreachable(f"not called: {error}") from error
        except HttpTimeoutError as error:
            raise request.fault(f"timed out: {error}") from error
        except NoResponseError as error:
            raise request.unreachable(f"no answer ({error})") from error
        except HttpError as error:
            raise request.fault(str(error)) from error
        if not response.ok:
            text = without_values(_readable(body, request.redact), request.secrets)[:_SHOWN]
            raise request.fault(f"HTTP {response.status}: {text}")
        return Reply(kind=response.media_type, body=without_values(body, request.secrets))


def _readable(body: bytes, redact: Iterable[str]) -> str:
    """The text of an error response, without the fields to be redacted."""
    text = body.decode(errors="replace")
    if not redact:
        return text
    try:
        return json.dumps(without_fields(json_value(text, constants=True), redact), ensure_ascii=False)
    except NoJsonError:
        return text


def headers_of(written: Mapping[str, str], from_environment: Iterable[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Headers with their values of now, and what is secret in them.

    Args:
        written: as the suite has them; ``${NAME}`` stands for an environment variable.
        from_environment: more, each as ``Header-Name=VARIABLE``.

    Raises:
        ConfigurationError: a variable is not set.
    """
    headers = {name: expand(value, secret=True) for name, value in written.items()}
    secrets = [headers[name] for name, value in written.items() if "${" in value or names_secret(name)]
    for entry in from_environment:
        name, _, variable = entry.partition("=")
        value = variables().get(variable)
        if not value:
            raise ConfigurationError(f"{missing_variable(variable)}, and the header {name} needs it")
        headers[name] = value
        secrets.append(value)
    remember(*secrets)
    return headers, secrets_of_headers(secrets)
