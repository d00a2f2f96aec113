"""The list of prices is loaded beside the event loop, whoever reports the first usage."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from http_agents import HttpAgents, http_agents
from waiting import LONG

import duologue
from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.models import prices


class Completion(AgentAdapter):
    async def call(self, input: AgentInput) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
        message = {"role": "assistant", "content": "hello"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return {"id": "c", "object": "chat.completion", "model": "gpt-5-mini", "choices": [choice], "usage": usage}


@pytest.fixture(scope="module")
def server() -> Iterator[HttpAgents]:
    with http_agents() as running:
        yield running


@pytest.mark.parametrize(
    "make",
    [
        lambda url: duologue.HttpAgent(f"{url}/v1/chat/completions"),
        lambda url: duologue.HttpAgent(f"{url}/v1/chat/completions", stream=True, model="gpt-5-mini"),
        lambda _: Completion(),
    ],
    ids=["whole", "streamed", "returned object"],
)
def test_the_loop_goes_on_while_the_prices_are_loaded(
    server: HttpAgents, monkeypatch: pytest.MonkeyPatch, make: Callable[[str], AgentAdapter]
) -> None:
    ticks, loading = threading.Semaphore(0), threading.Event()
    loaded: list[bool] = []

    def slow() -> None:
        loading.set()
        loaded.append(all(ticks.acquire(timeout=LONG) for _ in range(3)))
        monkeypatch.setattr(prices, "_loaded", True)

    monkeypatch.setattr(prices, "_load", slow)
    monkeypatch.setattr(prices, "_loaded", False)

    async def main() -> duologue.ScenarioResult:
        async def tick() -> None:
            while not loaded:
                if loading.is_set():
                    ticks.release()
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        agents = [duologue.ScriptedUser(["hello"]), make(server.url)]
        script = [duologue.user(), duologue.agent(), duologue.succeed()]
        result = await duologue.arun("n", "d", agents, script=script, verbose=False)
        loaded.append(True)
        await ticking
        return result

    result = asyncio.run(main())
    assert loaded[0]
    assert result.usage.total_tokens > 0
    assert result.cost > 0
