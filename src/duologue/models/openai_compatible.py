"""Models behind OpenAI's APIs: OpenAI itself, and every provider, proxy and server that speaks Chat Completions.

Conversations are in that format already, so little has to be translated. What differs from one provider to another is
in the table :data:`HOSTS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, cast
from urllib.parse import urlencode

from pydantic import ValidationError

from duologue.config.access import variables
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.redaction import remember, remember_headers, remember_url, without_values
from duologue.errors import (
    ConfigurationError,
    MissingKeyError,
    ModelAnswerError,
    ModelError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.frozen import frozen
from duologue.http import (
    BrokenResponseError,
    HttpClients,
    HttpRequest,
    HttpResponse,
    HttpTimeoutError,
    NoResponseError,
    ResponseRefusedError,
    parse_url,
    retry_after,
    written_url,
)
from duologue.models._chat_format import Dialect, TokenUsage, chat_body, read_completion
from duologue.models._responses_format import read_response, responses_body
from duologue.models.base import ModelRequest
from duologue.models.names import ModelName
from duologue.models.prices import Tokens
from duologue.models.provider import REQUEST_TIMEOUT, ProviderReply, RequestFailedError, shortened
from duologue.settings import ModelConfig

_SHOWN = 4096
"""Bytes of a refusal that are read."""
_SPENT = {"insufficient_quota", "billing_hard_limit_reached", "exceeded_current_quota_error"}
"""Codes and types of a 429 that waiting does not help against."""


_ANY_SERVER = Dialect()
_OPENAI = Dialect(max_tokens="max_completion_tokens")
_LOOSE_TOOLS = Dialect(strict_tools=False)
_JSON_MODE = Dialect(json_schema=False, strict_tools=False)
_MISTRAL = Dialect(seed="random_seed", call_ids=re.compile(r"[A-Za-z0-9]{9}"))


@frozen
class Host:
    """Where a provider answers, and how its API differs from OpenAI's.

    Attributes:
        url: base URL; None where there is no usual one, so that it must be set.
        url_variable: environment variable with a base URL that comes before ``url``.
        more_url_variables: others that other libraries use for the same.
        url_suffix: added to the value of such a variable.
        keys: environment variables with the key, the first that is set counts.
        needs_key: whether nothing is answered without one.
        headers: more headers, each with the environment variable that holds its value.
        dialect: how its API differs from OpenAI's.
        responses: whether it is asked through the Responses API.
    """

    url: str | None = None
    url_variable: str | None = None
    more_url_variables: tuple[str, ...] = ()
    url_suffix: str = ""
    keys: tuple[str, ...] = ()
    needs_key: bool = True
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    dialect: Dialect = _ANY_SERVER
    responses: bool = False


def _hosted(url: str, *keys: str, **more: Any) -> Host:
    return Host(url=url, keys=keys, **more)


def _openai(**more: Any) -> Host:
    return _hosted(
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        url_variable="OPENAI_BASE_URL",
        more_url_variables=("OPENAI_API_BASE",),
        headers={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
        dialect=_OPENAI,
        **more,
    )


def _azure(**more: Any) -> Host:
    return Host(
        url_variable="AZURE_OPENAI_ENDPOINT",
        more_url_variables=("AZURE_API_BASE",),
        keys=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        dialect=_OPENAI,
        **more,
    )


HOSTS: Mapping[str, Host] = {
    "openai": _openai(),
    "openai-responses": _openai(responses=True),
    "azure": _azure(),
    "azure-responses": _azure(responses=True),
    "alibaba": _hosted(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "ALIBABA_API_KEY", "DASHSCOPE_API_KEY"
    ),
    "cerebras": _hosted("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "crusoe": _hosted("https://api.inference.crusoecloud.com/v1", "CRUSOE_API_KEY"),
    "deepinfra": _hosted("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
    "deepseek": _hosted("https://api.deepseek.com", "DEEPSEEK_API_KEY", dialect=_JSON_MODE),
    "fireworks": _hosted("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "github": _hosted("https://models.github.ai/inference", "GITHUB_API_KEY"),
    "groq": _hosted(
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        url_variable="GROQ_BASE_URL",
        url_suffix="/openai/v1",
        dialect=_JSON_MODE,
    ),
    "heroku": _hosted(
        "https://us.inference.heroku.com/v1",
        "HEROKU_INFERENCE_KEY",
        url_variable="HEROKU_INFERENCE_URL",
        url_suffix="/v1",
        dialect=_LOOSE_TOOLS,
    ),
    "huggingface": _hosted("https://router.huggingface.co/v1", "HF_TOKEN"),
    "litellm": Host(
        url_variable="LITELLM_BASE_URL",
        more_url_variables=("LITELLM_PROXY_API_BASE",),
        keys=("LITELLM_API_KEY", "LITELLM_PROXY_API_KEY"),
        needs_key=False,
    ),
    "lm_studio": _hosted(
        "http://127.0.0.1:1234/v1",
        "LM_STUDIO_API_KEY",
        url_variable="LM_STUDIO_API_BASE",
        url_suffix="/v1",
        needs_key=False,
    ),
    "meta": _hosted("https://api.meta.ai/v1", "META_API_KEY"),
    "mistral": _hosted(
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        url_variable="MISTRAL_BASE_URL",
        url_suffix="/v1",
        dialect=_MISTRAL,
    ),
    "moonshotai": _hosted("https://api.moonshot.ai/v1", "MOONSHOTAI_API_KEY", url_variable="MOONSHOTAI_BASE_URL"),
    "nebius": _hosted("https://api.studio.nebius.com/v1", "NEBIUS_API_KEY"),
    "nvidia": _hosted("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
    "ollama": _hosted(
        "http://127.0.0.1:11434/v1",
        "OLLAMA_API_KEY",
        url_variable="OLLAMA_BASE_URL",
        more_url_variables=("OLLAMA_API_BASE",),
        url_suffix="/v1",
        needs_key=False,
        dialect=_LOOSE_TOOLS,
    ),
    "openrouter": _hosted(
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        url_variable="OPENROUTER_BASE_URL",
        more_url_variables=("OPENROUTER_API_BASE",),
        headers={"HTTP-Referer": "OPENROUTER_APP_URL", "X-Title": "OPENROUTER_APP_TITLE"},
    ),
    "ovhcloud": _hosted("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", "OVHCLOUD_API_KEY"),
    "perplexity": _hosted("https://api.perplexity.ai", "PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
    "sambanova": _hosted("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY", url_variable="SAMBANOVA_BASE_URL"),
    "together": _hosted("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "vercel": _hosted("https://ai-gateway.vercel.sh/v1", "VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
    "vllm": Host(
        url_variable="VLLM_BASE_URL",
        more_url_variables=("HOSTED_VLLM_API_BASE",),
        keys=("VLLM_API_KEY", "HOSTED_VLLM_API_KEY"),
        needs_key=False,
    ),
    "xai": _hosted("https://api.x.ai/v1", "XAI_API_KEY"),
    "zai": _hosted("https://api.z.ai/api/paas/v4", "ZAI_API_KEY", dialect=_JSON_MODE),
}
"""Providers that are asked through this module, by the first part of their models' names."""


