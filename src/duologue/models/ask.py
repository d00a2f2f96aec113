"""Ask a model on behalf of a participant: timed, paid for, recorded, replayed.

Whatever a participant asks a model goes through here. In order: the call is set aside in the budget, answered by the
run's cassette or by the model within its timeout, settled, and written into the journal whether it succeeded or not.
A run that is resumed is answered from its own journal as far as that goes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast

from pydantic import TypeAdapter

from duologue import errors
from duologue.errors import ConfigurationError, ModelError, ModelTimeoutError
from duologue.frozen import changed, frozen, maker
from duologue.journal.events import ModelCalled, Usage
from duologue.messages import assistant_message, has_plain_text, mended
from duologue.models.base import (
    COMPLETION_DEFAULTS,
    Completion,
    CompletionModel,
    CompletionOptions,
    Model,
    ModelAnswer,
    ModelRequest,
)
from duologue.models.prices import cost_beforehand
from duologue.models.scope import CALL_DEADLINE, Amount, Reservation, RunScope, estimate_tokens, tokens_at_most

if TYPE_CHECKING:
    from duologue.journal.journal import Journal

T = TypeVar("T", ModelAnswer, Completion)

_QUOTE: Callable[[str], str] = json.encoder.encode_basestring
_ENCODE = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode

_adapter = lru_cache(TypeAdapter)
"""What validates values of a class that were written down."""


async def ask(model: Model, request: ModelRequest, scope: RunScope) -> ModelAnswer:
    """Ask a model to answer messages.

    Raises:
        ModelTimeoutError: no answer within ``scope.model_timeout`` seconds, retries included, standing in line for the
            provider not.
        ModelError: whatever else went wrong.
        BudgetExceededError: there is not enough left for this call.
        CassetteMissError: the run is replayed, and this request was not recorded.
    """
    question = _Question(
        model=model,
        data=_request_as_data(model.name, request),
        tokens=lambda: tokens_at_most(request),
        live=lambda: _unicode(model.answer(request)),
        to_data=answer_as_data,
        from_data=answer_from_data,
        seen_as=lambda answer: answer,
        recorded=answer_of,
    )
    return await _put(question, scope)


async def ask_completion(
    model: CompletionModel,
    prompt: str,
    scope: RunScope,
    **options: Unpack[CompletionOptions],
) -> Completion:
    """Ask a model to continue a text: takes what ``CompletionModel.complete`` takes, raises what :func:`ask` does."""
    given: dict[str, Any] = {**COMPLETION_DEFAULTS, **options}
    question = _Question(
        model=model,
        data={"model": model.name, "prompt": prompt, **given},
        tokens=lambda: (estimate_tokens(prompt, round_up=True), given["max_tokens"]),
        live=lambda: model.complete(prompt, **given),
        to_data=_completion_as_data,
        from_data=_completion_from_data,
        seen_as=lambda completion: _completion_as_answer(model.name, completion),
        recorded=_completion_of,
    )
    return await _put(question, scope)


async def _unicode(answering: Awaitable[ModelAnswer]) -> ModelAnswer:
    """The answer as messages can hold it; a custom model may return half a character where it cuts a text."""
    answer = await answering
    if answer.refusal is None and has_plain_text(answer.message):
        return answer
    texts = {"message": answer.message, "refusal": answer.refusal}
    mended_texts = {name: whole for name, text in texts.items() if (whole := mended(text)) != text}
    return replace(answer, **mended_texts) if mended_texts else answer


def request_digest(model: str, request: ModelRequest) -> str:
    """A name for this very question to this very model: the same wherever and whenever it is asked."""
    return _digest(_request_as_data(model, request))


def answer_as_data(answer: ModelAnswer) -> dict[str, Any]:
    """An answer as plain JSON data."""
    return asdict(answer)


def answer_from_data(data: dict[str, Any]) -> ModelAnswer:
    """The answer that :func:`answer_as_data` wrote."""
    return _adapter(ModelAnswer).validate_python(data)


def _request_as_data(model: str, request: ModelRequest) -> dict[str, Any]:
    """The request as plain data. Shallow: it is only read, and copying a long conversation would take its time."""
    return {"model": model, **vars(request), "tools": [vars(tool) for tool in request.tools]}


@frozen
class _Question(Generic[T]):
    """Something to ask a model, whatever the shape of its answer.

    Attributes:
        data: the question as plain data: what its digest is made of.
        tokens: counts those that may be read and written at most, where something is limited.
        live: asks the model.
        to_data, from_data: the answer on a cassette, and back.
        seen_as: the answer as the journal shows it.
        recorded: the answer that a journal holds.
    """

    model: Model
    data: dict[str, Any]
    tokens: Callable[[], tuple[int, int]]
    live: Callable[[], Awaitable[T]]
    to_data: Callable[[T], dict[str, Any]]
    from_data: Callable[[dict[str, Any]], T]
    seen_as: Callable[[T], ModelAnswer]
    recorded: Callable[[ModelCalled], T]


async def _put(question: _Question[T], scope: RunScope) -> T:
    call, journal = scope.next_call(), scope.journal
    if journal is not None:
        if journal.recorded is not None and (known := await _recorded(journal, call, question, scope)) is not None:
            return known
        if journal.pending:
            await journal.flush()
    started = scope.context.clock.monotonic()
    reservation = _set_aside(question, scope)
    try:
        answer = await _answer(question, scope)
    except BaseException as error:
        if reservation:
            reservation.release()
        if isinstance(error, ModelError):
            await _record(_failed(question, call, scope, scope.context.clock.monotonic() - started, error), scope)
        raise
    seen = question.seen_as(answer)
    if reservation:
        if seen.cost is None and not (seen.usage.input_tokens and seen.usage.output_tokens):
            reservation.keep()  # nobody knows what it used, or only one side of it
        else:
            reservation.settle(Amount(money=seen.cost or 0.0, tokens=seen.usage.total_tokens))
    await _record(_answered(question, call, scope, seen), scope)
    return changed(answer, call=call) if journal is not None else answer


async def _recorded(journal: Journal, call: str, question: _Question[T], scope: RunScope) -> T | None:
    """The answer that the run had before it was interrupted; None if it had none.

    Raises:
        ModelError: the model failed then.
        ResumeError: something else was asked then.
    """
    from duologue.journal.outcomes import outcome_of

    differs = (
        f"call {call} of {scope.who} does not ask {question.model.name} what it asked before the run was interrupted"
    )
    event = await outcome_of(
        journal, call, ModelCalled, lambda was: "" if was.request_digest == _digest(question.data) else differs
    )
    if event is None:
        return None
    if event.error is not None:
        raise _error_of(event)
    if scope.cassette is not None:
        scope.cassette.pass_over("model", question.data)
    return replace(question.recorded(event), call=call)


def _error_of(event: ModelCalled) -> ModelError:
    """The failure that was recorded, in its own class."""
    name, _, text = (event.error or "").partition(": ")
    found = getattr(errors, name, ModelError)
    return (found if isinstance(found, type) and issubclass(found, ModelError) else ModelError)(text, model=event.model)


async def _answer(question: _Question[T], scope: RunScope) -> T:
    """From the run's cassette if it has one, else from the model."""
    if scope.cassette is None:
        return await _live(question, scope)

    async def live() -> dict[str, Any]:
        return question.to_data(await _live(question, scope))

    return question.from_data(await scope.cassette.play("model", question.data, live))


