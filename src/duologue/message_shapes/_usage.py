"""The tokens that models took, as objects of frameworks and answers of providers say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard, cast

from duologue.frozen import frozen
from duologue.message_shapes._objects import after_user, framework_of

READ_TOKENS = (
    *("prompt_tokens", "input_tokens", "InputTokens", "inputTokens", "promptTokens", "promptTokenCount"),
    *("prompt_token_count", "prompt_eval_count", "inputTokenCount", "request_tokens"),
)
"""Names under which providers, frameworks and logs write the number of tokens that a model read."""
WRITTEN_TOKENS = (
    *("completion_tokens", "output_tokens", "OutputTokens", "outputTokens", "completionTokens", "candidatesTokenCount"),
    *("candidates_token_count", "eval_count", "outputTokenCount", "response_tokens"),
)
"""The same for tokens that a model wrote."""


@frozen
class ModelUse:
    """What an object says that a model read and wrote.

    Attributes:
        model: its name; None where the object does not say it.
        input_tokens, output_tokens: tokens.
        cost: US dollars; None where the object does not say it.
    """

    model: str | None
    input_tokens: int
    output_tokens: int
    cost: float | None = None


_USAGES = ("usage_metadata", "usage", "usage_metrics", "token_usage")
_MOST_TOKENS = 10**12
_MODELS = ("model", "model_name", "model_version", "modelVersion")


def uses_of(value: Any) -> list[ModelUse]:
    """What an answer says that models took for it: an object of a framework, a provider's answer, or several of them.

    Empty for values that do not say it.
    """
    if isinstance(value, str):
        return []
    if isinstance(value, (list, tuple)):
        return [use for item in cast("Sequence[object]", value) for use in uses_of(item)]
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        messages = fields.get("messages")
        if "role" not in fields and isinstance(messages, list):
            return uses_of(after_user(cast("list[object]", messages)))
        return uses_in(fields)
    return _uses_of_object(value)


def _uses_of_object(value: Any) -> list[ModelUse]:
    responses = _field(value, "raw_responses")
    if isinstance(responses, list):
        named = _field(_field(value, "last_agent"), "model")
        model = named if isinstance(named, str) else _word(_field(named, "model"))
        return [use for item in cast("list[object]", responses) for use in uses_in(item, model)]
    if framework_of(value) == "pydantic_ai" and callable(getattr(value, "new_messages", None)):
        return [use for item in value.new_messages() for use in uses_in(item)]
    return uses_in(value)


def uses_in(value: object, model: str | None = None) -> list[ModelUse]:
    """The usage that one object reports, under the given model name if the object names none."""
    for name in _USAGES:
        usage = _field(value, name)
        read, written = _first(usage, READ_TOKENS), _first(usage, WRITTEN_TOKENS)
        if not _is_count(read) or not _is_count(written) or not read + written:
            continue
        told = next((word for key in _MODELS if (word := _word(_field(value, key)))), None)
        told = told or _word(_field(_field(value, "response_metadata"), "model_name")) or model
        return [ModelUse(model=told, input_tokens=read, output_tokens=written, cost=_amount(_field(usage, "cost")))]
    return []


def _first(value: object, names: Iterable[str]) -> object:
    return next((found for name in names if (found := _field(value, name)) is not None), None)


def _field(value: object, name: str) -> object:
    """A field of a mapping or an object; None where there is none, or where it cannot be read."""
    if value is None or isinstance(value, (str, int, float)):
        return None
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value).get(name)
    try:
        found: object = getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody else's object
        return None
    return None if callable(found) else found


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _amount(value: object) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = float(cast("Any", value))
    except (TypeError, ValueError):
        return None
    return amount if amount >= 0 else None
