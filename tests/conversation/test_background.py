"""Agent turns in the background: the script goes on, the next step that waits also waits for them."""

from __future__ import annotations

import asyncio

import pytest

import duologue
from duologue.errors import AgentError, ScriptError
from duologue.testing import ScriptedAgent, ScriptedUserAgent, context, run_virtual


def play(agents, script):
    return run_virtual(duologue.arun("a", "b", agents, script=script, verbose=False, context=context()))


def test_the_script_goes_on_and_the_next_waiting_step_sees_the_answer():
    seen = []
    script = [
        duologue.user("question"),
        duologue.agent(wait=False),
        lambda state: seen.append(len(state.messages)),
        duologue.user("more"),
        lambda state: seen.append(len(state.messages)),
        duologue.succeed(),
    ]
    result = play([ScriptedUserAgent([]), ScriptedAgent(["answer"], seconds=5)], script)
    assert seen == [1, 3]
    assert [message["content"] for message in result.messages] == ["question", "answer", "more"]


def test_a_second_one_while_one_is_in_flight_is_refused():
    script = [duologue.agent(wait=False), duologue.agent(wait=False)]
    with pytest.raises(ScriptError, match="already in flight"):
        play([ScriptedAgent(["x"], seconds=5)], script)


def test_the_end_of_the_script_waits_for_it():
    result = play([ScriptedAgent(["late"], seconds=5)], [duologue.agent(wait=False)])
    assert result.messages[0]["content"] == "late"


def test_its_failure_ends_the_run():
    with pytest.raises(AgentError, match="boom"):
        play(
            [ScriptedUserAgent([]), ScriptedAgent([OSError("boom")])], [duologue.agent(wait=False), duologue.user("x")]
        )


def test_messages_that_arrive_while_an_agent_answers_are_not_lost():
    agent = ScriptedAgent(["first", "second"], seconds=5)

    async def speak(state):
        await asyncio.sleep(1)
        state.add_message({"role": "user", "content": "wait, also this"})

    script = [duologue.user("question"), duologue.agent(wait=False), speak, duologue.agent(), duologue.succeed()]
    play([ScriptedUserAgent([]), agent], script)
    assert [message["content"] for message in agent.inputs[1].new_messages] == ["wait, also this"]
