"""The embedded language model as it is: the real engine, the real weights, a real server process."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from duologue.errors import ConfigurationError, ModelRejectedError, ModelUnavailableError
from duologue.messages import arguments_of, system_message, tool_message, user_message
from duologue.models.base import ModelRequest, ToolSpec
from duologue.models.local import LocalModel, find, status, stop
from duologue.models.local._files import assemble
from duologue.models.local._launcher import ServerFolder, ServerState
from duologue.models.local._weights import CATALOGUE, DEFAULT_MODEL, packaged_parts, prepare
from duologue.settings import ModelConfig

pytestmark = pytest.mark.live

TRACK = ToolSpec(
    name="track_order",
    description="Where an order is.",
    parameters={"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
)
BOOK = ToolSpec(
    name="book_table",
    description="Book a table.",
    parameters={
        "type": "object",
        "properties": {"party": {"$ref": "#/$defs/Party"}},
        "required": ["party"],
        "$defs": {
            "Party": {
                "type": "object",
                "properties": {"people": {"type": "integer"}, "time": {"type": "string"}},
                "required": ["people", "time"],
                "additionalProperties": False,
            }
        },
    },
)
CALLS = """\
[The customer wants to cancel order 1207. Name: Kim Moss.]
Agent: Thanks for calling, how can I help you?
Customer: Hello, please cancel order 1207.
Agent: What is your name?
Customer: Kim Moss.
Agent: Done, it is cancelled.
Customer: Thank you. Bye.

[The customer wants a refund because the headphones in order 48213 arrived broken. Name: Sam Lee.]
Agent: Thanks for calling SoundShop, how can I help you?
Customer:"""


@pytest.fixture(scope="module")
def weights() -> Path:
    """The packaged weights, put together in this machine's own cache."""
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    try:
        return prepare(find(DEFAULT_MODEL)).path
    except ConfigurationError:
        pytest.skip("the weights of the embedded model are not installed")


@pytest.fixture(scope="module")
def shared_cache(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the server of most tests lives; it is stopped at the end."""
    cache = tmp_path_factory.mktemp("cache")
    yield cache
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUOLOGUE_CACHE_DIR", str(cache))
        stop()


@pytest.fixture
def model(shared_cache: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> LocalModel:
    monkeypatch.setenv("DUOLOGUE_CACHE_DIR", str(shared_cache))
    return LocalModel.from_config(ModelConfig(model=f"local:{weights}"))


@pytest.fixture
async def own(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelConfig]:
    """A setting whose server is this test's alone: a small context, so that it starts fast."""
    monkeypatch.setenv("DUOLOGUE_CACHE_DIR", str(tmp_path))
    yield ModelConfig(model=f"local:{weights}", context=512)
    stop()


def running() -> ServerState:
    (state,) = [state for folder in ServerFolder.all() if folder.alive() and (state := folder.read())]
    return state


def test_the_packages_hold_the_pinned_weights(weights: Path, tmp_path: Path) -> None:
    known = CATALOGUE[DEFAULT_MODEL]
    assert known.parts
    parts = [path for path in packaged_parts(known.parts) if path]
    if len(parts) < known.parts.count:
        pytest.skip("the packages with the weights are not installed")
    target = tmp_path / known.file
    assemble(parts, target, sha256=known.sha256)
    assert target.stat().st_size == known.size
    target.unlink()


async def test_a_text_is_continued_up_to_the_stop_text(model: LocalModel) -> None:
    completion = await model.complete(CALLS, stop=("\n", "Agent:"), max_tokens=40)
    assert "48213" in completion.text
    assert "\n" not in completion.text
    assert completion.usage.input_tokens > 100
    assert 0 < completion.usage.output_tokens <= 40
    assert completion.seconds > 0


async def test_logprobs_tell_how_sure_it_is(model: LocalModel) -> None:
    prompt = "Question: Is Paris the capital of France? Answer: Yes\nQuestion: Is Rome in China? Answer: No\n"
    yes = await model.complete(prompt + "Question: Is Berlin in Germany? Answer:", max_tokens=1, logprobs=10)
    (candidates,) = yes.logprobs
    assert len(candidates) == 10
    assert all(value <= 0 for value in candidates.values())
    assert sum(math.exp(value) for value in candidates.values()) <= 1.001
    assert candidates[" Yes"] > candidates[" No"]


async def test_an_answer_follows_a_json_schema(model: LocalModel) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "mood": {"enum": ["good", "bad"]}},
        "required": ["name", "age", "mood"],
        "additionalProperties": False,
    }
    answer = await model.answer(
        ModelRequest(messages=(user_message("I am Ann, 30 years old, and I feel great."),), response_schema=schema)
    )
    value = json.loads(answer.text)
    assert (value["name"], value["age"], set(value)) == ("Ann", 30, {"name", "age", "mood"})
    assert (answer.cost, answer.finish_reason, answer.attempts) == (0.0, "stop", 1)
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


async def test_a_tool_is_called_and_its_result_is_told(model: LocalModel) -> None:
    question = (system_message("You are the assistant of a shop."), user_message("Where is my order 48213?"))
    step = await model.answer(ModelRequest(messages=question, tools=(TRACK, BOOK)))
    (call,) = step.tool_calls
    assert (call["function"]["name"], arguments_of(call)) == ("track_order", {"order_id": "48213"})
    assert step.finish_reason == "tool_calls"
    history = (*question, step.message, tool_message(call["id"], '{"status": "shipped", "arrives": "tomorrow"}'))
    told = await model.answer(ModelRequest(messages=history, tools=(TRACK, BOOK)))
    assert told.tool_calls == []
    assert "tomorrow" in told.text


