"""How the pydantic-ai model of a real provider is built, and what is said when something is missing for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model as ProviderClient
from pydantic_ai.models import infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from duologue.errors import ConfigurationError, MissingExtraError, MissingKeyError
from duologue.models.names import ModelName
from duologue.settings import ModelConfig

_KINDS = {"openai": "openai-chat"}
"""Chat Completions takes a seed and stop texts, and is what compatible servers speak; see also openai-responses."""
EXTRAS = frozenset({"anthropic", "bedrock", "cohere", "google", "groq", "mistral", "openai"})
"""Extras of this package that bring a provider's own."""
_KEY_NAME = re.compile(r"`([A-Z][A-Z0-9_]*(?:KEY|TOKEN)[A-Z0-9_]*)`")
_EXTRA_NAME = re.compile(r"pydantic-ai-slim\[([\w-]+)\]")
_PACKAGE_NAME = re.compile(r"install (?:the )?`([\w.-]+)`")


class UnknownProviderError(Exception):
    """pydantic-ai has no such provider."""


def builder_of(name: ModelName, config: ModelConfig) -> Callable[[], ProviderClient]:
    """A function that makes a client for that model. One was made and thrown away, so that what is missing shows now.

    Raises:
        UnknownProviderError: no such provider, and no ``api_base`` either.
        MissingKeyError, MissingExtraError, ConfigurationError: what the provider needs is not there.
    """

    def build() -> ProviderClient:
        return _compatible(name, config) if config.api_base else _native(name, config)

    try:
        build()
    except ImportError as error:
        raise _missing_package(name, error) from error
    except UserError as error:
        raise _missing_setting(name, error) from error
    return build


def _compatible(name: ModelName, config: ModelConfig) -> ProviderClient:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    assert config.api_base
    key = config.api_key or os.environ.get(f"{re.sub(r'[^A-Z0-9]', '_', name.provider.upper())}_API_KEY")
    provider = OpenAICompatibleProvider(name.provider, base_url=config.api_base, api_key=key)
    # Servers other than OpenAI's own know max_tokens for sure, and its younger name perhaps.
    younger_name = name.provider in {"openai", "azure"}
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=younger_name)
    return OpenAIChatModel(name.reference, provider=provider, profile=profile)


def _native(name: ModelName, config: ModelConfig) -> ProviderClient:
    def provider_of(provider: str) -> Provider[Any]:
        if not config.api_key:
            return infer_provider(provider)
        # Every provider class that takes a key calls it so.
        return infer_provider_class(provider)(api_key=config.api_key)  # pyright: ignore[reportCallIssue]

    try:
        infer_provider_class(name.provider)
    except ValueError:
        raise UnknownProviderError(name.provider) from None
    return infer_model(f"{_KINDS.get(name.provider, name.provider)}:{name.reference}", provider_of)


def _missing_setting(name: ModelName, error: UserError) -> ConfigurationError:
    text = str(error)
    if variable := _KEY_NAME.search(text):
        return MissingKeyError(
            f"'{name}' needs a key: set the environment variable {variable[1]}, or pass api_key. "
            "Without a key, 'local' plays on this machine."
        )
    return ConfigurationError(f"'{name}' cannot be used: {text}")


def _missing_package(name: ModelName, error: ImportError) -> ConfigurationError:
    text = str(error)
    extra = _EXTRA_NAME.search(text)
    package = _PACKAGE_NAME.search(text)
    if extra and package and extra[1] in EXTRAS:
        return MissingExtraError(f"the model '{name}'", extra[1], package[1])
    return ConfigurationError(f"'{name}' cannot be used: {text}")
