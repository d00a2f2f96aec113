"""What LiteLLM and the SDKs call options of a request: understood, or refused with what to use instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai_server as fakes
import pytest

import duologue
from duologue.errors import ConfigurationError, ModelUnavailableError
from duologue.messages import user_message
from duologue.models import ModelRequest, choose, resolve
from duologue.models.provider import ProviderModel
from duologue.settings import ModelConfig

Make = Callable[..., ProviderModel]
HELLO = ModelRequest(messages=(user_message("Hi"),))


async def ask(server: Any, **options: Any) -> dict[str, Any]:
    choice = choose("openai/gpt-4o", api_base=server.url, api_key="k", extra=options)
    await choice.model.answer(choice.request([user_message("Hi")]))
    return server.requests[-1]


async def test_headers_of_other_names_are_headers(server: Any) -> None:
    sent = await ask(server, headers={"X-A": "1", "X-B": "1"}, extra_headers={"X-B": "2"}, organization="org")
    headers = server.headers[-1]
    assert (headers["x-a"], headers["x-b"], headers["openai-organization"]) == ("1", "2", "org")
    assert sent.keys() == {"model", "messages", "temperature"}


@pytest.mark.parametrize(
    "options", [{"base_url": None}, {"client": None}, {"stream": False}, {"n": 1}, {"timeout": 30}, {"num_retries": 2}]
)
async def test_what_says_nothing_new_does_not_reach_the_body(server: Any, options: dict[str, Any]) -> None:
    assert (await ask(server, **options)).keys() == {"model", "messages", "temperature"}


async def test_a_base_url_is_an_address(server: Any) -> None:
    choice = choose(ModelConfig(model="openai/gpt-4o", base_url=server.url, api_key="k"))  # type: ignore[call-arg]
    assert (await choice.model.answer(HELLO)).text == "Hello."
    assert (await resolve("vllm/m", extra={"base_url": server.url}).answer(HELLO)).text == "Hello."


@pytest.mark.parametrize(("option", "retries"), [("num_retries", 2), ("max_retries", 1), ("max_retries", 0)])
async def test_the_number_of_retries_is_kept(server: Any, model: Make, option: str, retries: int) -> None:
    server.default = fakes.error(503)
    options = choose("openai/gpt-4o", extra={option: retries}).extra
    with pytest.raises(ModelUnavailableError):
        await model(extra=options).answer(HELLO)
    assert len(server.requests) == 1 + retries
    assert "max_retries" not in server.requests[0]


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        ({"client": object()}, "pydantic-ai model"),
        ({"api_version": "2024-02-01"}, "azure"),
        ({"custom_llm_provider": "azure"}, "PROVIDER/MODEL"),
        ({"fallbacks": ["gpt-4o"]}, "only the named model is asked"),
        ({"mock_response": "Hi"}, "mock/fixed:TEXT"),
        ({"drop_params": True}, "leave out"),
        ({"stream": True}, "answers are read whole"),
        ({"n": 3}, "one answer"),
        ({"azure_ad_token": "t"}, "extra_headers"),
        ({"ssl_verify": False}, "SSL_CERT_FILE"),
        ({"messages": []}, "conversation"),
        ({"mine": object()}, "the option mine of 'openai/gpt-4o' is sent to the provider as JSON, and object is none"),
        ({"mine": {1, 2}}, "set is none"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_use_instead(options: dict[str, Any], instead: str) -> None:
    for make in (
        lambda: duologue.UserSimulatorAgent(model="openai/gpt-4o", **options),
        lambda: duologue.JudgeAgent(criteria=["x"], model="gpt-4o", **options),
        lambda: resolve("openai/gpt-4o", api_key="k", extra=options),
    ):
        with pytest.raises(ConfigurationError, match=next(iter(options))) as caught:
            make()
        assert instead.replace("openai/gpt-4o", "") in str(caught.value).replace("openai/gpt-4o", "").replace(
            "'gpt-4o'", "''"
        )


def test_models_of_other_packages_keep_their_words() -> None:
    assert choose("mock/echo", extra={"headers": {"a": 1}, "client": 3}).extra == {"headers": {"a": 1}, "client": 3}