class OpenAICompatibleClient:
    """Sends requests to one model of one server.

    Args:
        model: what the server calls it.
        url: to which requests are sent.
        headers: with every request, the key among them.
        dialect: how the API differs from OpenAI's.
        key: what must not be shown in errors.
        responses: whether that is the Responses API instead of Chat Completions.
    """

    def __init__(
        self,
        model: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        dialect: Dialect | None = None,
        key: str | None = None,
        responses: bool = False,
    ) -> None:
        self._write, self._parse = (responses_body, read_response) if responses else (chat_body, read_completion)
        self._model = model
        self._url = url
        self._headers = dict(headers or {})
        self._dialect = dialect or _ANY_SERVER
        self._key = key
        remember(key)
        remember_url(url)
        self._http = HttpClients()

    async def send(self, request: ModelRequest, options: Mapping[str, Any], now: float) -> ProviderReply:
        """Send one request.

        Args:
            request: what is asked.
            options: fields of the body that go over as they are, and ``timeout``, ``extra_headers``, ``extra_body``.
            now: seconds since 1970, to understand a date in Retry-After.

        Raises:
            RequestFailedError: there is no answer, or none that can be understood.
            ModelRejectedError: the request holds something that no provider takes.
        """
        fields = dict(options)
        timeout = fields.pop("timeout", None)
        fields.pop("api_version", None)  # part of the address
        more: dict[str, str] = fields.pop("extra_headers", None) or {}
        remember(*self._headers.values())
        remember_headers(more)
        asked = HttpRequest(
            url=self._url,
            headers={**self._headers, **more},
            json=self._write(self._model, request, fields, self._dialect),
            timeout=REQUEST_TIMEOUT if timeout is None else float(timeout),
        )
        try:
            async with self._http.send(asked) as response:
                if not response.ok:
                    raise await self._refused(response, now)
                text = await response.text()
        except HttpTimeoutError as error:
            raise RequestFailedError(ModelTimeoutError, f"no answer in time: {error}") from error
        except NoResponseError as error:
            raise RequestFailedError(ModelUnavailableError, f"cannot be reached: {error}", again=True) from error
        except ResponseRefusedError as error:
            raise RequestFailedError(ModelError, str(error)) from error
        except BrokenResponseError as error:
            raise RequestFailedError(ModelUnavailableError, str(error), again=True) from error
        return self._read(text, len(request.messages))

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._http.aclose()

    def _read(self, text: str, position: int) -> ProviderReply:
        try:
            completion = self._parse(text)
        except NoJsonError as error:
            raise RequestFailedError(
                ModelAnswerError, f"the answer cannot be understood: {error}: {self._shown(text)}"
            ) from error
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, problem["loc"]))
            what = f"{place}: {problem['msg']}" if place else problem["msg"]
            raise RequestFailedError(
                ModelAnswerError, f"the answer cannot be understood: {what}: {self._shown(text)}"
            ) from error
        if completion.error:
            raise self._reported(text)
        if not completion.choices:
            raise RequestFailedError(ModelAnswerError, f"the answer has no choice: {self._shown(text)}")
        if completion.broken_off:
            raise RequestFailedError(ModelAnswerError, "the provider broke off its answer")
        return ProviderReply(
            message=completion.message(position),
            tokens=_tokens(completion.usage or TokenUsage()),
            counted=completion.usage is not None and completion.usage.counts,
            finish_reason=completion.finish_reason,
            refusal=completion.refusal,
        )

    def _reported(self, text: str) -> RequestFailedError:
        """An error in the body of an answer whose status is 200."""
        problem = read_problem(text)
        what = f"the provider answered with an error: {self._shown(problem.message or text)}"
        if problem.code in {"429", "rate_limit_exceeded"}:
            return RequestFailedError(ModelRateLimitError, what, again=True)
        if problem.code == "server_error" or (re.fullmatch("[0-9]{1,9}", problem.code) and int(problem.code) >= 500):
            return RequestFailedError(ModelUnavailableError, what, again=True)
        return RequestFailedError(ModelAnswerError, what)

    async def _refused(self, response: HttpResponse, now: float) -> RequestFailedError:
        body = await response.excerpt(_SHOWN)
        problem = read_problem(body)
        text = f"the provider answered {response.status}: {self._shown(problem.message or body or 'no body')}"
        if 300 <= response.status < 400:
            where = written_url(response.headers.get("location", "nowhere"))
            text = f"the provider answered {response.status}, a redirect to {where}; redirects are not followed, so "
            text += "give the address at which it answers (api_base, or base_url in a suite)"
        wait = retry_after(response.headers, now)
        if response.status == 429:
            if _SPENT & {problem.code, problem.type}:
                return RequestFailedError(ModelRateLimitError, f"{text}; the account's quota is spent", wait=wait)
            return RequestFailedError(ModelRateLimitError, text, again=True, wait=wait)
        if response.status >= 500:
            return RequestFailedError(ModelUnavailableError, text, again=True, wait=wait)
        if response.status in {401, 403}:
            text += "; check the key and what it may use"
        return RequestFailedError(ModelRejectedError, text, wait=wait)

    def _shown(self, text: str) -> str:
        return shortened(without_values(text, [self._key] if self._key else []))


