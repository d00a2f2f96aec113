"""``local``: a small language model on this machine, as a model like any other, and one that can continue a text.

Here a request becomes the engine's, and its answer becomes ours; ``_engine`` finds or starts the server. A small model
writes better continuations than answers: see the local models guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, Unpack

from duologue.context import Clock
from duologue.errors import ConfigurationError, ModelAnswerError
from duologue.messages import Message, assistant_message
from duologue.models.base import COMPLETION_DEFAULTS, Completion, CompletionOptions, ModelAnswer, ModelRequest
from duologue.models.local._engine import OPTIONS, Engine
from duologue.models.local._launcher import STARTUP_TIMEOUT, require_engine
from duologue.models.local._steps import StepError, answer_schema, plain_messages, read_step, uses_tools
from duologue.models.local._weights import Weights, find
from duologue.settings import DEFAULT_MODEL_TIMEOUT, ModelConfig

DEFAULT_MAX_TOKENS = 512
"""A small model does not always find an end by itself."""
_OWN_OPTIONS = {*OPTIONS, "path", "timeout", "startup_timeout"}
_CUT_OFF = "length"


class LocalModel:
    """A local model. Making one starts nothing; the first question does.

    Args:
        weights: what :func:`find` found.
        options: ``context`` (tokens), ``slots``, ``threads`` and ``idle_seconds`` of the server; what is not given is
            taken from ``DUOLOGUE_LOCAL_CONTEXT`` and so on, else from ``ServerOptions``.
        temperature, max_tokens: for requests that do not say.
        timeout: seconds that one request may take, once it is its turn.
        startup_timeout: seconds that loading the weights may take without making progress.
        extra: sent to the engine with every request, such as ``top_p`` or ``cache_prompt``.
        clock: measures how long an answer took.

    Raises:
        ConfigurationError: an option is invalid.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        options: Mapping[str, Any] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timeout: float = DEFAULT_MODEL_TIMEOUT,
        startup_timeout: float = STARTUP_TIMEOUT,
        extra: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._engine = Engine(weights, options, timeout=timeout, startup_timeout=startup_timeout, clock=clock)
        self._temperature = temperature
        self._max_tokens = max_tokens or DEFAULT_MAX_TOKENS
        self._extra = {"cache_prompt": True, **(extra or {})}

    @classmethod
    def from_config(cls, config: ModelConfig | str = "local") -> Self:
        """The model that a setting names: ``local``, ``local:NAME``, ``local:/path/to/model.gguf``.

        Fields of the setting that ``ModelConfig`` does not list are options (``path``, ``context``, ``slots``,
        ``threads``, ``idle_seconds``, ``timeout``, ``startup_timeout``); the rest goes with every request.

        Raises:
            MissingExtraError: the engine is not installed.
            ConfigurationError: the weights are not on this machine, or an option is invalid.
        """
        config = config if isinstance(config, ModelConfig) else ModelConfig(model=config)
        given = config.extra
        weights = find(config.model, path=given.get("path"))
        require_engine()
        return cls(
            weights,
            options=given,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            timeout=_seconds(given, "timeout", DEFAULT_MODEL_TIMEOUT),
            startup_timeout=_seconds(given, "startup_timeout", STARTUP_TIMEOUT),
            extra={key: value for key, value in given.items() if key not in _OWN_OPTIONS},
        )

    @property
    def name(self) -> str:
        """Such as ``local/qwen2.5-coder-0.5b-instruct``."""
        return self._engine.name

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Answer a conversation; tools and schemas are enforced by the engine's grammar.

        Raises:
            ModelError: no answer, or one that was cut off before it followed the schema.
        """
        answered = await self._engine.ask("/v1/chat/completions", self._chat_payload(request))
        reply = answered.reply
        if reply.finish_reason == _CUT_OFF and answer_schema(request) is not None:
            raise ModelAnswerError(
                f"{self.name} was cut off after {reply.usage.output_tokens} tokens, before its JSON was complete; "
                "raise max_tokens",
                model=self.name,
            )
        message = self._message(reply.text, request)
        return ModelAnswer(
            message=message,
            usage=reply.usage,
            cost=0.0,
            seconds=answered.seconds,
            model=self.name,
            attempts=answered.attempts,
            finish_reason="tool_calls" if message.get("tool_calls") else reply.finish_reason,
        )

    async def complete(self, prompt: str, **options: Unpack[CompletionOptions]) -> Completion:
        """Continue a text. What two prompts have in common at their beginning is read once (``cache_prompt``).

        Raises:
            ModelError: no answer.
        """
        given: dict[str, Any] = {**COMPLETION_DEFAULTS, **options}
        payload: dict[str, Any] = {
            **self._extra,
            "prompt": prompt,
            "max_tokens": given["max_tokens"],
            "temperature": given["temperature"],
            **_if_given(stop=list(given["stop"]) or None, seed=given["seed"], logprobs=given["logprobs"] or None),
        }
        answered = await self._engine.ask("/v1/completions", payload)
        reply = answered.reply
        return Completion(
            text=reply.text,
            usage=reply.usage,
            cost=0.0,
            seconds=answered.seconds,
            logprobs=tuple(reply.logprobs),
        )

    def _chat_payload(self, request: ModelRequest) -> dict[str, Any]:
        schema = answer_schema(request)
        form = None if schema is None else {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        return {
            **self._extra,
            **request.extra,
            "messages": plain_messages(request),
            "max_tokens": request.max_tokens or self._max_tokens,
            **_if_given(
                temperature=self._temperature if request.temperature is None else request.temperature,
                stop=list(request.stop) or None,
                seed=request.seed,
                response_format=form,
            ),
        }

    def _message(self, text: str, request: ModelRequest) -> Message:
        if not uses_tools(request):
            return assistant_message(text)
        try:
            return read_step(text, request)
        except StepError as error:
            raise ModelAnswerError(f"{self.name} wrote no step: {error}: {text[:500]}", model=self.name) from error


def _if_given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _seconds(given: Mapping[str, Any], key: str, default: float) -> float:
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ConfigurationError(f"The option '{key}' of the local model is {value!r}, expected seconds above 0")
    return float(value)


def load_local(reference: str, config: ModelConfig) -> LocalModel:
    """The model that ``local/REFERENCE`` stands for; the entry point ``local``."""
    name = ":".join(filter(None, ("local", reference)))
    return LocalModel.from_config(config.model_copy(update={"model": name}))
