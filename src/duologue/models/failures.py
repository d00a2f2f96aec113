"""What went wrong with a request, in Duologue's own errors, and whether sending it again may help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pydantic_ai import exceptions as theirs

from duologue.errors import (
    ModelAnswerError,
    ModelError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.models.retry import retry_after

_LONGEST_DETAIL = 500


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed request.

    Attributes:
        kind: the error to raise if this is the end of it.
        text: what happened.
        again: whether the same request may succeed later.
        asked: seconds that the provider asked to wait, if it did.
    """

    kind: type[ModelError]
    text: str
    again: bool = False
    asked: float | None = None

    def error(self, model: str, sent: int) -> ModelError:
        """The error to raise after so many requests."""
        times = "" if sent == 1 else f" ({sent} requests were sent)"
        return self.kind(f"{model}: {self.text}{times}", model=model, retry_after=self.asked)


def failure_of(error: Exception, provider: str, now: float) -> Failure:
    """Sort an exception of a pydantic-ai model.

    Args:
        error: what it raised.
        provider: for the advice in the text.
        now: seconds since 1970, to understand a date in Retry-After.
    """
    if isinstance(error, theirs.ModelHTTPError):
        return _http(error, provider, now)
    if isinstance(error, theirs.ModelConnectionError):
        return _connection(error)
    if isinstance(error, theirs.ModelRateLimitError):
        return _rate_limit(error, _detail(error), provider, error.retry_after)
    if isinstance(error, theirs.ModelUnavailableError | theirs.ModelServerError):
        return Failure(kind=ModelUnavailableError, text=_detail(error), again=True, asked=error.retry_after)
    return _final(error)


def _final(error: Exception) -> Failure:
    match error:
        case ModelError():
            return Failure(kind=type(error), text=str(error))
        case theirs.ModelRequestTimeout():
            return Failure(kind=ModelTimeoutError, text=_detail(error))
        case theirs.ModelRequestRejectedError() | theirs.ModelQuotaExceededError() | theirs.UserError():
            return Failure(kind=ModelRejectedError, text=_detail(error))
        case theirs.ModelAPIError() | theirs.UnexpectedModelBehavior():
            return Failure(kind=ModelAnswerError, text=f"the answer cannot be understood: {_detail(error)}")
        case _:
            return Failure(kind=ModelError, text=f"{type(error).__name__}: {_detail(error)}")


def _http(error: theirs.ModelHTTPError, provider: str, now: float) -> Failure:
    asked = retry_after(error.headers, now)
    asked = error.retry_after if asked is None else asked
    text = f"the provider answered {error.status_code}: {_body(error)}"
    if error.status_code == 429:
        return _rate_limit(error, text, provider, asked)
    if error.status_code >= 500:
        return Failure(kind=ModelUnavailableError, text=text, again=True, asked=asked)
    if isinstance(error, theirs.ModelAuthenticationError):
        text += "; check the key and what it may use"
    return Failure(kind=ModelRejectedError, text=text, asked=asked)


def _rate_limit(error: theirs.ModelAPIError, text: str, provider: str, asked: float | None) -> Failure:
    if isinstance(error, theirs.ModelQuotaExceededError):
        return Failure(kind=ModelRateLimitError, text=f"{text}; the account's quota is spent", asked=asked)
    advice = f"; send less with duologue.models.configure_limits('{provider}', …)"
    return Failure(kind=ModelRateLimitError, text=text + advice, again=True, asked=asked)


def _connection(error: theirs.ModelConnectionError) -> Failure:
    if isinstance(error, theirs.ModelTimeoutError) and error.phase not in {"connect", "pool"}:
        return Failure(kind=ModelTimeoutError, text=f"no answer in time: {_detail(error)}")
    return Failure(kind=ModelUnavailableError, text=f"cannot be reached: {_detail(error)}", again=True)


def _body(error: theirs.ModelHTTPError) -> str:
    body = error.body
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        return _short(str(fields.get("message") or fields))
    return _short(str(body or "no body"))


def _detail(error: Exception) -> str:
    cause = error.__cause__
    text = str(error) or type(error).__name__
    return _short(f"{text} ({cause})" if cause and str(cause) and str(cause) not in text else text)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "…"