@frozen
class _Problem:
    """What a refusal says."""

    message: str = ""
    code: str = ""
    type: str = ""


def read_problem(body: str) -> _Problem:
    """The message and the codes in the body of a refusal, wherever a server puts them."""
    try:
        value: Any = json_value(body, constants=True)
    except NoJsonError:
        return _Problem()
    if isinstance(value, list) and value:
        value = cast("list[Any]", value)[0]
    if not isinstance(value, dict):
        return _Problem()
    outer = cast("dict[str, Any]", value)
    inner = outer.get("error")
    if isinstance(inner, str):
        return _Problem(message=inner)
    fields = cast("dict[str, Any]", inner) if isinstance(inner, dict) else outer
    found = {name: fields.get(name) for name in ("code", "type")}
    message = fields.get("message") or fields.get("detail") or fields
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    return _Problem(message=text, **{name: str(value) for name, value in found.items() if value is not None})


def client_for(name: ModelName, config: ModelConfig) -> OpenAICompatibleClient:
    """The client for a model of one of :data:`HOSTS`, or of the server at ``config.api_base``, whatever its prefix.

    Raises:
        MissingKeyError: the provider needs a key and none is set.
        ConfigurationError: the address is missing, or cannot be used.
    """
    host = HOSTS.get(name.provider, Host(needs_key=False))
    key = config.api_key or _first_set(host.keys or _key_variables(name.provider))
    if key is None and host.needs_key and not config.api_base:
        raise MissingKeyError(
            f"'{name}' needs a key: set the environment variable {host.keys[0]}, or pass api_key. "
            "Without a key, 'local' plays on this machine."
        )
    headers = {header: value for header, variable in host.headers.items() if (value := variables().get(variable))}
    url = _url(name, config, host)
    parse_url(url, f"the address of '{name}'", credentials=True)
    if key is not None:
        headers.update({"api-key": key} if _on_azure(name) else {"Authorization": f"Bearer {key}"})
    return OpenAICompatibleClient(
        name.reference, url, headers=headers, dialect=host.dialect, key=key, responses=host.responses
    )


