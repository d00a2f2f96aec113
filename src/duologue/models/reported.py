"""What a participant says that its own model calls took, which Duologue did not make and cannot count itself."""

from __future__ import annotations

from duologue.errors import ConfigurationError
from duologue.journal.events import ModelCalled, Usage
from duologue.models.prices import cost_by_model
from duologue.models.scope import Amount, RunScope

UNKNOWN_MODEL = "unknown"
"""What a journal calls a model that was not named."""
_MAX_NAME = 200
"""Characters of a model's name that are kept."""
_MAX_TOKENS = 10**12


def report_usage(
    scope: RunScope,
    *,
    input_tokens: int = 0,
    output_tokens: int = 0,
    model: str | None = None,
    cost: float | None = None,
    seconds: float = 0.0,
    attempts: int = 1,
    finish_reason: str | None = None,
) -> None:
    """Put one model call of a participant into the journal, and count it against the run's budget.

    Args:
        scope: of the participant's call.
        input_tokens, output_tokens: that the model read and wrote.
        model: its name, such as ``gpt-5-mini`` or ``openai/gpt-5-mini``.
        cost: US dollars; None for the price that the packaged list knows for that model, if it knows one.
        seconds: that the call took.
        attempts: how often the model was asked.
        finish_reason: why its answer ended, such as ``length``.

    Raises:
        ConfigurationError: a number is below 0, or is none.
    """
    for name, count in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
        if not isinstance(count, int) or not 0 <= count <= _MAX_TOKENS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"report_usage: {name} must be a whole number, 0 or more; found {count!r}")
    for name, amount in (("cost", cost), ("seconds", seconds)):
        if amount is not None and not 0 <= amount < float("inf"):
            raise ConfigurationError(f"report_usage: {name} must be a number, 0 or more; found {amount!r}")
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    if cost is None and model:
        cost = cost_by_model(model, usage, scope.context.clock.now())
    if scope.ledger is not None:
        scope.ledger.settle(Amount(), Amount(money=cost or 0.0, tokens=usage.total_tokens))
    if scope.journal is None:
        return
    event = ModelCalled(
        asker=scope.who,
        turn=scope.turn,
        model=(model or UNKNOWN_MODEL)[:_MAX_NAME],
        request_digest="",
        usage=usage,
        cost=cost,
        seconds=seconds,
        attempts=attempts,
        call=scope.next_call(),
        participant=scope.participant,
        finish_reason=finish_reason,
    )
    scope.journal.append(event)