async def test_a_required_tool_is_called_whatever_is_said(model: LocalModel) -> None:
    answer = await model.answer(
        ModelRequest(messages=(user_message("A table for 4 at 19:30"),), tools=(BOOK,), tool_choice="required")
    )
    (call,) = answer.tool_calls
    # Which numbers, is up to the model; that they have this form, is not.
    party = arguments_of(call)["party"]
    assert (set(party), type(party["people"]), type(party["time"])) == ({"people", "time"}, int, str)


async def test_a_prompt_that_is_too_long_is_rejected_with_both_lengths(model: LocalModel) -> None:
    with pytest.raises(ModelRejectedError, match=r"exceeds the available context size \(8192 tokens\)"):
        await model.complete("word " * 9000)


async def test_cancelling_ends_the_work_of_the_engine(model: LocalModel) -> None:
    await model.complete("Hi", max_tokens=1)
    task = asyncio.create_task(model.complete("Once upon a time", max_tokens=4000))
    state = running()
    await until(lambda: busy_slots(state) > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: busy_slots(state) == 0)


async def test_only_whoever_reads_the_state_file_may_ask(model: LocalModel) -> None:
    await model.complete("Hi", max_tokens=1)
    state = running()
    async with httpx.AsyncClient(trust_env=False) as client:
        for key in ("none", "wrong"):
            answer = await client.post(
                f"{state.url}/v1/completions", json={"prompt": "Hi"}, headers={"Authorization": f"Bearer {key}"}
            )
            assert answer.status_code == 401
        assert (await client.get(state.url)).status_code == 404


async def test_conversations_in_threads_with_loops_of_their_own_share_it(model: LocalModel) -> None:
    def answered(number: int) -> str:
        return asyncio.run(model.complete(f"{number} + 1 =", max_tokens=3)).text

    texts = await asyncio.gather(*(asyncio.to_thread(answered, number) for number in range(6)))
    assert all(texts)


async def test_two_processes_that_start_at_once_get_one_server(own: ModelConfig, weights: Path) -> None:
    code = (
        "import asyncio\n"
        "from duologue.models.local import LocalModel, status\n"
        "from duologue.settings import ModelConfig\n"
        f"model = LocalModel.from_config(ModelConfig(model='local:{weights}', context=512))\n"
        "assert asyncio.run(model.complete('Hello', max_tokens=2)).text\n"
        "print([server.pid for server in status().servers])\n"
    )
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE) for _ in range(2)]
    said = [(await process.communicate())[0].decode() for process in processes]
    assert said[0] == said[1] == f"[{running().pid}]\n"
    await LocalModel.from_config(own).complete("Hello", max_tokens=2)
    assert len(status().servers) == 1


async def test_a_server_that_was_killed_is_started_again_without_a_word(own: ModelConfig) -> None:
    model = LocalModel.from_config(own)
    request = ModelRequest(messages=(user_message("Hi"),), max_tokens=3)
    assert (await model.answer(request)).attempts == 1
    first = running()
    os.kill(first.pid, signal.SIGKILL)
    answer = await model.answer(request)
    assert answer.attempts == 2
    assert running().pid != first.pid


async def test_a_server_that_is_killed_while_it_works_is_started_again(own: ModelConfig) -> None:
    model = LocalModel.from_config(own)
    await model.complete("Hi", max_tokens=1)
    first = running()
    task = asyncio.create_task(model.complete("Once upon a time", max_tokens=200))
    await until(lambda: busy_slots(first) > 0)
    os.kill(first.pid, signal.SIGKILL)
    assert (await task).text
    assert running().pid != first.pid


async def test_a_server_that_nobody_asks_stops_and_the_next_question_starts_another(own: ModelConfig) -> None:
    model = LocalModel.from_config(own.model_copy(update={"idle_seconds": 1.0}))
    await model.complete("Hi", max_tokens=1)
    (folder,) = ServerFolder.all()
    first = running()
    # Longer than the idle time, and the server stays: working is not idling.
    began = time.monotonic()
    await model.complete("Once upon a time", max_tokens=150)
    assert time.monotonic() - began > 1
    assert running() == first
    await until(lambda: not folder.alive())
    assert folder.read() is None
    assert (await model.complete("Hi", max_tokens=1)).usage.output_tokens == 1
    assert running().pid != first.pid


async def test_a_stale_state_is_replaced(own: ModelConfig) -> None:
    model = LocalModel.from_config(own)
    await model.complete("Hi", max_tokens=1)
    (folder,) = ServerFolder.all()
    stale = running()
    stop()
    folder.write(stale)
    folder.pid_file.write_text(str(os.getpid()))
    assert (await LocalModel.from_config(own).complete("Hi", max_tokens=1)).text
    assert running().pid not in {stale.pid, os.getpid()}


async def test_stopping_stops_it(own: ModelConfig) -> None:
    await LocalModel.from_config(own).complete("Hi", max_tokens=1)
    state = running()
    assert [server.pid for server in stop()] == [state.pid]
    assert status().servers == ()


async def test_a_file_that_only_begins_like_weights_is_refused_with_the_log(own: ModelConfig, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\x00" * 1000)
    with pytest.raises(ModelUnavailableError, match=r"could not be started(.|\n)*server\.log"):
        await LocalModel.from_config(f"local:{broken}").complete("Hi")


def busy_slots(state: ServerState) -> int:
    headers = {"Authorization": f"Bearer {state.api_key}"}
    slots: list[dict[str, Any]] = httpx.get(f"{state.url}/slots", headers=headers, trust_env=False).json()
    return sum(bool(slot["is_processing"]) for slot in slots)


async def until(condition: Callable[[], bool]) -> None:
    """Wait as long as it takes. The condition asks the engine, which may be slow to answer: it gets a thread."""
    while not await asyncio.to_thread(condition):
        await asyncio.sleep(0.02)
