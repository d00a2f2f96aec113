"""A user with lines: which one is next follows from the conversation."""

from __future__ import annotations

import asyncio

import pytest

import duologue
from duologue import AgentInput, ScenarioState, ScriptedUser, Termination, UserDone
from duologue.errors import SimulatorError
from duologue.testing import ScriptedAgent, context


def talker():
    return ScriptedAgent(["x"], repeat=True)


def spoken(result):
    return [m["content"] for m in result.messages if m["role"] == "user"]


async def play(*agents, **options):
    return await duologue.arun("a", "b", list(agents), verbose=False, context=context(), **options)


async def test_lines_are_said_in_order_and_then_it_is_over():
    lines = ["one", {"role": "user", "content": "two"}, lambda state: f"after {len(state.messages)}"]
    result = await play(ScriptedUser(lines), talker())
    assert spoken(result) == ["one", "two", "after 4"]
    assert result.termination is Termination.USER_DONE
    assert result.messages[-1]["role"] == "assistant"


async def test_lines_of_the_script_are_not_counted():
    script = [duologue.user("fixed"), duologue.agent(), duologue.user(), duologue.agent()]
    result = await play(ScriptedUser(["one", "two"]), talker(), script=[*script, duologue.proceed()])
    assert spoken(result) == ["fixed", "one", "two"]


async def test_two_scripted_users_count_their_own_lines():
    result = await play(ScriptedUser(["a1", "a2"]), ScriptedUser(["b1", "b2"]), talker())
    assert spoken(result) == ["a1", "b1", "a2", "b2"]


async def test_a_line_that_was_rolled_back_is_said_again():
    script = [
        duologue.user(),
        duologue.agent(),
        lambda state: state.rollback_messages_to(0) and None,
        duologue.user(),
        duologue.agent(),
    ]
    assert spoken(await play(ScriptedUser(["one", "two"]), talker(), script=script)) == ["one"]


async def test_without_done_after_running_out_is_an_error():
    with pytest.raises(SimulatorError, match="asked for line 2 and has 1"):
        await play(ScriptedUser(["one"], done_after=False), talker())


async def test_it_works_outside_a_run():
    messages = [{"role": "user", "content": "one"}]
    given = AgentInput(thread_id="t", messages=messages, new_messages=[], scenario_state=ScenarioState())
    assert await ScriptedUser(["one", "two"]).call(given) == "two"
    assert await ScriptedUser(["one"]).call(given) == UserDone(reason="out_of_lines")


async def test_one_object_serves_many_runs_at_once():
    user = ScriptedUser(["one", "two", "three"], name="Ann")
    results = await asyncio.gather(
        *(duologue.arun("a", "b", [user, talker()], verbose=False, seed=seed) for seed in range(20))
    )
    assert all(spoken(result) == ["one", "two", "three"] for result in results)
    assert user.name == "Ann"
