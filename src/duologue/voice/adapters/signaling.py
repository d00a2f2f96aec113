"""The exchange of session descriptions over HTTP, before a WebRTC connection: JSON ``{sdp, type}``, and WHIP.

Source of WHIP: RFC 9725, section 4: the offer is posted as ``application/sdp``; the answer comes with status 201 and a
``Location``, at which the session is deleted in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, cast
from urllib.parse import urljoin, urlsplit

from duologue.config.json_text import NoJsonError, json_value
from duologue.config.redaction import remember_url
from duologue.frozen import frozen
from duologue.http import HttpClients, HttpError, HttpRequest, HttpResponse, check_headers, parse_url, written_url
from duologue.messages import JsonValue
from duologue.secret_values import hidden, remember

SignalingFormat = Literal["json", "whip"]
_SDP = "application/sdp"
_MOST_BYTES = 1_000_000
_SHOWN = 300
_HANG_UP_SECONDS = 3.0
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_http = HttpClients()


class SignalingError(ConnectionError):
    """The other side gave no session description: what it answered instead."""


@frozen
class SdpAnswer:
    """What the other side answered.

    Attributes:
        sdp: its session description.
        session: URL of the session, deleted in the end; "" where there is none.
    """

    sdp: str
    session: str = ""


@frozen
class Signaling:
    """Where and how session descriptions are exchanged.

    Attributes:
        url: that takes the offer.
        format: ``json`` posts and expects ``{"sdp": …, "type": …}``; ``whip`` posts and expects SDP.
        headers: of all requests.
        more: fields that JSON has beside the offer.
    """

    url: str = field(repr=False)
    format: SignalingFormat = "json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    more: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def __post_init__(self) -> None:
        parse_url(self.url, "signaling_url", credentials=True)
        check_headers(self.headers)
        remember(*self.headers.values(), placed=True)
        remember_url(self.url)

    @property
    def shown(self) -> str:
        """The URL without what may be secret in it."""
        return written_url(self.url)

    @property
    def is_local(self) -> bool:
        """Whether the other side is on this machine, as far as the URL tells."""
        host = (urlsplit(self.url.strip()).hostname or "").casefold()
        return host in _LOCAL or host.startswith("127.") or host.endswith(".localhost")

    async def exchange(self, offer: str) -> SdpAnswer:
        """Send the offer.

        Raises:
            SignalingError: there is no answer, or another one.
        """
        if self.format == "whip":
            request = HttpRequest(
                url=self.url,
                headers={**self.headers, "Content-Type": _SDP, "Accept": _SDP},
                content=offer.encode(),
                max_bytes=_MOST_BYTES,
            )
        else:
            body = {**self.more, "sdp": offer, "type": "offer"}
            request = HttpRequest(url=self.url, headers=self.headers, json=body, max_bytes=_MOST_BYTES)
        try:
            async with _http.send(request) as response:
                if not response.ok:
                    raise SignalingError(f"it answered with status {response.status}{await _excerpt(response)}")
                text, location = await response.text(), response.headers.get("location", "")
        except HttpError as error:
            raise SignalingError(hidden(f"{error}")) from error
        session = urljoin(self.url, location) if self.format == "whip" and location else ""
        return SdpAnswer(sdp=_sdp_in(text), session=session)

    async def end(self, session: str) -> None:
        """Delete a session.

        Raises:
            HttpError: that failed, which changes nothing: the connection is closed.
        """
        request = HttpRequest(
            url=session, method="DELETE", headers=self._headers_for(session), timeout=_HANG_UP_SECONDS
        )
        async with _http.send(request):
            return

    def _headers_for(self, url: str) -> Mapping[str, str]:
        """Credentials are for the host that they were given for."""
        here, there = urlsplit(self.url.strip()), urlsplit(url)
        return self.headers if (here.scheme, here.netloc) == (there.scheme, there.netloc) else {}


def _sdp_in(text: str) -> str:
    """The session description in a body: as such, or in JSON."""
    if text.lstrip().startswith("v="):
        return text.strip().replace("\r\n", "\n").replace("\n", "\r\n") + "\r\n"
    try:
        value = json_value(text)
    except NoJsonError:
        raise SignalingError(f"its answer is neither SDP nor JSON: {_shown(text)}") from None
    if not isinstance(value, dict):
        raise SignalingError(f"its answer is no JSON object with 'sdp' and 'type': {_shown(text)}")
    fields = cast("dict[str, object]", value)
    sdp, kind = fields.get("sdp"), fields.get("type", "answer")
    if not isinstance(sdp, str) or not sdp.lstrip().startswith("v="):
        raise SignalingError(f"its answer has no session description in the field 'sdp': {_shown(text)}")
    if kind != "answer":
        raise SignalingError(f"its answer is of the type {kind!r}, expected 'answer'")
    return sdp


async def _excerpt(response: HttpResponse) -> str:
    text = " ".join((await response.excerpt(_SHOWN)).split())
    return f": {_shown(text)}" if text else ""


def _shown(text: str) -> str:
    text = hidden(" ".join(text.split()))
    return f"'{text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}'" if text else "(empty)"