def _on_azure(name: ModelName) -> bool:
    return name.provider in {"azure", "azure-responses"}


def _url(name: ModelName, config: ModelConfig, host: Host) -> str:
    path = "responses" if host.responses else "chat/completions"
    base = config.api_base.rstrip("/") if config.api_base else None
    if _on_azure(name) and (base is None or _is_endpoint(base)):
        return _azure_url(name, base or _base_url(name, host), path, config.extra.get("api_version"))
    return f"{base or _base_url(name, host)}/{path}"


def _is_endpoint(base: str) -> bool:
    """Whether that is an Azure resource, and not yet the address of one of its APIs."""
    return parse_url(base, "the address of Azure").path in {"", "/openai"}


def own_server(name: ModelName) -> str | None:
    """The address of a server that people run themselves, such as Ollama; None for that of a provider."""
    host = HOSTS.get(name.provider)
    if host is None or host.needs_key:
        return None
    try:
        return _base_url(name, host)
    except ConfigurationError:
        return None


def _base_url(name: ModelName, host: Host) -> str:
    names = (*filter(None, [host.url_variable]), *host.more_url_variables)
    if url := _first_set(names):
        return url.rstrip("/").removesuffix(host.url_suffix) + host.url_suffix
    if host.url is None:
        raise ConfigurationError(
            f"'{name}' needs an address: set the environment variable {host.url_variable}, or pass api_base"
        )
    return host.url


def _azure_url(name: ModelName, endpoint: str, path: str, asked: str | None) -> str:
    version = asked or _first_set(("OPENAI_API_VERSION", "AZURE_API_VERSION"))
    endpoint = endpoint.removesuffix("/openai/v1").removesuffix("/openai")
    if not version or version in {"v1", "preview"}:
        return f"{endpoint}/openai/v1/{path}{f'?api-version={version}' if version else ''}"
    query = urlencode({"api-version": version})
    if path == "responses":
        return f"{endpoint}/openai/responses?{query}"
    return f"{endpoint}/openai/deployments/{name.reference}/chat/completions?{query}"


def _key_variables(provider: str) -> tuple[str, ...]:
    return (f"{re.sub(r'[^A-Z0-9]', '_', provider.upper())}_API_KEY",)


def _first_set(names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := variables().get(name))), None)


def _tokens(usage: TokenUsage) -> Tokens:
    read, written = usage.prompt_tokens_details, usage.completion_tokens_details
    return Tokens(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read_tokens=(read and read.cached_tokens) or 0,
        input_audio_tokens=(read and read.audio_tokens) or 0,
        output_audio_tokens=(written and written.audio_tokens) or 0,
    )
