"""Which model a participant uses, and with which settings: its own arguments over the process-wide defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import Any

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import Message
from duologue.models.base import Model, ModelRequest, ToolChoice, ToolSpec
from duologue.models.names import inferred, parse_name
from duologue.models.options import understood
from duologue.models.resolve import resolve
from duologue.settings import ModelConfig, ScenarioConfig


@frozen
class ModelChoice:
    """A model that has been chosen, with the settings for every request.

    Attributes:
        name: full name as it was written; the model itself is only resolved when it is first used.
        source: a configuration to resolve, or the model itself.
        temperature, max_tokens: for requests that name none; None leaves it to the provider.
        extra: options of the provider, passed on as they are.
    """

    name: str
    source: ModelConfig | Model = field(repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def model(self) -> Model:
        """The model. Raises what :func:`duologue.models.resolve` raises."""
        return resolve(self.source)

    def request(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        tool_choice: ToolChoice = "auto",
        response_schema: dict[str, Any] | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> ModelRequest:
        """A request with the settings of this choice; see :class:`duologue.models.base.ModelRequest` for the arguments.

        Args:
            temperature, max_tokens: in place of those of the choice; None keeps them.
        """
        return ModelRequest(
            messages=tuple(messages),
            tools=tuple(tools),
            tool_choice=tool_choice,
            response_schema=response_schema,
            temperature=self.temperature if temperature is None else temperature,
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            stop=tuple(stop),
            seed=seed,
            extra=dict(self.extra),
        )


def choose(
    model: str | ModelConfig | Model | None = None,
    *,
    api_base: str | None = None,
    api_key: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    extra: Mapping[str, Any] | None = None,
    purpose: str = "model",
) -> ModelChoice:
    """Choose a model: an argument comes before ``configure(default_model=…)``; 0 and 0.0 are values like any other.

    From a default model of the same provider everything is taken over that is not given here, from one of another
    provider only temperature and max_tokens: its address, key and options would be wrong there.

    Args:
        model: name, configuration or object; None for the default model.
        api_base, api_key: of an OpenAI-compatible server; go with a name.
        temperature, max_tokens: sampling.
        extra: options of the provider; come over those of the configuration.
        purpose: who asks, for the error message.

    Raises:
        ConfigurationError: no model anywhere, or api_base or api_key together with a model object.
    """
    given = {"api_base": api_base, "api_key": api_key, "temperature": temperature, "max_tokens": max_tokens}
    base = _base(model, purpose)
    if isinstance(base, ModelConfig):
        update = {name: value for name, value in {**given, **(extra or {})}.items() if value is not None}
        config = understood(base.model_copy(update=update))
        return ModelChoice(
            name=config.model,
            source=config,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            extra=config.extra,
        )
    if api_base or api_key:
        raise ConfigurationError(f"{purpose}: api_base and api_key go with the name of a model, not with an object")
    source = resolve(base)
    return ModelChoice(
        name=source.name, source=source, temperature=temperature, max_tokens=max_tokens, extra=dict(extra or {})
    )


def require_model(choice: ModelChoice) -> None:
    """Look for what the model needs here, such as a key or a package; it is asked nothing.

    Raises:
        ConfigurationError: something is missing.
    """
    model = choice.model
    prepare: Callable[[], object] | None = getattr(model, "prepare", None)
    if prepare is not None:  # it is made when it is first asked
        prepare()


def _base(model: str | ModelConfig | Model | None, purpose: str) -> ModelConfig | Model:
    default = _default()
    if model is None:
        if default is None:
            raise _no_model(purpose)
        return default
    if not isinstance(model, str):
        return model
    if default is None:
        return ModelConfig(model=model)
    before, now = parse_name(default.model), parse_name(model)
    if before.provider == now.provider or inferred(before).provider == inferred(now).provider:
        return default.model_copy(update={"model": model})
    return ModelConfig(model=model, temperature=default.temperature, max_tokens=default.max_tokens)


def _default() -> ModelConfig | None:
    config = ScenarioConfig.default_config
    default = config.default_model if config else None
    return ModelConfig(model=default) if isinstance(default, str) else default


def _no_model(purpose: str) -> ConfigurationError:
    return ConfigurationError(
        f"{purpose} needs a language model and none is set. Pass model=…, or set one for all with "
        "duologue.configure(default_model='openai/gpt-5-mini'). Without a key: default_model='local' plays on this "
        "machine, and duologue.ScriptedUser and duologue.AgendaUser need no model at all."
    )
