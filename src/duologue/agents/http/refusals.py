"""What an agent's refusal means to the person who configures it: statuses, and servers that are not there."""

from __future__ import annotations

from duologue.http import HttpResponse, NoResponseError

OK = frozenset((200, 201))
"""Statuses of an answer."""
BUSY = frozenset((429, 503, 529))
"""Statuses of an agent that may answer the same request later."""
_MEANING = {
    202: ", so the agent answers later or elsewhere; only an answer in the response itself can be read",
    204: ", no content: the agent took the message and said nothing",
    400: ", the agent does not take a request of this form; see 'preset' and 'body'",
    401: ", the agent wants to know who asks: send its key in a header, such as Authorization",
    403: ", the agent does not let this key do that",
    404: ", there is nothing at that URL; give the whole URL of the endpoint, with its path",
    405: ", that URL takes no POST requests; give the URL of the endpoint itself, with its path",
    415: ", the agent does not take JSON",
    422: ", the agent does not take a request of this form; see 'preset' and 'body'",
    429: ", the agent takes no more requests for now; run fewer cases at once, or raise its limit",
    503: ", the agent is overloaded or not up yet; run fewer cases at once, or wait until it is ready",
    529: ", the agent is overloaded; run fewer cases at once",
}
_REDIRECTS = range(300, 400)
_LONGEST_WAIT = 40
"""Characters of a Retry-After that an error shows: a date has 29."""


def refusal(response: HttpResponse) -> str:
    """What a status that is no answer means, and what to do about it."""
    what = f"HTTP {response.status}{_MEANING.get(response.status, '')}"
    if response.status in BUSY and (wait := response.headers.get("retry-after", "").strip()):
        what += f" (Retry-After: {wait[:_LONGEST_WAIT]})"
    if response.status in _REDIRECTS:
        where = response.headers.get("location", "nowhere").partition("?")[0]
        what += f", a redirect to {where}; redirects are not followed, so give the URL at which the agent answers"
    return what


def unreachable(error: NoResponseError) -> str:
    """Why there was no answer at all, and what to do about it."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        hint = "its TLS certificate is not trusted here; name the certificate of its authority in SSL_CERT_FILE"
    elif "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text:
        hint = "the server does not speak TLS there; does its URL begin with http:// instead of https://?"
    elif "Server disconnected" in text:
        hint = "it closed the connection; does its URL begin with https:// instead of http://?"
    else:
        hint = "is the agent running at that address?"
    return f"no answer ({text}); {hint}"