async def _live(question: _Question[T], scope: RunScope) -> T:
    if getattr(question.model, "answers_at_once", False):
        return await question.live()
    patience: float | None = getattr(question.model, "timeout", None) or scope.model_timeout
    from asyncio import timeout

    deadline = timeout(patience)
    before = CALL_DEADLINE.set(deadline)
    try:
        async with deadline:
            return await question.live()
    except TimeoutError as error:
        if not deadline.expired():
            raise ModelTimeoutError(
                f"{question.model.name}: {error or 'timed out'}", model=question.model.name
            ) from error
        name = question.model.name
        raise ModelTimeoutError(
            f"{name} did not answer within {patience:g} s; raise model_timeout if it is slow", model=name
        ) from error
    finally:
        CALL_DEADLINE.reset(before)


def _set_aside(question: _Question[T], scope: RunScope) -> Reservation | None:
    """What the call may cost at most."""
    ledger = scope.ledger
    if ledger is None:
        return None
    read, written = question.tokens()
    price: float | None = 0.0
    if ledger.limits_money:
        usage = Usage(input_tokens=read, output_tokens=written)
        price = cost_beforehand(question.model, usage, scope.context.clock.now())
    if price is None:
        raise ConfigurationError(
            f"no price is known for the model '{question.model.name}', so a budget in money cannot be kept with it; "
            "limit tokens instead: Budget(tokens=…)"
        )
    return ledger.reserve(Amount(money=price, tokens=read + written))


