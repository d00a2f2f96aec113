"""The tokens that an agent's answer reports, in the dialects of providers and frameworks.

Chat completions, Responses, Anthropic, Bedrock, Gemini, Cohere, Ollama, the Vercel AI SDK, LangChain's messages and
Dify write them in places and under names of their own. An answer that says nothing has no usage: nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from duologue.agents.http.completions import fields_of
from duologue.frozen import frozen
from duologue.message_shapes import READ_TOKENS, WRITTEN_TOKENS

Fields = Mapping[str, object]

_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
"""What Gemini counts beside the tokens of its answer; others count it among them."""
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""What Anthropic counts beside ``input_tokens``; others count it among them."""
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount", "total_token_count")
_COST = ("cost", "total_cost", "cost_usd", "total_cost_usd", "response_cost")
_PLACES = (
    *("usage", "usage_metadata", "usageMetadata", "token_usage", "tokenUsage", "tokens", "billed_units"),
    *("metadata", "meta", "response_metadata", "response", "message", "result", "data", "output", "llm_output"),
)
"""Fields under which usage is written, or under which the fields are that hold it."""
_MODELS = ("model", "model_name", "modelVersion", "modelId", "model_id")
_DEEPEST = 4
_MOST = 10**12


@frozen
class ReportedUsage:
    """The usage that an answer reports.

    Attributes:
        input_tokens, output_tokens: as far as they are known.
        model: that it names; '' for none.
        cost: US dollars, where the answer says so itself.
        split: whether it is known what was read and what was written; otherwise all of it counts as read.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    cost: float | None = None
    split: bool = True

    def __add__(self, other: ReportedUsage) -> ReportedUsage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return ReportedUsage(
            input_tokens=min(self.input_tokens + other.input_tokens, _MOST),
            output_tokens=min(self.output_tokens + other.output_tokens, _MOST),
            model=other.model or self.model,
            cost=sum(costs) if costs else None,
            split=self.split and other.split,
        )


def usage_of(body: object, messages: Iterable[object] = ()) -> ReportedUsage | None:
    """The usage that a whole answer reports; None if it reports none.

    Args:
        body: of the answer.
        messages: those of the agent's turn, as they came: where the answer itself says nothing, the usage that stands
            in them is added up, as LangChain writes it.
    """
    found = _in(fields_of(body), 0)
    if found is None:
        for message in messages:
            said = _in(fields_of(message), 0)
            found = said if found is None else found if said is None else found + said
    if found is None or found.model:
        return found
    return found + ReportedUsage(model=model_of(body))


def model_of(body: object) -> str:
    """The model that an answer names; '' for none."""
    fields = fields_of(body)
    for held in (fields, *(fields_of(fields.get(name)) for name in ("response", "message", "response_metadata"))):
        for name in _MODELS:
            if isinstance(value := held.get(name), str) and value:
                return value
    return ""


def _in(fields: Fields, depth: int) -> ReportedUsage | None:
    read, written = _count(fields, READ_TOKENS), _count(fields, WRITTEN_TOKENS)
    if read is not None or written is not None:
        more = sum(_count(fields, (name,)) or 0 for name in _CACHED)
        return ReportedUsage(
            input_tokens=min((read or 0) + more, _MOST),
            output_tokens=min((written or 0) + (_count(fields, _THOUGHTS) or 0), _MOST),
            model=model_of(fields),
            cost=_amount(fields, _COST),
        )
    if (total := _count(fields, _TOTAL)) is not None:
        return ReportedUsage(input_tokens=total, cost=_amount(fields, _COST), split=False)
    if depth == _DEEPEST:
        return None
    for name in _PLACES:
        held = fields_of(fields.get(name))
        if held and (found := _in(held, depth + 1)) is not None:
            return found + ReportedUsage(model=found.model or model_of(fields))
    return None


def _count(fields: Fields, names: Iterable[str]) -> int | None:
    """A number of tokens; servers write it as 12, 12.0 or '12', and null or -1 where they do not know it."""
    for name in names:
        number = _number(fields.get(name))
        if number is not None and number == int(number):
            return int(number)
    return None


def _amount(fields: Fields, names: Iterable[str]) -> float | None:
    for name in names:
        if (number := _number(fields.get(name))) is not None:
            return number
    return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= _MOST else None  # not for NaN either
