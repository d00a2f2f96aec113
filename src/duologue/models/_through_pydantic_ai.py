"""Models of providers that do not speak OpenAI's format, through the model classes of pydantic-ai.

What such a provider's own format looks like is pydantic-ai's business. It comes with the extra of the provider; this
module imports it, so it is only loaded once such a model is asked for.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from pydantic_ai import exceptions as theirs
from pydantic_ai.direct import model_request
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as TheirRequest
from pydantic_ai.models import Model as TheirModel
from pydantic_ai.models import ModelRequestParameters, infer_model
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from duologue.config.access import access, chosen_variables, missing_variable
from duologue.config.redaction import remember
from duologue.errors import (
    ConfigurationError,
    MissingExtraError,
    MissingKeyError,
    ModelAnswerError,
    ModelError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.http import Limits, PerLoop, ResponseRefusedError, bound, failure_in, retry_after
from duologue.messages import Message, assistant_message, tool_call
from duologue.models._chat_format import checked_messages, data_uri, decoded
from duologue.models.base import ModelRequest
from duologue.models.names import EXTRAS, ModelName, UnknownProviderError
from duologue.models.prices import Tokens
from duologue.models.provider import REQUEST_TIMEOUT, ProviderReply, RequestFailedError, shortened
from duologue.settings import ModelConfig

_KEY_NAME = re.compile(r"`([A-Z][A-Z0-9_]*(?:KEY|TOKEN)[A-Z0-9_]*)`")
_KEY_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")
_EXTRA_NAME = re.compile(r"pydantic-ai-slim\[([\w-]+)\]")
_PACKAGE_NAME = re.compile(r"install (?:the )?`([\w.-]+)`")
_FINISH_REASONS = {"stop": "stop", "length": "length", "tool_call": "tool_calls", "content_filter": "content_filter"}
_AUDIO_TYPES = {"mp3": "audio/mpeg", "pcm16": "audio/pcm", "g711_ulaw": "audio/basic"}
_OWN_PREFIXES = ("anthropic_", "bedrock_", "cohere_", "google_", "groq_", "huggingface_", "mistral_", "openai_", "xai_")
_LIMITS = Limits(max_values=200_000)
_MODEL_SETTINGS = frozenset(ModelSettings.__annotations__)


class PydanticAIClient:
    """Sends requests through a model of pydantic-ai.

    Args:
        model: one model for each event loop; or a model that somebody else made, which is used as it is and so belongs
            to the event loop on which it is used.
    """

    def __init__(self, model: PerLoop[TheirModel] | TheirModel) -> None:
        self._model = model

    async def send(self, request: ModelRequest, options: Mapping[str, Any], now: float) -> ProviderReply:
        """Send one request; see :class:`duologue.models.provider.ProviderClient`."""
        messages = to_provider(request.messages)
        model = await self._model.get() if isinstance(self._model, PerLoop) else self._model
        timeout = options.get("timeout")
        seconds = float(timeout) if isinstance(timeout, int | float) else REQUEST_TIMEOUT
        limit = asyncio.timeout(seconds)
        try:
            # What such a client calls a timeout is one for each read, which a slow answer never meets.
            async with limit:
                response = await model_request(
                    model,
                    messages,
                    model_settings=settings_of(request, options, model),
                    model_request_parameters=parameters_of(request, model),
                    instrument=False,
                )
        except TimeoutError as error:
            text = f"no full answer within {seconds:g} s" if limit.expired() else f"no answer in time: {error}"
            raise RequestFailedError(ModelTimeoutError, text) from error
        except Exception as error:  # whatever a provider's own client raises
            raise failure_of(error, now) from error
        if response.finish_reason == "error":
            raise RequestFailedError(ModelAnswerError, "the provider broke off its answer")
        if not response.parts and response.finish_reason is None:
            raise RequestFailedError(ModelAnswerError, "the answer is empty: it has neither content nor an end")
        refusal = (response.provider_details or {}).get("refusal")
        return ProviderReply(
            message=from_provider(response),
            tokens=_tokens(response.usage),
            counted=bool(response.usage.input_tokens or response.usage.output_tokens),
            finish_reason=_FINISH_REASONS.get(response.finish_reason or ""),
            refusal=cast("str | None", refusal),
        )


def client_for(name: ModelName, config: ModelConfig) -> PydanticAIClient:
    """The client of that model. A model is made and thrown away, so that what is missing shows now.

    Raises:
        UnknownProviderError: pydantic-ai knows no such provider.
        MissingKeyError, MissingExtraError, ConfigurationError: what the provider needs is not there.
    """
    # The provider's own client may take its key from the environment.
    remember(config.api_key, *(value for variable, value in os.environ.items() if _KEY_VARIABLE.search(variable)))

    def build() -> TheirModel:
        return _model(name, config)

    try:
        build()
    except ImportError as error:
        raise _missing_package(name, error) from error
    except theirs.UserError as error:
        raise _missing_setting(name, error) from error
    return PydanticAIClient(PerLoop(build))


def _model(name: ModelName, config: ModelConfig) -> TheirModel:
    def provider_of(provider: str) -> Provider[Any]:
        key = config.api_key or (_allowed_key(name) if access().is_limited else None)
        if not key:
            return _bounded(infer_provider(provider))
        # Every provider class that takes a key calls it so.
        return _bounded(infer_provider_class(provider)(api_key=key))  # pyright: ignore[reportCallIssue]

    try:
        infer_provider_class(name.provider)
    except ValueError:
        raise UnknownProviderError(name.provider) from None
    return infer_model(f"{name.provider}:{name.reference}", provider_of)


def _allowed_key(name: ModelName) -> str:
    """The key of a provider where not all of the environment may be used, so that its client takes none from there.

    Raises:
        MissingKeyError: there is none.
    """
    stem = re.sub(r"[^A-Z0-9]", "_", name.provider.upper())
    names = [f"{stem}_API_KEY", *(["GEMINI_API_KEY"] if stem.startswith("GOOGLE") else []), f"{stem[:2]}_API_KEY"]
    key = next(iter(chosen_variables(names).values()), None)
    if key is None:
        raise MissingKeyError(f"'{name}' needs a key: {missing_variable(names[0])}. Save it as a secret of that name")
    remember(key)
    return key


def _bounded(provider: Provider[Any]) -> Provider[Any]:
    """The provider, with limits on what its HTTP client reads, and on what a client reads that it makes later."""
    # Only the constructors of some providers take a client, and nobody would close it.
    own: Any = provider
    if own._own_http_client is not None:
        bound(own._own_http_client, _LIMITS)
    if (make := own._http_client_factory) is not None:
        own._http_client_factory = lambda: bound(make(), _LIMITS)
    return provider


def _missing_setting(name: ModelName, error: theirs.UserError) -> ConfigurationError:
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


# Requests


def settings_of(request: ModelRequest, extra: Mapping[str, Any], model: TheirModel) -> ModelSettings:
    """Everything that is no tool and no form of answer.

    An option of ``extra`` that pydantic-ai knows is handed to it, ``reasoning_effort`` in its own word for it; any
    other becomes a field of the request's body.
    """
    settings = _extra_settings(extra, model)
    given: dict[str, Any] = {
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "stop_sequences": list(request.stop) or None,
        "seed": request.seed,
        "tool_choice": request.tool_choice if request.tools else None,
    }
    settings.update({name: value for name, value in given.items() if value is not None})
    ignored = model.unsupported_settings
    if "max_retries" not in ignored:
        settings["max_retries"] = 0  # duologue.models.provider does that, and counts
    if _thinks(model, settings):
        # Reasoning models refuse sampling options; a default temperature must not keep them from being used.
        for name in ("temperature", "top_p"):
            settings.pop(name, None)
    if "stop_sequences" in ignored:
        settings.pop("stop_sequences", None)
    return cast("ModelSettings", settings)


def parameters_of(request: ModelRequest, model: TheirModel) -> ModelRequestParameters:
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
        output_mode="native" if model.profile.get("supports_json_schema_output") else "prompted",
        output_object=OutputObjectDefinition(json_schema=schema, name=str(schema.get("title") or "answer")),
    )


def _extra_settings(extra: Mapping[str, Any], model: TheirModel) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for name, value in extra.items():
        if name == "reasoning_effort" and model.profile.get("supports_thinking"):
            settings["thinking"] = False if value == "none" else value
        elif name in _MODEL_SETTINGS or name.startswith(_OWN_PREFIXES):
            settings[name] = value
        else:
            body[name] = value
    if body:
        settings["extra_body"] = {**body, **settings.get("extra_body", {})}
    return settings


def _thinks(model: TheirModel, settings: Mapping[str, Any]) -> bool:
    profile = cast("Mapping[str, Any]", model.profile)
    if not profile.get("openai_supports_reasoning"):
        return False
    if profile.get("thinking_always_enabled"):
        return True
    effort = settings.get("openai_reasoning_effort")
    if effort is not None:
        return effort != "none"
    thinking = settings.get("thinking")
    return bool(profile.get("thinking_enabled_by_default")) if thinking is None else thinking is not False


def to_provider(messages: Sequence[Message]) -> list[ModelMessage]:
    """The conversation as pydantic-ai wants it.

    Messages that are not the assistant's and follow one another become one request: some providers insist on taking
    turns.

    Raises:
        ModelRejectedError: a role or a kind of content that no provider takes.
    """
    sent = checked_messages(messages)
    tools = {call["id"]: call["function"]["name"] for message in sent for call in message.get("tool_calls", ())}
    converted: list[ModelMessage] = []
    for message in sent:
        if message["role"] == "assistant":
            converted.append(ModelResponse(parts=_response_parts(message)))
            continue
        part = _request_part(message, tools)
        last = converted[-1] if converted else None
        if isinstance(last, TheirRequest):
            last.parts = [*last.parts, part]
        else:
            converted.append(TheirRequest(parts=[part]))
    return converted


def _response_parts(message: dict[str, Any]) -> list[ModelResponsePart]:
    parts: list[ModelResponsePart] = []
    if text := message.get("content"):
        parts.append(TextPart(content=text))
    for call in message.get("tool_calls", ()):
        function = call["function"]
        parts.append(ToolCallPart(tool_name=function["name"], args=function["arguments"], tool_call_id=call["id"]))
    return parts


def _request_part(message: dict[str, Any], tools: Mapping[str, str]) -> ModelRequestPart:
    content = message["content"]
    match message["role"]:
        case "system":
            return SystemPromptPart(content=content)
        case "tool":
            call_id = message["tool_call_id"]
            return ToolReturnPart(tool_name=tools.get(call_id, "tool"), content=content, tool_call_id=call_id)
        case _:
            parts = content if isinstance(content, str) else [_user_part(part) for part in content]
            return UserPromptPart(content=parts)


def _user_part(part: dict[str, Any]) -> UserContent:
    match part["type"]:
        case "text":
            return part["text"]
        case "image_url":
            return _image(part["image_url"])
        case "input_audio":
            audio = part["input_audio"]
            kind = _AUDIO_TYPES.get(audio["format"], f"audio/{audio['format']}")
            return BinaryContent(data=decoded(audio["data"]), media_type=kind)
        case _:
            media_type, data = data_uri(part["file"]["file_data"])
            return BinaryContent(data=data, media_type=media_type)


def _image(image: dict[str, Any]) -> UserContent:
    details: dict[str, Any] | None = {"detail": image["detail"]} if "detail" in image else None
    if not image["url"].startswith("data:"):
        return ImageUrl(url=image["url"], vendor_metadata=details)
    media_type, data = data_uri(image["url"])
    return BinaryContent(data=data, media_type=media_type, vendor_metadata=details)


# Answers


def from_provider(response: ModelResponse) -> Message:
    """The answer as an assistant message: its text and its tool calls. Thinking is left out."""
    calls = [
        tool_call(part.tool_name, part.args_as_json_str(), part.tool_call_id)
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    return assistant_message(response.text if response.text or not calls else None, calls)


def _tokens(usage: RequestUsage) -> Tokens:
    # The library uses the same names: a price list of its own reads both.
    return Tokens(**{field.name: getattr(usage, field.name) for field in fields(Tokens)})


# Failures


def failure_of(error: Exception, now: float) -> RequestFailedError:
    """Sort an exception of a pydantic-ai model.

    Args:
        error: what it raised.
        now: seconds since 1970, to understand a date in Retry-After.
    """
    if isinstance(error, theirs.ModelHTTPError):
        return _http(error, now)
    if failure := failure_in(error):
        again = not isinstance(failure, ResponseRefusedError)
        return RequestFailedError(ModelUnavailableError if again else ModelError, str(failure), again=again)
    if isinstance(error, theirs.ModelConnectionError):
        return _connection(error)
    if isinstance(error, theirs.ModelRateLimitError):
        return _rate_limit(error, _detail(error), error.retry_after)
    if isinstance(error, theirs.ModelUnavailableError | theirs.ModelServerError):
        return RequestFailedError(ModelUnavailableError, _detail(error), again=True, wait=error.retry_after)
    return _final(error)


def _final(error: Exception) -> RequestFailedError:
    match error:
        case theirs.ModelRequestTimeout():
            return RequestFailedError(ModelTimeoutError, _detail(error))
        case theirs.ModelRequestRejectedError() | theirs.ModelQuotaExceededError() | theirs.UserError():
            return RequestFailedError(ModelRejectedError, _detail(error))
        case theirs.ModelAPIError() | theirs.UnexpectedModelBehavior():
            return RequestFailedError(ModelAnswerError, f"the answer cannot be understood: {_detail(error)}")
        case _:
            return RequestFailedError(ModelError, f"{type(error).__name__}: {_detail(error)}")


def _http(error: theirs.ModelHTTPError, now: float) -> RequestFailedError:
    wait = retry_after(error.headers, now)
    wait = error.retry_after if wait is None else wait
    text = f"the provider answered {error.status_code}: {_body(error)}"
    if error.status_code == 429:
        return _rate_limit(error, text, wait)
    if error.status_code >= 500:
        return RequestFailedError(ModelUnavailableError, text, again=True, wait=wait)
    if isinstance(error, theirs.ModelAuthenticationError):
        text += "; check the key and what it may use"
    return RequestFailedError(ModelRejectedError, text, wait=wait)


def _rate_limit(error: theirs.ModelAPIError, text: str, wait: float | None) -> RequestFailedError:
    if isinstance(error, theirs.ModelQuotaExceededError):
        return RequestFailedError(ModelRateLimitError, f"{text}; the account's quota is spent", wait=wait)
    return RequestFailedError(ModelRateLimitError, text, again=True, wait=wait)


def _connection(error: theirs.ModelConnectionError) -> RequestFailedError:
    if isinstance(error, theirs.ModelTimeoutError) and error.phase not in {"connect", "pool"}:
        return RequestFailedError(ModelTimeoutError, f"no answer in time: {_detail(error)}")
    return RequestFailedError(ModelUnavailableError, f"cannot be reached: {_detail(error)}", again=True)


def _body(error: theirs.ModelHTTPError) -> str:
    body = error.body
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        return shortened(str(fields.get("message") or fields))
    return shortened(str(body or "no body"))


def _detail(error: Exception) -> str:
    cause = error.__cause__
    text = str(error) or type(error).__name__
    return shortened(f"{text} ({cause})" if cause and str(cause) and str(cause) not in text else text)
