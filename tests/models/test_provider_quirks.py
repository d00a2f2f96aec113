"""What servers write that call themselves compatible: read where it can be, else an error in their own words."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import duologue
from duologue.agents.http.completions import ContractError, read_answer
from duologue.agents.http.streams import StreamReader
from duologue.errors import (
    BudgetExceededError,
    ModelAnswerError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelUnavailableError,
)
from duologue.messages import user_message
from duologue.models._chat_format import read_completion
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.models.openai_compatible import OpenAICompatibleClient
from duologue.models.provider import ProviderModel, RetryPolicy
from duologue.testing import ScriptedAgent

CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello!"}}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@asynccontextmanager
async def server(body: object, *, status: str = "200 OK", headers: str = "") -> AsyncIterator[str]:
    import asyncio

    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n{headers}\r\n".encode() + data
        )
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"


async def answer(body: object, **options: Any) -> ModelAnswer:
    async with server(body, **options) as url:
        client = OpenAICompatibleClient("gpt-4o", f"{url}/chat/completions")
        try:
            model = ProviderModel("openai/gpt-4o", client, retry=RetryPolicy(attempts=1), chance=random.Random(1))
            return await model.answer(ModelRequest(messages=(user_message("hi"),)))
        finally:
            await client.aclose()


@pytest.mark.parametrize("created", [1.5, "now", None, [], {}])
async def test_fields_that_are_not_used_may_hold_anything(created: object) -> None:
    found = await answer({"created": created, "id": created, "model": created, "choices": [CHOICE], "usage": USAGE})
    assert (found.text, found.usage.total_tokens) == ("Hello!", 5)
    assert found.cost is not None
    assert (await answer({"choices": [CHOICE], "usage": USAGE})).text == "Hello!"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, 0),
        ({}, 0),
        ([], 0),
        ("n/a", 0),
        (7, 0),
        ({"prompt_tokens": None, "completion_tokens": None}, 0),
        ({"prompt_tokens": 0, "completion_tokens": 0}, 0),
        ({"prompt_tokens": "n/a", "completion_tokens": -1}, 0),
        ({"prompt_tokens": True, "completion_tokens": [1]}, 0),
        ({"total_tokens": 9}, 0),
        ({"prompt_tokens": 3, "completion_tokens": 0}, 3),
        ({"prompt_tokens": "3", "completion_tokens": 2.0}, 5),
        ({"prompt_tokens": 3.7, "completion_tokens": 2, "prompt_tokens_details": "none"}, 5),
        ({"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"audio_tokens": "x"}}, 5),
    ],
)
async def test_usage_that_is_missing_or_odd_leaves_the_answer_and_makes_the_cost_unknown(
    usage: Any, tokens: int
) -> None:
    found = await answer({"choices": [CHOICE], "usage": usage})
    assert (found.text, found.usage.total_tokens) == ("Hello!", tokens)
    assert (found.cost is None) == (tokens == 0)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": None, "completion_tokens": 5},
        {"prompt_tokens": 0, "completion_tokens": 5},
        {"prompt_tokens": 10**30, "completion_tokens": 5},
        {"prompt_tokens": 3},
        {"prompt_tokens": 3, "completion_tokens": None},
    ],
)
async def test_tokens_of_one_side_only_make_the_cost_unknown(usage: Any) -> None:
    assert (await answer({"choices": [CHOICE], "usage": usage})).cost is None


ERRORS = {
    "object": ({"error": {"message": "The model is on fire", "code": "oops"}}, ModelAnswerError),
    "text": ({"error": "The model is on fire"}, ModelAnswerError),
    "with choices": ({"choices": [], "error": {"message": "The model is on fire"}}, ModelAnswerError),
    "rate": ({"error": {"message": "The model is on fire", "code": 429}}, ModelRateLimitError),
    "absurd": ({"error": {"message": "The model is on fire", "code": "9" * 5000}}, ModelAnswerError),
    "server": ({"error": {"message": "The model is on fire", "code": 502}}, ModelUnavailableError),
}


@pytest.mark.parametrize("case", ERRORS)
async def test_an_error_in_a_200_is_reported_in_the_words_of_the_provider(case: str) -> None:
    body, kind = ERRORS[case]
    with pytest.raises(kind, match="the provider answered with an error: The model is on fire"):
        await answer(body)


@pytest.mark.parametrize(
    "body", [{"choices": []}, {"choices": None}, {}, {"error": None}, {"choices": [{}]}, [], None, 5]
)
async def test_an_answer_without_a_choice_is_a_clear_error(body: object) -> None:
    with pytest.raises(ModelAnswerError, match=r"no choice|cannot be understood"):
        await answer(body)


async def test_a_redirect_names_where_it_leads_and_no_secret() -> None:
    with pytest.raises(ModelRejectedError) as caught:
        await answer({}, status="307 Temporary Redirect", headers="Location: https://u:p@other.example/v1?key=abc\r\n")
    assert "307, a redirect to https://other.example/v1?…; redirects are not followed" in str(caught.value)


async def test_a_byte_order_mark_a_charset_and_half_a_pair_are_read() -> None:
    said = {"choices": [{"message": {"role": "assistant", "content": "Grüße"}}]}
    assert (await answer(b"\xef\xbb\xbf" + json.dumps(said).encode())).text == "Grüße"
    latin = json.dumps(said, ensure_ascii=False).encode("latin-1")
    assert (await answer(latin, headers="Content-Type: application/json; charset=ISO-8859-1\r\n")).text == "Grüße"
    cut = json.dumps(said).replace("Gr", "\\ud83d")
    assert (await answer(cut.encode())).text == "\ufffdüße"


def test_the_first_choice_is_the_one_with_the_index_0() -> None:
    other = {**CHOICE, "index": 1, "message": {"role": "assistant", "content": "Other"}}
    assert read_completion(json.dumps({"choices": [other, CHOICE]})).message(0)["content"] == "Hello!"


BROKEN: dict[str, Callable[[], object]] = {
    "finish_reason": lambda: read_answer({"choices": [{**CHOICE, "finish_reason": "error"}]}),
    "error of the choice": lambda: read_answer({"choices": [{**CHOICE, "error": {"message": "on fire"}}]}),
    "error": lambda: read_answer({"error": {"message": "on fire"}}),
    "error as text": lambda: read_answer({"error": "on fire", "choices": []}),
    "stream": lambda: list(StreamReader().feed(json.dumps({"choices": [{"delta": {}, "finish_reason": "error"}]}))),
    "error in a stream": lambda: list(StreamReader().feed(json.dumps({"error": {"message": "on fire"}}))),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_agent_whose_answer_failed_has_not_answered(case: str) -> None:
    with pytest.raises(ContractError, match=r"on fire|finish_reason is 'error'"):
        BROKEN[case]()
    assert read_answer({"error": None, "choices": [CHOICE]})


@pytest.mark.parametrize("budget", [duologue.Budget(tokens=4000), duologue.Budget(money=0.01)])
@pytest.mark.parametrize("usage", [None, {"prompt_tokens": None, "completion_tokens": 5}])
async def test_a_budget_counts_what_was_set_aside_where_a_provider_counts_nothing(budget: Any, usage: Any) -> None:
    said = {"choices": [{"message": {"role": "assistant", "content": "And then?"}}], "usage": usage}
    async with server(said) as url:
        user = duologue.UserSimulatorAgent(
            model=duologue.ModelConfig(model="openai/gpt-4o", api_base=url, api_key="x", max_tokens=50, temperature=0.0)
        )
        agents = [ScriptedAgent([f"Answer {number}." for number in range(200)]), user]
        with pytest.raises(BudgetExceededError, match="Part of it is an estimate: a model did not report its tokens"):
            await duologue.run("a", "b", agents, max_turns=100, budget=budget, verbose=False)