async def _record(event: ModelCalled, scope: RunScope) -> None:
    if scope.journal is not None:
        if scope.journal.recorded is not None:
            await scope.journal.caught_up()
        scope.journal.append(event)


def _answered(question: _Question[Any], call: str, scope: RunScope, seen: ModelAnswer) -> ModelCalled:
    return maker(ModelCalled)(
        asker=scope.who,
        turn=scope.turn,
        model=seen.model or question.model.name,
        request_digest=_digest(question.data),
        response=seen.message,
        usage=seen.usage,
        cost=seen.cost,
        seconds=seen.seconds,
        attempts=seen.attempts,
        call=call,
        participant=scope.participant,
        finish_reason=seen.finish_reason,
        refusal=seen.refusal,
        logprobs=seen.logprobs,
    )


def _failed(question: _Question[Any], call: str, scope: RunScope, seconds: float, error: ModelError) -> ModelCalled:
    return ModelCalled(
        asker=scope.who,
        turn=scope.turn,
        model=question.model.name,
        request_digest=_digest(question.data),
        seconds=seconds,
        error=f"{type(error).__name__}: {error}",
        call=call,
        participant=scope.participant,
    )


def answer_of(event: ModelCalled) -> ModelAnswer:
    """The answer that was recorded in a journal."""
    return ModelAnswer(
        message=event.response or assistant_message(""),
        usage=event.usage,
        cost=event.cost,
        seconds=event.seconds,
        model=event.model,
        attempts=event.attempts,
        finish_reason=event.finish_reason,
        refusal=event.refusal,
        logprobs=event.logprobs,
    )


def _as_json(question: dict[str, Any]) -> str:
    """The text of ``_ENCODE``, in a third of its time for the messages and defaults that most questions have."""
    members = [f"{_QUOTE(name)}: {_member_as_json(question[name])}" for name in sorted(question)]
    return f"{{{', '.join(members)}}}"


def _member_as_json(value: object) -> str:
    if value is None:
        return "null"
    if type(value) is str:
        return _QUOTE(value)
    if type(value) is tuple or type(value) is list:
        return f"[{', '.join([_message_as_json(item) for item in cast('Sequence[object]', value)])}]"
    return _ENCODE(value)


def _message_as_json(message: object) -> str:
    if type(message) is dict:
        given = cast("dict[str, object]", message)
        role, content = given.get("role"), given.get("content")
        if len(given) == 2 and type(role) is str and type(content) is str:
            return f'{{"content": {_QUOTE(content)}, "role": {_QUOTE(role)}}}'
    return _ENCODE(message)


def _completion_as_data(completion: Completion) -> dict[str, Any]:
    return asdict(completion)


def _completion_from_data(data: dict[str, Any]) -> Completion:
    return _adapter(Completion).validate_python(data)


def _completion_of(event: ModelCalled) -> Completion:
    answer = answer_of(event)
    return Completion(
        text=answer.text, usage=answer.usage, cost=answer.cost, seconds=answer.seconds, logprobs=answer.logprobs
    )


def _completion_as_answer(model: str, completion: Completion) -> ModelAnswer:
    return ModelAnswer(
        message=assistant_message(completion.text),
        usage=completion.usage,
        cost=0.0,
        seconds=completion.seconds,
        model=model,
        logprobs=completion.logprobs,
    )


def _digest(question: dict[str, Any]) -> str:
    text = _as_json(question)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
