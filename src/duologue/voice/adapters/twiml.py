"""What Twilio's webhooks are: whether a request is signed by the account, and what it is answered, as TwiML.

Sources: Twilio, *Webhooks Security* (signatures) and *TwiML for Programmable Voice*.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, urlsplit
from xml.etree import ElementTree as ET

SIGNATURE = "x-twilio-signature"
SIGNATURE_SETTINGS = "x-twilio-webhooks-signature-settings"
_HASHES = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}


def signature_of(token: str, url: str, form: Iterable[tuple[str, str]] = (), algorithm: str = "HMAC_SHA1") -> str:
    """The signature of a request: over its URL and the fields of its form, sorted, each value once.

    Args:
        token: the account's auth token.
        url: as Twilio requests it, with its query.
        form: of the body.
        algorithm: ``HMAC_SHA1`` or ``HMAC_SHA256``.
    """
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return b64encode(hmac.new(token.encode(), text.encode(), _HASHES[algorithm]).digest()).decode()


def is_signed(token: str, url: str, form: Iterable[tuple[str, str]], headers: Mapping[str, str]) -> bool:
    """Whether a request comes from Twilio on behalf of the account.

    Args:
        token: the account's auth token.
        url: as Twilio has requested it. Whether it names the port is not looked at: Twilio is not consistent in it.
        form: of the body.
        headers: their names in lower case.
    """
    algorithm = _algorithm(headers.get(SIGNATURE_SETTINGS, ""))
    given = headers.get(SIGNATURE, "")
    if algorithm not in _HASHES or not given:
        return False
    fields, parts = list(form), urlsplit(url)
    expected = [signature_of(token, each, fields, algorithm) for each in (_without_port(parts), _with_port(parts))]
    return any(hmac.compare_digest(each.encode(), given.encode()) for each in expected)


def stream_twiml(url: str, parameters: Mapping[str, str], *, keys: str = "") -> str:
    """Connects the call to a WebSocket, both ways.

    Args:
        url: of the WebSocket.
        parameters: that Twilio hands on when the stream starts.
        keys: that are pressed before.
    """
    response = ET.Element("Response")
    if keys:
        ET.SubElement(response, "Play", digits=keys)
    stream = ET.SubElement(ET.SubElement(response, "Connect"), "Stream", url=url)
    for name, value in parameters.items():
        ET.SubElement(stream, "Parameter", name=name, value=value)
    return _written(response)


def hold_twiml(seconds: int, *, keys: str = "") -> str:
    """Keeps the call open in silence, after keys are pressed."""
    response = ET.Element("Response")
    if keys:
        ET.SubElement(response, "Play", digits=keys)
    ET.SubElement(response, "Pause", length=str(seconds))
    return _written(response)


def reject_twiml(reason: str) -> str:
    """Does not answer the call: ``rejected`` or ``busy``."""
    response = ET.Element("Response")
    ET.SubElement(response, "Reject", reason=reason)
    return _written(response)


def _written(response: ET.Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(response, encoding="unicode")


def _algorithm(settings: str) -> str:
    for setting in settings.split(","):
        name, _, value = setting.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _with_port(url: SplitResult) -> str:
    if url.port is not None:
        return url.geturl()
    return url._replace(netloc=f"{url.netloc}:{443 if url.scheme == 'https' else 80}").geturl()


def _without_port(url: SplitResult) -> str:
    return url.geturl() if url.port is None else url._replace(netloc=url.netloc.rpartition(":")[0]).geturl()
