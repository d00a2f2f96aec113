"""The conversation that text runtimes share: order, what ends it, what it comes to, whose failure is whose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from openai_server import openai_server
from openai_server import text as model_says
from pydantic import BaseModel
from runtime_cases import args_for, texts

from duologue.conversation.result import ScenarioResult
from duologue.errors import AgentError, AgentTimeoutError, RunCancelledError, RunTimeoutError, SimulatorError
from duologue.messages import assistant_message, tool_call, tool_message
from duologue.runtimes import (
    AgentReply,
    AgentSnapshot,
    AgentTurn,
    RuntimeConfig,
    RuntimeRunArgs,
    TestCaseRunResult,
    TextRuntimeBase,
    UserSimulatorConfig,
)

Say = Callable[[AgentTurn], Any]
HANG_UP = {
    "type": "function",
    "function": {"name": "hang_up", "parameters": {"type": "object"}},
    "platform_config": {"terminating": True},
}


class Echo(TextRuntimeBase[list[str]]):
    """Repeats the user, or says what a function gives."""

    KIND: ClassVar[str] = "echo"
    LABEL: ClassVar[str] = "Echo"
    DESCRIPTION: ClassVar[str] = "Repeats the user"

    def __init__(self, say: Say | None = None, build: Callable[[], Any] | None = None) -> None:
        self.say, self.build = say, build
        self.closed: list[list[str]] = []
        self.turns: list[AgentTurn] = []

    def supported_for_platform(self, platform: str | None) -> bool:
        return True

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: object) -> None:
        return

    async def build_text_agent_config(self, runtime_config: BaseModel, args: RuntimeRunArgs, session: object) -> Any:
        if self.build is not None:
            await self.build()
        return [args.test_case.id]

    async def do_agent_turn(self, agent_config: list[str], turn: AgentTurn) -> Any:
        self.turns.append(turn)
        if self.say is None:
            return f"{turn.index}: {turn.input.last_new_user_message_str()}"
        said = self.say(turn)
        return await said if asyncio.iscoroutine(said) else said

    async def close_text_agent(self, agent_config: list[str]) -> None:
        self.closed.append(agent_config)

    def text_agent_metadata(self, agent_config: list[str]) -> Mapping[str, Any]:
        return {"call_id": agent_config[0]}


async def played(args: RuntimeRunArgs, say: Say | None = None) -> TestCaseRunResult:
    runtime = Echo(say)
    try:
        return await runtime.run_test_case(RuntimeConfig(), args, None)
    finally:
        assert runtime.closed == [["case-1"]]


async def test_transcript_has_all_that_was_said_and_how_long_the_agent_took() -> None:
    result = await played(args_for("one", "two"))
    assert [(turn.role, turn.content, turn.turn, turn.index) for turn in result.transcript] == [
        ("user", "one", 0, 0),
        ("assistant", "0: one", 0, 1),
        ("user", "two", 1, 2),
        ("assistant", "1: two", 1, 3),
    ]
    assert [turn.latency_ms is not None for turn in result.transcript] == [False, True, False, True]
    assert result.runtime_metadata == {"call_id": "case-1", "termination": "user_done"}
    assert (result.agent_token_usage, result.platform_token_usage, result.agent_cost_usd) == ({}, {}, 0.0)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"first_message": "Hi!"}, ["Hi!", "0: Hi!", "one", "1: one"]),
        ({"first_turn": "agent", "first_message": "Welcome."}, ["Welcome.", "one", "0: one"]),
        ({"first_turn": "agent"}, ["agent begins", "one", "1: one"]),
    ],
)
async def test_who_speaks_first(case: dict[str, Any], said: list[str]) -> None:
    def say(turn: AgentTurn) -> str:
        return f"{turn.index}: {turn.input.messages[-1]['content']}" if turn.input.messages else "agent begins"

    assert [turn.content for turn in (await played(args_for("one", case=case), say)).transcript] == said


async def test_terminating_tool_ends_the_conversation() -> None:
    def say(turn: AgentTurn) -> Any:
        calls = [tool_call("hang_up" if turn.index else "look_up", {}, f"c{turn.index}")]
        return [assistant_message(None, calls), tool_message(f"c{turn.index}", "done"), assistant_message("There.")]

    agent = AgentSnapshot(agent_id="a", tools=[HANG_UP, {"type": "function", "function": {"name": "look_up"}}])
    result = await played(args_for("one", "two", "three", agent=agent), say)
    assert texts(result, "user") == ["one", "two"]
    assert (result.runtime_metadata or {})["termination"] == "agent_done"


async def test_agent_can_end_the_conversation_without_a_word() -> None:
    result = await played(args_for("one", "two"), lambda turn: AgentReply(said=[], ended=True))
    assert [turn.content for turn in result.transcript] == ["one"]


@pytest.mark.parametrize(("max_turns", "answers"), [(1, 1), (3, 3), (None, 10)])
async def test_turns_are_limited_even_if_nobody_says_so(max_turns: int | None, answers: int) -> None:
    result = await played(args_for(*(str(number) for number in range(30)), max_turns=max_turns))
    assert len(texts(result, "assistant")) == answers
    assert (result.runtime_metadata or {})["termination"] == "max_turns"


async def test_user_played_by_a_model_can_end_the_conversation_and_is_told_no_expected_outcome() -> None:
    async with openai_server() as server:
        server.script(
            model_says(json.dumps({"message": "My parcel is late.", "done": False, "reason": None})),
            model_says(json.dumps({"message": "Thanks, bye.", "done": True, "reason": "goal_reached"})),
        )
        user = UserSimulatorConfig(model="openai/gpt-5-mini", api_base=server.url)
        case = {
            "persona_context": "A florist in a hurry.",
            "user_context": {"parcel": "P-77"},
            "expected_outcomes": ["The agent opens a ticket for the carrier."],
        }
        result = await played(args_for(user_simulator=user, case=case))
        asked = json.dumps(server.requests)
    assert texts(result, "user") == ["My parcel is late.", "Thanks, bye."]
    assert (result.runtime_metadata or {})["termination"] == "user_done"
    assert result.platform_token_usage == {"prompt_tokens": 22, "completion_tokens": 14, "total_tokens": 36}
    assert result.platform_cost_usd > 0
    assert "florist" in asked
    assert "P-77" in asked
    assert "ticket for the carrier" not in asked


async def test_simulated_user_that_fails_is_not_the_agents_failure() -> None:
    async with openai_server() as server:
        server.script(*[model_says("")] * 8)
        user = UserSimulatorConfig(model="openai/gpt-5-mini", api_base=server.url)
        with pytest.raises(SimulatorError):
            await played(args_for(user_simulator=user))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "the answer is empty; sent: 1 message, the last from the user: 'one'; came back: nothing"),
        (" \n", "the answer is empty"),
        ([], "the answer is empty"),
        (None, "found NoneType"),
        (5, "found int"),
        ([assistant_message(None)], "the answer is empty"),
        ([tool_message("c", "x")], "the answer is empty"),
        (
            [assistant_message(None, [tool_call("f", {}, "c")]), tool_message("c", "x")],
            "ends with the result of a tool",
        ),
        (ScenarioResult(success=True), "found ScenarioResult"),
        ([{"content": "no role"}], "empty"),
    ],
)
async def test_answer_that_is_none_is_an_error_of_the_agent(said: Any, told: str) -> None:
    with pytest.raises(AgentError, match=told):
        await played(args_for("one"), lambda _: said)


async def test_code_of_a_runtime_that_raises_is_an_error_that_says_what_was_sent() -> None:
    def say(_: AgentTurn) -> str:
        raise KeyError("slot")

    with pytest.raises(AgentError, match=r"KeyError: 'slot'.*the last from the user: 'one'") as caught:
        await played(args_for("one"), say)
    assert caught.value.result is not None
    assert not caught.value.result.success


async def test_turn_that_takes_too_long_is_an_error_and_the_agent_is_closed() -> None:
    async def say() -> str:
        await asyncio.sleep(600)
        return "late"

    with pytest.raises(AgentTimeoutError, match=r"no answer within 0\.2 s; sent: .*'one'"):
        await played(args_for("one", agent_timeout=0.2), lambda _: say())


@pytest.mark.parametrize("cancelled", [True, False])
async def test_agent_that_cannot_be_prepared_in_time_ends_the_test_case(cancelled: bool) -> None:
    started, cancel = asyncio.Event(), asyncio.Event()

    async def build() -> None:
        started.set()
        await asyncio.sleep(600)

    args = args_for("one", cancel=cancel, timeout_per_test_case_ms=600_000 if cancelled else 100)
    running = asyncio.create_task(Echo(build=build).run_test_case(RuntimeConfig(), args, None))
    await started.wait()
    if cancelled:
        cancel.set()
    with pytest.raises(RunCancelledError if cancelled else RunTimeoutError):
        await running


async def test_cancelled_caller_cancels_the_conversation() -> None:
    started = asyncio.Event()
    ended = asyncio.Event()

    async def say() -> str:
        started.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()
        return ""

    running = asyncio.create_task(played(args_for("one", cancel=asyncio.Event(), agent_timeout=900.0), lambda _: say()))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_one_runtime_drives_many_test_cases_at_once() -> None:
    runtime = Echo()

    async def one(number: int) -> list[Any]:
        result = await runtime.run_test_case(RuntimeConfig(), args_for(f"n{number}", "again"), None)
        return texts(result, "assistant")

    results = await asyncio.gather(*(one(number) for number in range(50)))
    assert results == [[f"0: n{number}", "1: again"] for number in range(50)]
