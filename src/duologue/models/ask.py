"""Ask a model on behalf of a participant: timed, bounded, and in the journal whether it answers or not."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict

from duologue.errors import ModelError, ModelTimeoutError
from duologue.journal.events import ModelCalled
from duologue.models.base import Model, ModelAnswer, ModelRequest
from duologue.models.scope import RunScope


async def ask(model: Model, request: ModelRequest, scope: RunScope) -> ModelAnswer:
    """Ask, and record the call.

    Raises:
        ModelTimeoutError: no answer within ``scope.model_timeout`` seconds, retries included.
        ModelError: whatever else went wrong.
    """
    started = scope.context.clock.monotonic()
    try:
        async with asyncio.timeout(scope.model_timeout):
            answer = await model.answer(request)
    except TimeoutError as error:
        failure = ModelTimeoutError(
            f"{model.name} did not answer within {scope.model_timeout:g} s; raise model_timeout if it is slow",
            model=model.name,
        )
        _record_failure(model, request, scope, started, failure)
        raise failure from error
    except ModelError as error:
        _record_failure(model, request, scope, started, error)
        raise
    if scope.journal:
        scope.journal.append(
            ModelCalled(
                asker=scope.who,
                turn=scope.turn,
                model=answer.model or model.name,
                request_digest=request_digest(model.name, request),
                response=answer.message,
                usage=answer.usage,
                cost=answer.cost,
                seconds=answer.seconds,
                attempts=answer.attempts,
            )
        )
    return answer


def request_digest(model: str, request: ModelRequest) -> str:
    """A name for this very question to this very model: the same wherever and whenever it is asked."""
    text = json.dumps({"model": model, **asdict(request)}, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _record_failure(model: Model, request: ModelRequest, scope: RunScope, started: float, error: ModelError) -> None:
    if scope.journal:
        scope.journal.append(
            ModelCalled(
                asker=scope.who,
                turn=scope.turn,
                model=model.name,
                request_digest=request_digest(model.name, request),
                seconds=scope.context.clock.monotonic() - started,
                error=f"{type(error).__name__}: {error}",
            )
        )
