"""The part of Twilio's REST API that calls need: numbers and calls of one account.

Source: Twilio, *Calls resource* and *IncomingPhoneNumbers resource*, version 2010-04-01.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote, urlencode

from duologue.frozen import frozen
from duologue.http import HttpRequest
from duologue.secret_values import remember
from duologue.voice.adapters.rest import ask_vendor
from duologue.voice.port import VoiceConnectionError

API = "https://api.twilio.com"
_TIMEOUT = 20.0
Form = Sequence[tuple[str, str]]


@frozen
class NumberSettings:
    """Who is asked when a number is called.

    Attributes:
        sid: of the number.
        voice_url, voice_method: the webhook.
        application: its TwiML application, which counts in place of the webhook; "" for none.
    """

    sid: str
    voice_url: str
    voice_method: str
    application: str


class TwilioApi:
    """Requests on behalf of an account.

    Args:
        account: its SID.
        token: its auth token.
        name: of the adapter, for errors.
        url: of the API.
    """

    def __init__(self, account: str, token: str, name: str, url: str = API) -> None:
        self._account, self._name = account, name
        self._base = f"{url.rstrip('/')}/2010-04-01/Accounts/{quote(account, safe='')}"
        credentials = b64encode(f"{account}:{token}".encode()).decode()
        remember(credentials, placed=True)
        self._headers = {"Authorization": f"Basic {credentials}", "Accept": "application/json"}

    async def call(self, form: Form) -> str:
        """Place a call; returns its SID."""
        made = await self._ask("POST", "/Calls.json", "place the call", form)
        sid = made.get("sid")
        if not isinstance(sid, str) or not sid:
            raise VoiceConnectionError(self._name, "could not place the call: Twilio's answer has no 'sid'")
        return sid

    async def update_call(self, sid: str, form: Form, what: str) -> None:
        """Change a call that is going on."""
        await self._ask("POST", f"/Calls/{quote(sid, safe='')}.json", what, form)

    async def number(self, number: str) -> NumberSettings:
        """The settings of one of the account's numbers."""
        what = f"look up {number}"
        found = await self._ask("GET", f"/IncomingPhoneNumbers.json?{urlencode({'PhoneNumber': number})}", what)
        listed = found.get("incoming_phone_numbers")
        for each in cast("list[object]", listed) if isinstance(listed, list) else []:
            settings = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
            if isinstance(sid := settings.get("sid"), str) and sid:
                return NumberSettings(
                    sid=sid,
                    voice_url=settings.get("voice_url") or "",
                    voice_method=settings.get("voice_method") or "POST",
                    application=settings.get("voice_application_sid") or "",
                )
        raise VoiceConnectionError(self._name, f"{number} is no number of the account; buy it or correct phone_number")

    async def set_number(self, settings: NumberSettings, what: str) -> None:
        """Set who is asked when a number is called."""
        form = [
            ("VoiceUrl", settings.voice_url),
            ("VoiceMethod", settings.voice_method),
            ("VoiceApplicationSid", settings.application),
        ]
        await self._ask("POST", f"/IncomingPhoneNumbers/{quote(settings.sid, safe='')}.json", what, form)

    async def _ask(self, method: str, path: str, what: str, form: Form = ()) -> dict[str, Any]:
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"} if form else self._headers
        request = HttpRequest(
            url=self._base + path,
            method=method,
            headers=headers,
            content=urlencode(form).encode() if form else None,
            timeout=_TIMEOUT,
        )
        return await ask_vendor(request, self._name, what)
