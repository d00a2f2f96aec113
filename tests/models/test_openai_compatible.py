"""What compatible servers do differently, and what OpenAI's strict mode wants."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import openai_server as fakes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError, MissingKeyError, ModelAnswerError, ModelRejectedError
from duologue.messages import assistant_message, tool_call, tool_message, user_message
from duologue.models import ModelRequest, ToolSpec, resolve
from duologue.models._chat_format import reasons, strict_schema
from duologue.models.names import parse_name
from duologue.models.openai_compatible import HOSTS, client_for
from duologue.models.provider import ProviderModel
from duologue.settings import ModelConfig

Make = Callable[..., ProviderModel]
HELLO = ModelRequest(messages=(user_message("Hi"),))


def answer(**message: Any) -> fakes.Reply:
    return fakes.Reply(body={"choices": [{"message": {"role": "assistant", **message}}]})


async def test_an_answer_without_usage_reason_and_ids_is_an_answer(server: Any, model: Make) -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    server.script(answer(content="", tool_calls=[call, call]), answer(content="Hello"))
    called = await model("vllm/m").answer(HELLO)
    assert [call["id"] for call in called.tool_calls] == ["call_1_1", "call_1_2"]
    assert called.tool_calls[0]["function"]["arguments"] == '{"a": 1}'
    said = await model("vllm/m").answer(HELLO)
    assert (said.text, said.finish_reason, said.usage.total_tokens) == ("Hello", None, 0)


@pytest.mark.parametrize(
    "content",
    [
        "<think>Let me see.\nHm.</think>\n\nHello",
        [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hello"}],
    ],
)
async def test_thinking_is_left_out(server: Any, model: Make, content: Any) -> None:
    server.script(answer(content=content, reasoning_content="Hm."))
    assert (await model("ollama/qwen3").answer(HELLO)).text == "Hello"


async def test_an_error_with_a_good_status_is_an_error(server: Any, model: Make) -> None:
    server.script(fakes.Reply(body={"error": {"message": "no such model", "code": 404}, "choices": []}))
    with pytest.raises(ModelAnswerError, match="no such model"):
        await model("openrouter/m").answer(HELLO)


async def test_an_answer_that_its_provider_broke_off_is_an_error(server: Any, model: Make) -> None:
    server.script(fakes.text("Once upon", finish="error"))
    with pytest.raises(ModelAnswerError, match="broke off"):
        await model("openrouter/m").answer(HELLO)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "not like this"}',
        b'{"detail": "not like this"}',
        b'[{"error": {"code": 400, "message": "not like this"}}]',
        b'{"message": "not like this", "object": "error"}',
        b"not like this",
    ],
)
async def test_the_words_of_a_refusal_are_found_wherever_they_stand(server: Any, model: Make, body: bytes) -> None:
    server.script(fakes.Reply(status=400, body=body))
    with pytest.raises(ModelRejectedError, match=r"the provider answered 400: not like this$"):
        await model().answer(HELLO)


async def test_a_refusal_that_repeats_the_key_does_not_show_it(server: Any, model: Make) -> None:
    server.script(fakes.error(401, "Incorrect API key provided: sk-4711"))
    with pytest.raises(ModelRejectedError, match=r"provided: \*\*\*; check the key"):
        await model(api_key="sk-4711").answer(HELLO)


async def test_headers_and_fields_of_ones_own_are_sent(server: Any, model: Make) -> None:
    extra = {"extra_headers": {"X-Team": "qa"}, "extra_body": {"a": 1}, "openai_service_tier": "flex", "b": [2]}
    await model(extra=extra).answer(HELLO)
    assert server.headers[0]["x-team"] == "qa"
    sent = server.requests[0]
    assert (sent["a"], sent["service_tier"], sent["b"]) == (1, "flex", [2])
    assert not {"extra_headers", "extra_body"} & sent.keys()


async def test_cached_tokens_have_their_own_price(server: Any, model: Make) -> None:
    reply = fakes.text("Hi", prompt=1000, completion=0)
    reply.body["usage"]["prompt_tokens_details"] = {"cached_tokens": 600}  # type: ignore[index]
    server.script(reply)
    # gpt-4o-mini: 0.15 dollars for a million tokens, 0.075 for cached ones
    assert (await model().answer(HELLO)).cost == pytest.approx(400 * 0.15e-6 + 600 * 0.075e-6)


async def test_half_a_surrogate_pair_can_be_sent(server: Any, model: Make) -> None:
    await model().answer(ModelRequest(messages=(user_message("\ud83d"),)))
    assert server.requests[0]["messages"] == [{"role": "user", "content": "\ud83d"}]


ADDRESSES = {
    variable for host in HOSTS.values() for variable in (host.url_variable, *host.more_url_variables) if variable
}


@pytest.mark.parametrize(
    ("base", "options", "url"),
    [
        ("https://a.openai.azure.com/", {}, "https://a.openai.azure.com/openai/v1/chat/completions"),
        (
            "https://a.openai.azure.com",
            {"api_version": "2025-01-01"},
            "https://a.openai.azure.com/openai/deployments/m/chat/completions?api-version=2025-01-01",
        ),
        (
            "https://a.openai.azure.com/openai",
            {"api_version": "2025-01-01", "top_p": 0.5},
            "https://a.openai.azure.com/openai/deployments/m/chat/completions?api-version=2025-01-01",
        ),
        ("https://gate.example/openai/v1", {}, "https://gate.example/openai/v1/chat/completions"),
        ("https://gate.example/v7", {"api_version": "2025-01-01"}, "https://gate.example/v7/chat/completions"),
    ],
)
def test_a_resource_of_azure_may_be_given_as_the_address(
    base: str, options: dict[str, Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_VERSION", "AZURE_API_VERSION"):
        monkeypatch.delenv(variable, raising=False)
    model = resolve("azure/m", api_base=base, api_key="k", extra=options)
    assert isinstance(model, ProviderModel)
    assert model._client._url == url  # type: ignore[attr-defined]


async def test_mistral_gets_its_own_words_for_seeds_and_ids(server: Any, model: Make) -> None:
    call = tool_call("f", {}, "call_1_1")
    kept = tool_call("f", {}, "abcDEF123")
    said = [
        user_message("Hi"),
        assistant_message(None, [call, kept]),
        tool_message("call_1_1", "a"),
        tool_message("abcDEF123", "b"),
    ]
    await model("mistral/mistral-small").answer(ModelRequest(messages=tuple(said), seed=4))
    sent = server.requests[0]
    assert (sent["random_seed"], "seed" in sent) == (4, False)
    ids = [call["id"] for call in sent["messages"][1]["tool_calls"]]
    assert [message["tool_call_id"] for message in sent["messages"][2:]] == ids
    assert ids[1] == "abcDEF123"
    assert re.fullmatch("[A-Za-z0-9]{9}", ids[0])


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_every_provider_says_what_it_needs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = HOSTS[name]
    for variable in (*host.keys, *filter(None, [host.url_variable])):
        monkeypatch.delenv(variable, raising=False)
    if host.needs_key:
        with pytest.raises(MissingKeyError, match=host.keys[0]):
            resolve(f"{name}/m")
    if host.url is None:
        with pytest.raises(ConfigurationError, match=f"environment variable {host.url_variable}, or pass api_base"):
            resolve(f"{name}/m", api_key="k")
        assert host.url_variable
        monkeypatch.setenv(host.url_variable, "http://127.0.0.1:9/v1")
    assert isinstance(resolve(f"{name}/m", api_key="k"), ProviderModel)


@pytest.mark.parametrize(
    ("name", "variables", "url"),
    [
        ("openai/m", {}, "https://api.openai.com/v1/chat/completions"),
        ("openai/m", {"OPENAI_BASE_URL": "http://h/v1/"}, "http://h/v1/chat/completions"),
        ("groq/m", {"GROQ_BASE_URL": "http://h"}, "http://h/openai/v1/chat/completions"),
        ("heroku/m", {"HEROKU_INFERENCE_URL": "http://h/v1"}, "http://h/v1/chat/completions"),
        ("azure/m", {"AZURE_OPENAI_ENDPOINT": "http://h/"}, "http://h/openai/v1/chat/completions"),
        (
            "azure/m",
            {"AZURE_OPENAI_ENDPOINT": "http://h", "OPENAI_API_VERSION": "2025-01-01"},
            "http://h/openai/deployments/m/chat/completions?api-version=2025-01-01",
        ),
        (
            "azure/m",
            {"AZURE_API_BASE": "http://h", "AZURE_API_VERSION": "preview"},
            "http://h/openai/v1/chat/completions?api-version=preview",
        ),
        ("azure-responses/m", {"AZURE_OPENAI_ENDPOINT": "http://h"}, "http://h/openai/v1/responses"),
        (
            "azure-responses/m",
            {"AZURE_OPENAI_ENDPOINT": "http://h", "OPENAI_API_VERSION": "2025-04-01-preview"},
            "http://h/openai/responses?api-version=2025-04-01-preview",
        ),
        ("openai-responses/m", {}, "https://api.openai.com/v1/responses"),
        ("openai-responses/m", {"OPENAI_BASE_URL": "http://h/v1"}, "http://h/v1/responses"),
        ("openai/m", {"OPENAI_API_BASE": "http://h/v1"}, "http://h/v1/chat/completions"),
        ("mistral/m", {}, "https://api.mistral.ai/v1/chat/completions"),
        ("ollama/m", {}, "http://127.0.0.1:11434/v1/chat/completions"),
        ("ollama/m", {"OLLAMA_API_BASE": "http://h:11434"}, "http://h:11434/v1/chat/completions"),
        ("ollama/m", {"OLLAMA_BASE_URL": "http://h/v1/"}, "http://h/v1/chat/completions"),
        ("lm_studio/m", {}, "http://127.0.0.1:1234/v1/chat/completions"),
        ("openrouter/m", {"OPENROUTER_BASE_URL": "http://h/api/v1"}, "http://h/api/v1/chat/completions"),
        ("hosted_vllm/m", {"HOSTED_VLLM_API_BASE": "http://h/v1"}, "http://h/v1/chat/completions"),
    ],
)
def test_addresses(name: str, variables: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_VERSION", "AZURE_API_VERSION", *ADDRESSES):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    client = client_for(parse_name(name), ModelConfig(model=name, api_key="k"))
    assert client._url == url
    assert client._headers == ({"api-key": "k"} if name.startswith("azure") else {"Authorization": "Bearer k"})


def test_an_address_that_cannot_be_used_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="the address of 'x/y' must look like http"):
        resolve("x/y", api_base="localhost:8000")


@pytest.mark.parametrize(
    ("name", "effort", "expected"),
    [
        ("gpt-4o", None, False),
        ("gpt-oss-120b", None, False),
        ("o4-mini", None, True),
        ("gpt-5-mini", None, True),
        ("openai/gpt-5", None, True),
        ("gpt-5", "none", False),
        ("gpt-5-chat-latest", None, False),
        ("gpt-5.1", None, False),
        ("gpt-5.1", "low", True),
        ("gpt-5.2-pro", None, True),
        ("gpt-5.5", None, True),
        ("gpt-6-sol", None, True),
        ("claude-opus-4", None, False),
    ],
)
def test_which_models_reason(name: str, effort: str | None, expected: bool) -> None:
    assert reasons(name, effort) is expected


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def test_a_schema_that_fits_strict_mode_is_closed_and_stripped() -> None:
    person = {"title": "P", "type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    schema = {
        "$defs": {"P": person},
        "type": "object",
        "properties": {
            "who": {"$ref": "#/$defs/P", "description": "d"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["who", "tags"],
    }
    assert strict_schema(schema) == {
        "$defs": {"P": closed(title={"type": "string"})},
        **closed(
            who={"description": "d", "anyOf": [{"$ref": "#/$defs/P"}]},
            tags={"type": "array", "items": {"type": "string"}},
        ),
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}},  # an optional property
        {**closed(), "additionalProperties": True},
        {**closed(), "additionalProperties": {"type": "string"}},
        closed(a={"type": "string", "minLength": 1}),
        closed(a={"type": "string", "format": "uri"}),
        closed(a={"type": "string", "pattern": "(?=x)"}),
        closed(a={"type": "array"}),
        closed(a={"type": "array", "items": {}}),
        closed(a={"oneOf": [{"type": "string"}]}),
        closed(a={"$ref": "#/properties/b"}),
        closed(a=True),
        {"anyOf": [closed()]},
        {"type": "string"},
        {},
    ],
)
async def test_a_schema_that_needs_more_is_sent_as_it_is(server: Any, model: Make, schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None
    tool = ToolSpec(name="f", description="", parameters=schema)
    await model().answer(ModelRequest(messages=HELLO.messages, tools=(tool,), response_schema=schema))
    sent = server.requests[0]
    function = sent["tools"][0]["function"]
    assert "strict" not in function
    assert function["parameters"] == {"type": "object", "properties": {}, **schema}
    assert sent["response_format"]["json_schema"] == {"name": "answer", "schema": schema}


KEYWORDS = st.sampled_from(["type", "properties", "items", "anyOf", "$ref", "$defs", "required", "a"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["object", "array", "#/$defs/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
)


@given(st.dictionaries(KEYWORDS, JSON))
def test_what_is_no_schema_breaks_nothing(value: dict[str, Any]) -> None:
    strict = strict_schema(value)
    assert strict is None or strict["additionalProperties"] is False
