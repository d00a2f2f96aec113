"""What other libraries call an option of a request: put into our words, or refused with what to use instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from duologue.errors import ConfigurationError
from duologue.models.names import PROVIDERS, inferred, parse_name
from duologue.settings import ModelConfig

_HEADERS = ("headers", "default_headers")
_RENAMED = {"num_retries": "max_retries", "request_timeout": "timeout"}
_UNUSED = {"stream": False, "n": 1}
"""Options that say what happens anyway, with the only value that they may have."""
_OBJECT = "pass a pydantic-ai model, or an object of your own with name and answer(), as the model"
_TOKEN = "pass extra_headers={'Authorization': 'Bearer …'}"
_NONE_OTHER = "only the named model is asked; make a model of your own, with name and answer(), that asks another"
_WATCHED = "calls are recorded in the journal, and as spans with tracing"
_REFUSED = {
    **dict.fromkeys(("client", "async_client", "http_client", "shared_session"), _OBJECT),
    **dict.fromkeys(("azure_ad_token", "azure_ad_token_provider"), _TOKEN),
    **dict.fromkeys(("fallbacks", "context_window_fallback_dict", "model_list", "router"), _NONE_OTHER),
    **dict.fromkeys(("callbacks", "success_callback", "failure_callback", "logger_fn", "set_verbose"), _WATCHED),
    **dict.fromkeys(("cache", "caching"), "pass cache_key to the run, or use a cassette"),
    **dict.fromkeys(
        ("drop_params", "additional_drop_params", "allowed_openai_params"),
        "options are sent as they are; leave out those that the provider refuses",
    ),
    **dict.fromkeys(
        ("input_cost_per_token", "output_cost_per_token"), "prices come from genai-prices, or from a suite's pricing"
    ),
    "api_type": "write the provider before the model's name: 'azure/DEPLOYMENT'",
    "custom_llm_provider": "write the provider before the model's name: 'PROVIDER/MODEL'",
    "deployment_id": "write the deployment as the model's name: 'azure/DEPLOYMENT'",
    "extra_query": "use api_base for another address",
    "messages": "the conversation is what is sent",
    "mock_response": "pass model='mock/fixed:TEXT'",
    "n": "one answer is asked for",
    "ssl_verify": "set the environment variable SSL_CERT_FILE to the certificates to trust",
    "stream": "answers are read whole",
}


def understood(config: ModelConfig) -> ModelConfig:
    """The configuration with its options in our words. Models that other packages bring have words of their own.

    Raises:
        ConfigurationError: an option is of no use here, or cannot be sent.
    """
    extra = config.model_extra
    if not extra:
        return config
    name = parse_name(config.model)
    provider = inferred(name).provider
    if provider and provider not in PROVIDERS and not config.api_base:
        return config
    options: dict[str, Any] = {}
    headers: dict[str, str] = {}
    for option, value in extra.items():
        if option in _HEADERS:
            headers.update(cast("Mapping[str, str]", value or {}))
        elif option == "organization" and isinstance(value, str):
            headers["OpenAI-Organization"] = value
        elif option not in _UNUSED or value != _UNUSED[option]:
            options[_RENAMED.get(option, option)] = _sendable(config.model, option, value)
    if "api_version" in options and not provider.startswith("azure"):
        raise _of_no_use(config.model, "api_version", "only models of 'azure/…' have versions of their API")
    if headers:
        options["extra_headers"] = {**headers, **(options.get("extra_headers") or {})}
    address = options.pop("base_url", None)
    known = {field: getattr(config, field) for field in type(config).model_fields}
    return ModelConfig(**{**known, "api_base": config.api_base or address}, **options)


def _sendable(model: str, option: str, value: object) -> object:
    if option in _REFUSED and value is not None:
        raise _of_no_use(model, option, _REFUSED[option])
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"the option {option} of '{model}' is sent to the provider as JSON, and {type(value).__name__} is none"
        ) from None
    return value


def _of_no_use(model: str, option: str, instead: str) -> ConfigurationError:
    return ConfigurationError(f"the option {option} of '{model}' is not supported: {instead}")
