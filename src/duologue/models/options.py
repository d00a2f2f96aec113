"""A request's options in the words of pydantic-ai: sampling, tools, the form of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic_ai.models import Model as ProviderClient
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from duologue.models.base import ModelRequest

_OWN_PREFIXES = ("anthropic_", "bedrock_", "cohere_", "google_", "groq_", "huggingface_", "mistral_", "openai_", "xai_")
_MODEL_SETTINGS = frozenset(ModelSettings.__annotations__)


def settings_of(request: ModelRequest, extra: Mapping[str, Any], client: ProviderClient) -> ModelSettings:
    """Everything that is no tool and no form of answer.

    An option of ``extra`` that pydantic-ai knows is handed to it, ``reasoning_effort`` in its own word for it; any
    other becomes a field of the request's body.
    """
    settings = _extra_settings(extra, client)
    given: dict[str, Any] = {
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "stop_sequences": list(request.stop) or None,
        "seed": request.seed,
        "tool_choice": request.tool_choice if request.tools else None,
    }
    settings.update({name: value for name, value in given.items() if value is not None})
    ignored = client.unsupported_settings
    if "max_retries" not in ignored:
        settings["max_retries"] = 0  # duologue.models.retry does that, and counts
    if _thinks(client, settings):
        # Reasoning models refuse sampling options; a default temperature must not keep them from being used.
        for name in ("temperature", "top_p"):
            settings.pop(name, None)
    if "stop_sequences" in ignored:
        settings.pop("stop_sequences", None)
    return cast("ModelSettings", settings)


def parameters_of(request: ModelRequest, client: ProviderClient) -> ModelRequestParameters:
    """Tools, and the form of the answer: a JSON Schema natively where the model can do that, else by instruction."""
    tools = [
        ToolDefinition(
            name=tool.name, description=tool.description, parameters_json_schema=tool.parameters, strict=tool.strict
        )
        for tool in request.tools
    ]
    if request.response_schema is None:
        return ModelRequestParameters(function_tools=tools)
    schema = request.response_schema
    return ModelRequestParameters(
        function_tools=tools,
        output_mode="native" if client.profile.get("supports_json_schema_output") else "prompted",
        output_object=OutputObjectDefinition(json_schema=schema, name=str(schema.get("title") or "answer")),
    )


def _extra_settings(extra: Mapping[str, Any], client: ProviderClient) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for name, value in extra.items():
        if name == "reasoning_effort" and client.profile.get("supports_thinking"):
            settings["thinking"] = False if value == "none" else value
        elif name in _MODEL_SETTINGS or name.startswith(_OWN_PREFIXES):
            settings[name] = value
        else:
            body[name] = value
    if body:
        settings["extra_body"] = {**body, **settings.get("extra_body", {})}
    return settings


def _thinks(client: ProviderClient, settings: Mapping[str, Any]) -> bool:
    profile = cast("Mapping[str, Any]", client.profile)
    if not profile.get("openai_supports_reasoning"):
        return False
    if profile.get("thinking_always_enabled"):
        return True
    effort = settings.get("openai_reasoning_effort")
    if effort is not None:
        return effort != "none"
    thinking = settings.get("thinking")
    return bool(profile.get("thinking_enabled_by_default")) if thinking is None else thinking is not False
