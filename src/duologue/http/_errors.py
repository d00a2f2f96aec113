"""How an exchange can fail."""

from __future__ import annotations


class HttpError(Exception):
    """An exchange that failed. The text says how, without saying where."""


class NoResponseError(HttpError):
    """The request could not be sent, or nothing came back."""


class BrokenResponseError(HttpError):
    """The response began and broke off, or cannot be read."""


class ResponseRefusedError(BrokenResponseError):
    """The response is not read on, because of its size or its form. Asking again would not help."""


class ResponseTooLargeError(ResponseRefusedError):
    """The body is larger than the request allows."""


class HttpTimeoutError(HttpError):
    """The exchange did not end in time."""
