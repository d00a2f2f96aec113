"""Requests of adapters to a vendor's REST API, such as for a new call, and errors that quote what it answered."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from duologue.config.json_text import NoJsonError, json_object
from duologue.http import HttpClients, HttpError, HttpRequest, shown_url
from duologue.secret_values import hidden
from duologue.voice.port import VoiceConnectionError

_clients = HttpClients()
_SHOWN = 300
"""Characters of an answer that an error quotes."""


async def ask_vendor(request: HttpRequest, name: str, what: str) -> dict[str, Any]:
    """Send a request and return the JSON object that comes back, {} for an empty answer.

    Args:
        request: with credentials in its headers only.
        name: of the adapter.
        what: it was to do, for the error, such as ``create the call``.

    Raises:
        VoiceConnectionError: it was not done.
    """
    where = shown_url(urlsplit(request.url))
    try:
        async with _clients.send(request) as response:
            if not response.ok:
                said = hidden((await response.excerpt(_SHOWN))[:_SHOWN]).strip()
                hint = "; check the credentials" if response.status in {401, 403} else ""
                why = f"status {response.status}{hint}" + (f": {said}" if said else "")
                raise VoiceConnectionError(name, f"could not {what}: {where} answered with {why}")
            text = await response.text()
    except HttpError as error:
        raise VoiceConnectionError(name, f"could not {what}: {where}: {hidden(str(error))}") from error
    try:
        return json_object(text) if text.strip() else {}
    except NoJsonError as error:
        raise VoiceConnectionError(
            name, f"could not {what}: expected JSON, an object, from {where}; found {hidden(text[:_SHOWN])!r}"
        ) from error
