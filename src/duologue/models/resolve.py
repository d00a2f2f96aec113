"""Which model a name stands for.

========================================  ============================================================================
``openai/gpt-5-mini``                     that provider; ``openai:gpt-5-mini`` means the same
``gpt-…``, ``claude-…``, ``gemini-…``     the provider that alone has models of such a name
``anything/name`` with ``api_base``       the OpenAI-compatible server at that address
``local``, ``local/REFERENCE``            a language model on this machine
``mock/echo``, ``mock/fixed:TEXT``, …     no language model: see ``duologue.models.scripted``
``PREFIX/…``                              what another package offers as the entry point PREFIX of ``duologue.models``
========================================  ============================================================================

Models are kept for the life of the process, so that all who use the same name share its connections; those that are
made from the secrets of a project are kept for that project, until its secrets change. How real providers are built is
told in ``openai_compatible`` and ``_through_pydantic_ai``.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from duologue.config.access import access
from duologue.config.entry_points import load_registered, registered_names
from duologue.errors import ConfigurationError, MissingExtraError, UnknownModelError
from duologue.models.base import Model
from duologue.models.names import (
    EXTRAS,
    OLDEST_PYDANTIC_AI,
    PROVIDERS,
    ModelName,
    UnknownProviderError,
    inferred,
    nearest,
    parse_name,
)
from duologue.models.options import understood
from duologue.settings import ModelConfig

if TYPE_CHECKING:
    from pydantic_ai.models import Model as PydanticAIModel

    from duologue.models.provider import ProviderClient, ProviderModel

ENTRY_POINTS = "duologue.models"
"""Group of the entry points that packages, this one included, add models with: each is a :data:`Loader`."""
Loader = Callable[[str, ModelConfig], Model]
"""Makes a model from the rest of its name and its configuration."""

_Key = tuple[str, str | None, str | None, str]
_models: dict[_Key, Model] = {}
_lock = threading.Lock()


def resolve(
    model: str | ModelConfig | Model | PydanticAIModel,
    *,
    api_base: str | None = None,
    api_key: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Model:
    """The model that a name, a configuration or an object stands for.

    Args:
        model: a name (see above), a ModelConfig, a Duologue model (given back as it is) or a pydantic-ai model object,
            which is used as it is and so belongs to the event loop on which it is used.
        api_base: address of an OpenAI-compatible server, in place of the provider's own.
        api_key: in place of the provider's environment variable.
        extra: options of the provider for every request.

    Raises:
        UnknownModelError: nothing answers to that name.
        MissingKeyError: the provider needs a key and none is set.
        MissingExtraError: the provider's package is not installed.
        ConfigurationError: anything else that the provider needs.
    """
    if isinstance(model, str | ModelConfig):
        config = model if isinstance(model, ModelConfig) else ModelConfig(model=model)
        given = {"api_base": api_base, "api_key": api_key, **(extra or {})}
        return _kept(config.model_copy(update={name: value for name, value in given.items() if value is not None}))
    if api_base or api_key:
        raise ConfigurationError("api_base and api_key go with the name of a model; a model object has its own")
    from duologue.models.provider import ProviderModel

    if _is_client(model):
        _require_pydantic_ai(f"a model object such as {type(model).__name__}")
        from duologue.models._through_pydantic_ai import PydanticAIClient

        return ProviderModel(f"{model.system}/{model.model_name}", PydanticAIClient(model), extra=extra)
    if isinstance(model, Model):
        return model.with_extra(extra) if extra and isinstance(model, ProviderModel) else model
    raise ConfigurationError(
        f"a model is expected: a name such as 'openai/gpt-5-mini', a ModelConfig, a duologue.models.Model or a "
        f"pydantic-ai model; found {type(model).__name__}"
    )


def forget_models() -> None:
    """Resolve every name afresh from now on, as after a change of the environment."""
    with _lock:
        _models.clear()


def _kept(config: ModelConfig) -> Model:
    config = understood(config)
    name = parse_name(config.model.strip())
    if not config.api_base:
        name = inferred(name)
    options = json.dumps(config.extra, sort_keys=True, default=str)
    key = (str(name), config.api_base, config.api_key, options)
    models = _models_now(name)
    model = models.get(key)
    if model is None:
        # Built outside the lock: that may take a while. Who comes second takes what came first.
        built = _build(name, config)
        with _lock:
            model = models.setdefault(key, built)
    return model


def _models_now(name: ModelName) -> dict[_Key, Model]:
    """The models that are kept for whoever may use the same variables: keys and addresses of models are in them."""
    now = access()
    if now.values is None or name.provider == "local":
        return _models
    return cast("dict[_Key, Model]", now.kept)


def _build(name: ModelName, config: ModelConfig) -> Model:
    if not name.reference and name.provider != "local":
        raise _unknown(config.model, name)
    # The metadata of other packages is only read for a name that is not known here.
    known = name.provider in PROVIDERS or not name.provider
    loader: Loader | None = None if known else load_registered(ENTRY_POINTS, name.provider)
    if loader:
        return loader(name.reference, config)
    if config.extra.keys() - {"api_version"}:
        return _plain(config).with_extra(config.extra)
    return _provider_model(name, config)


def _plain(config: ModelConfig) -> ProviderModel:
    from duologue.models.provider import ProviderModel

    # The version of an API is part of its address.
    address = {name: value for name, value in config.extra.items() if name == "api_version"}
    plain = _kept(ModelConfig(model=config.model, api_base=config.api_base, api_key=config.api_key, **address))
    assert isinstance(plain, ProviderModel)
    return plain


def _provider_model(name: ModelName, config: ModelConfig) -> ProviderModel:
    from duologue.models.provider import ProviderModel

    provider = name.provider or "openai"
    if not name.provider and not config.api_base:
        raise _unknown(config.model, name)
    named = ModelName(provider=provider, reference=name.reference)
    try:
        client = client_for(named, config)
    except UnknownProviderError:
        raise _unknown(config.model, name) from None
    return ProviderModel(str(named), client)


def client_for(name: ModelName, config: ModelConfig) -> ProviderClient:
    """What sends requests to that model.

    Raises:
        UnknownProviderError: nobody knows the provider, and no ``api_base`` is given either.
        MissingKeyError, MissingExtraError, ConfigurationError: what the provider needs is not there.
    """
    from duologue.models import openai_compatible

    if config.api_base or name.provider in openai_compatible.HOSTS:
        return openai_compatible.client_for(name, config)
    if find_spec("pydantic_ai") is None:
        extra = name.provider.removeprefix("gateway/").partition("-")[0]
        if extra not in EXTRAS:
            raise UnknownProviderError(name.provider)
        raise MissingExtraError(f"the model '{name}'", extra, "pydantic-ai-slim")
    _require_pydantic_ai(f"the model '{name}'")
    from duologue.models import _through_pydantic_ai

    return _through_pydantic_ai.client_for(name, config)


def _require_pydantic_ai(feature: str) -> None:
    """Refuse a version that is too old, as an environment may hold that was made for something else.

    Raises:
        ConfigurationError: it is.
    """
    oldest = ".".join(map(str, OLDEST_PYDANTIC_AI))
    try:
        found = version("pydantic-ai-slim")
    except PackageNotFoundError:  # put there without its metadata
        return
    numbers = tuple(int(part) for part in found.split(".")[: len(OLDEST_PYDANTIC_AI)] if part.isdecimal())
    if numbers < OLDEST_PYDANTIC_AI:
        raise ConfigurationError(
            f"{feature} needs pydantic-ai-slim {oldest} or newer, and {found} is installed. "
            f"Update it with: pip install --upgrade 'pydantic-ai-slim>={oldest}'"
        )


def _unknown(found: str, name: ModelName) -> UnknownModelError:
    others = registered_names(ENTRY_POINTS)
    guesses = [f"{name.provider}/…"] if name.provider and not name.reference else []
    guesses += [f"{provider}/{name.reference or '…'}" for provider in nearest(name, others)]
    if not name.provider:
        guesses = [f"openai/{name.reference}", f"local/{name.reference}"]
    meant = f" Did you mean {' or '.join(map(repr, dict.fromkeys(guesses)))}?" if guesses else ""
    return UnknownModelError(
        f"no model answers to '{found}'.{meant} Expected: provider/model such as 'openai/gpt-5-mini', 'local', "
        "'mock/echo', or any name together with api_base, the address of an OpenAI-compatible server."
    )


def _is_client(model: object) -> TypeGuard[PydanticAIModel]:
    # An object of pydantic-ai can only come from code that has imported it; asking must not.
    module = sys.modules.get("pydantic_ai.models")
    return module is not None and isinstance(model, module.Model)
