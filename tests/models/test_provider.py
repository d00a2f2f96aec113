"""ProviderModel through our own client against a server on loopback that answers, refuses and breaks."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import Callable
from typing import Any

import openai_server as fakes
import pytest

from duologue.errors import (
    ModelAnswerError,
    ModelError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.messages import Message, assistant_message, user_message
from duologue.models.ask import ask
from duologue.models.base import ModelAnswer, ModelRequest, ToolSpec
from duologue.models.limits import ProviderLimits
from duologue.models.names import parse_name
from duologue.models.prices import _PRICE_LIST_NAMES
from duologue.models.provider import ProviderModel
from duologue.models.resolve import client_for
from duologue.models.scope import RunScope
from duologue.settings import ModelConfig
from duologue.testing import run_virtual

Make = Callable[..., ProviderModel]

HELLO = ModelRequest(messages=(user_message("Hi"),))
WEATHER = ToolSpec(
    name="weather",
    description="The weather of a town",
    parameters={
        "type": "object",
        "properties": {"town": {"type": "string"}},
        "required": ["town"],
        "additionalProperties": False,
    },
)
SCHEMA = {
    "title": "Grade",
    "type": "object",
    "properties": {"points": {"type": "integer"}},
    "required": ["points"],
    "additionalProperties": False,
}


async def test_text_usage_cost_and_reason(server: Any, model: Make) -> None:
    server.script(fakes.text("Good evening.", prompt=1000, completion=100))
    answer = await model().answer(HELLO)
    assert answer.text == "Good evening."
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 100)
    # gpt-4o-mini: 0.15 and 0.60 dollars for a million tokens
    assert answer.cost == pytest.approx(1000 * 0.15e-6 + 100 * 0.60e-6)
    assert (answer.model, answer.attempts, answer.finish_reason) == ("openai/gpt-4o-mini", 1, "stop")
    assert answer.refusal is None


async def test_no_cost_is_claimed_for_a_model_without_a_known_price(model: Make) -> None:
    assert (await model("openai/my-own-7b").answer(HELLO)).cost is None
    assert (await model("nobody/gpt-4o-mini").answer(HELLO)).cost is None


@pytest.mark.parametrize("alias", _PRICE_LIST_NAMES.values())
def test_the_price_list_knows_the_names_that_it_is_asked_for(alias: str) -> None:
    from genai_prices.data_snapshot import get_snapshot

    assert alias in {provider.id for provider in get_snapshot().providers}


async def test_options_reach_the_provider(server: Any, model: Make) -> None:
    request = ModelRequest(
        messages=(user_message("Hi"),),
        temperature=0.0,
        max_tokens=5,
        stop=("END",),
        seed=7,
        extra={"top_p": 0.5, "min_p": 0.1},
    )
    await model("local-server/qwen", extra={"min_p": 0.9, "top_k": 3, "cache_prompt": True}).answer(request)
    sent = server.requests[0]
    assert sent["model"] == "qwen"
    assert sent["temperature"] == 0.0
    assert sent["max_tokens"] == 5
    assert sent["stop"] == ["END"]
    assert sent["seed"] == 7
    assert sent["top_p"] == 0.5
    assert sent["min_p"] == 0.1
    assert sent["cache_prompt"] is True
    assert server.headers[0]["authorization"] == "Bearer k"


async def test_openai_gets_its_own_word_for_max_tokens(server: Any, model: Make) -> None:
    await model("openai/gpt-4o-mini").answer(ModelRequest(messages=HELLO.messages, max_tokens=5))
    assert server.requests[0]["max_completion_tokens"] == 5


async def test_reasoning_models_get_no_temperature_and_no_warning(server: Any, model: Make) -> None:
    request = ModelRequest(messages=HELLO.messages, temperature=0.0, extra={"reasoning_effort": "low"})
    await model("openai/gpt-5-mini").answer(request)
    assert "temperature" not in server.requests[0]
    assert server.requests[0]["reasoning_effort"] == "low"


async def test_tools_are_offered_and_called(server: Any, model: Make) -> None:
    server.script(fakes.calls(("weather", {"town": "Graz"}), ("weather", {"town": "Linz"})))
    answer = await model().answer(ModelRequest(messages=HELLO.messages, tools=(WEATHER,), tool_choice="required"))
    assert [json.loads(call["function"]["arguments"])["town"] for call in answer.tool_calls] == ["Graz", "Linz"]
    assert [call["id"] for call in answer.tool_calls] == ["call_1", "call_2"]
    assert answer.message["content"] is None
    assert answer.finish_reason == "tool_calls"
    sent = server.requests[0]
    assert sent["tool_choice"] == "required"
    assert sent["tools"][0]["function"]["strict"] is True
    assert sent["tools"][0]["function"]["parameters"]["properties"] == {"town": {"type": "string"}}


async def test_tools_can_be_shown_but_forbidden(server: Any, model: Make) -> None:
    await model().answer(ModelRequest(messages=HELLO.messages, tools=(WEATHER,), tool_choice="none"))
    assert server.requests[0]["tool_choice"] == "none"
    assert len(server.requests[0]["tools"]) == 1


async def test_a_schema_is_sent_natively(server: Any, model: Make) -> None:
    server.script(fakes.text('{"points": 3}'))
    answer = await model().answer(ModelRequest(messages=HELLO.messages, response_schema=SCHEMA))
    sent = server.requests[0]["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["name"] == "Grade"
    assert sent["json_schema"]["schema"]["required"] == ["points"]
    assert json.loads(answer.text) == {"points": 3}


async def test_a_schema_goes_into_the_instructions_where_the_model_has_no_native_form(server: Any) -> None:
    client = client_for(parse_name("deepseek/v4"), ModelConfig(model="deepseek/v4", api_base=server.url))
    await ProviderModel("deepseek/v4", client).answer(ModelRequest(messages=HELLO.messages, response_schema=SCHEMA))
    assert server.requests[0]["response_format"] == {"type": "json_object"}
    assert "points" in json.dumps(
        [message for message in server.requests[0]["messages"] if message["role"] == "system"]
    )


async def test_a_refusal_is_an_answer_that_says_so(server: Any, model: Make) -> None:
    server.script(fakes.refusal("I cannot help with that."))
    answer = await model().answer(HELLO)
    assert answer.refusal == "I cannot help with that."
    assert answer.finish_reason == "content_filter"
    assert answer.text == ""


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_finish_reasons_keep_their_names(server: Any, model: Make, reason: str) -> None:
    server.script(fakes.text("Once upon", finish=reason))
    assert (await model().answer(HELLO)).finish_reason == reason


async def test_429_is_sent_again_after_the_time_that_the_provider_names(server: Any, model: Make, clock: Any) -> None:
    server.script(fakes.error(429, "slow down", retry_after="7"), fakes.text("now"))
    answer = await model().answer(HELLO)
    assert (answer.text, answer.attempts) == ("now", 2)
    assert 7 <= clock.sleeps[0] <= 7.5
    assert len(clock.sleeps) == 1


async def test_retry_after_may_be_a_date(server: Any, model: Make, clock: Any) -> None:
    server.script(fakes.error(503, retry_after="Tue, 14 Nov 2023 22:13:50 GMT"), fakes.text("now"))
    assert (await model().answer(HELLO)).attempts == 2
    assert 30 <= clock.sleeps[0] <= 30.5


async def test_a_longer_wait_than_the_policy_allows_is_not_waited_for(server: Any, model: Make, clock: Any) -> None:
    server.script(fakes.error(429, "come back tomorrow", retry_after="86400"))
    with pytest.raises(ModelRateLimitError) as caught:
        await model().answer(HELLO)
    assert caught.value.retry_after == 86400
    assert (len(server.requests), clock.sleeps) == (1, [])


async def test_429_to_the_end_is_a_rate_limit_error(server: Any, model: Make, clock: Any) -> None:
    server.default = fakes.error(429, "slow down")
    with pytest.raises(ModelRateLimitError, match=r"slow down.*configure_limits\('openai'.*4 requests") as caught:
        await model().answer(HELLO)
    assert caught.value.model == "openai/gpt-4o-mini"
    assert len(server.requests) == 4
    first, second, third = clock.sleeps
    assert 0.25 <= first <= 0.5 <= second <= 1.0 <= third <= 2.0


async def test_a_spent_account_is_not_asked_again(server: Any, model: Make) -> None:
    server.script(fakes.error(429, "You exceeded your current quota", code="insufficient_quota"))
    with pytest.raises(ModelRateLimitError, match="quota is spent"):
        await model().answer(HELLO)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_server_errors_are_tried_again(server: Any, model: Make, status: int) -> None:
    server.script(fakes.error(status), fakes.error(status), fakes.text("better"))
    assert (await model().answer(HELLO)).attempts == 3
    server.default = fakes.error(status)
    with pytest.raises(ModelUnavailableError, match=str(status)):
        await model().answer(HELLO)
    assert len(server.requests) == 7


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422])
async def test_other_4xx_are_never_tried_again(server: Any, model: Make, clock: Any, status: int) -> None:
    server.default = fakes.error(status, "not like this")
    with pytest.raises(ModelRejectedError, match=f"{status}: not like this"):
        await model().answer(HELLO)
    assert (len(server.requests), clock.sleeps) == (1, [])


async def test_a_broken_off_body_is_tried_again(server: Any, model: Make) -> None:
    server.script(fakes.Reply(body=fakes.text("Hello").body, cut=40), fakes.text("whole"))
    answer = await model().answer(HELLO)
    assert (answer.text, answer.attempts) == ("whole", 2)


@pytest.mark.parametrize("body", [b'{"choices": [', b"<html>", b"\xff\xfe", b'{"choices": []}', b"[]", b"null", b""])
async def test_garbage_is_an_answer_error(server: Any, model: Make, body: bytes) -> None:
    server.script(fakes.garbage(body))
    with pytest.raises(ModelAnswerError):
        await model().answer(HELLO)
    assert len(server.requests) == 1


async def test_nobody_there_is_unavailable_after_four_tries(model: Make, clock: Any, server: Any) -> None:
    server.url = "http://127.0.0.1:1/v1"
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        await model().answer(HELLO)
    assert len(clock.sleeps) == 3


async def test_a_provider_that_hangs_runs_into_the_timeout_of_the_request(server: Any, model: Make) -> None:
    server.script(fakes.HANG)
    with pytest.raises(ModelTimeoutError):
        await model(extra={"timeout": 0.05}).answer(HELLO)


async def test_a_provider_that_hangs_runs_into_the_timeout_of_the_run(server: Any, model: Make) -> None:
    server.script(fakes.HANG)
    limits = ProviderLimits()
    with pytest.raises(ModelTimeoutError, match=r"0\.05 s"):
        await ask(model(limits=limits), HELLO, RunScope(model_timeout=0.05))
    assert limits.under_way == 0


def test_standing_in_line_does_not_count_against_the_timeout() -> None:
    limits = ProviderLimits(concurrency=1)

    class Slow:
        name = "slow"

        async def answer(self, request: ModelRequest) -> ModelAnswer:
            async with limits.slot():
                await asyncio.sleep(1)
            return ModelAnswer(message=assistant_message("done"))

    async def main() -> list[str]:
        asked = (ask(Slow(), HELLO, RunScope(model_timeout=1.5)) for _ in range(3))
        return [answer.text for answer in await asyncio.gather(*asked)]

    assert run_virtual(main()) == ["done"] * 3


async def test_a_content_that_no_provider_takes_is_rejected_before_it_is_sent(server: Any, model: Make) -> None:
    message: Message = {"role": "user", "content": [{"type": "smell"}]}
    with pytest.raises(ModelRejectedError, match=r"message 0 .*smell"):
        await model().answer(ModelRequest(messages=(message,)))
    assert server.requests == []


async def test_whatever_a_client_raises_becomes_a_model_error(model: Make) -> None:
    class Broken:
        async def send(self, *_: Any) -> Any:
            raise ZeroDivisionError("surprise")

    broken = ProviderModel("x/y", Broken())  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="ZeroDivisionError: surprise"):
        await broken.answer(HELLO)


async def test_cancelling_gives_the_slot_back(server: Any, model: Make) -> None:
    server.default = fakes.HANG
    limits = ProviderLimits()
    task = asyncio.ensure_future(model(limits=limits).answer(HELLO))
    while not server.requests:
        await asyncio.sleep(0)
    assert limits.under_way == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limits.under_way == 0


async def test_every_loop_gets_a_client_that_is_closed_with_it(server: Any, model: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # what tests before have left open is not of this one
    one = model()
    clients = one._client._http._clients  # type: ignore[attr-defined]
    opened: list[Any] = []

    async def talk() -> str:
        answers = await asyncio.gather(*(one.answer(HELLO) for _ in range(5)))
        opened.append(await clients.get())
        return answers[-1].text

    texts = await asyncio.gather(*(asyncio.to_thread(asyncio.run, talk()) for _ in range(3)))
    assert texts == ["Hello."] * 3
    assert len({id(client) for client in opened}) == 3
    assert all(client.is_closed for client in opened)
    assert len(clients) == 0
    gc.collect()


async def test_a_pydantic_ai_object_is_used_as_it_is() -> None:
    from pydantic_ai.models.test import TestModel

    from duologue.models.resolve import resolve

    model = resolve(TestModel(custom_output_text="as it is"))
    assert model.name == "test/test"
    answer = await model.answer(HELLO)
    assert (answer.text, answer.cost) == ("as it is", None)


async def test_the_tokens_that_were_used_correct_those_that_were_set_aside(model: Make, clock: Any) -> None:
    limits = ProviderLimits(tokens_per_minute=300, clock=clock)
    one = model(limits=limits)  # sets 256 aside for an answer; the server counts 18
    for _ in range(3):
        await one.answer(HELLO)
    assert clock.sleeps == []
