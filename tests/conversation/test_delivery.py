"""Who is given which message, and that nobody can change what was said."""

from __future__ import annotations

import pytest

import duologue
from duologue.testing import ScriptedAgent, ScriptedUserAgent, context


async def play(agents, script, **options):
    return await duologue.arun(
        "a", "b", agents, script=[*script, duologue.succeed()], verbose=False, context=context(), **options
    )


def contents(messages):
    return [message["content"] for message in messages]


async def test_new_messages_are_those_not_given_before_and_never_ones_own():
    agent = ScriptedAgent(["one", "two"])
    user = ScriptedUserAgent(["a", "b"])
    await play([user, agent], [duologue.proceed(turns=2)])
    assert [contents(call.new_messages) for call in agent.inputs] == [["a"], ["b"]]
    assert [contents(call.new_messages) for call in user.inputs] == [[], ["one"]]
    assert [contents(call.messages) for call in agent.inputs] == [["a"], ["a", "one", "b"]]


async def test_two_agents_hear_each_other():
    first, second = ScriptedAgent(["1a", "1b"]), ScriptedAgent(["2a", "2b"])
    await play([ScriptedUserAgent(["u", "v"]), first, second], [duologue.proceed(turns=2)])
    assert contents(second.inputs[0].new_messages) == ["u", "1a"]
    assert contents(first.inputs[1].new_messages) == ["2a", "v"]


async def test_changing_what_was_given_changes_nothing():
    class Vandal(duologue.AgentAdapter):
        async def call(self, input):
            input.messages[0]["content"] = "forged"
            input.messages.clear()
            input.new_messages[0]["role"] = "system"
            return "done"

    result = await play([ScriptedUserAgent(["true words"]), Vandal()], [duologue.proceed(turns=1)])
    assert result.messages[0] == {"role": "user", "content": "true words"}


async def test_changing_an_answer_later_changes_nothing():
    answer = {"role": "assistant", "content": "as said"}

    class Sly(duologue.AgentAdapter):
        async def call(self, input):
            answer["content"] = "as said"
            return answer

    def change(state):
        answer["content"] = "forged"

    result = await play([ScriptedUserAgent(["x"]), Sly()], [duologue.proceed(turns=1), change])
    assert result.messages[1]["content"] == "as said"


async def test_rollback_takes_messages_out_of_the_conversation_and_of_mailboxes():
    agent = ScriptedAgent(["one", "two"])

    class Regretful(duologue.AgentAdapter):
        role = duologue.AgentRole.USER

        async def call(self, input):
            if input.scenario_state.current_turn == 1:
                gone = input.scenario_state.rollback_messages_to(0)
                assert contents(gone) == ["first", "one"]
                return "again"
            return "first"

    result = await play([Regretful(), agent], [duologue.proceed(turns=2)])
    assert contents(result.messages) == ["again", "two"]
    assert contents(agent.inputs[1].new_messages) == ["again"]
    assert result.message_ids == ["m3", "m4"]


@pytest.mark.parametrize(("index", "left"), [(0, 0), (1, 1), (5, 2)])
async def test_rollback_is_clamped_to_what_there_is(index, left):
    def roll_back(state):
        state.rollback_messages_to(index)

    script = [duologue.user("a"), duologue.agent("b"), roll_back]
    result = await play([ScriptedUserAgent([]), ScriptedAgent([])], script)
    assert len(result.messages) == left


async def test_rollback_to_a_negative_index_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        await play([ScriptedUserAgent([])], [lambda state: state.rollback_messages_to(-1)])


async def test_messages_added_by_a_step_reach_everyone():
    agent = ScriptedAgent(["ok"])
    script = [
        lambda state: state.add_message({"role": "system", "content": "note"}),
        duologue.user("hi"),
        duologue.agent(),
    ]
    await play([ScriptedUserAgent([]), agent], script)
    assert contents(agent.inputs[0].new_messages) == ["note", "hi"]


async def test_asking_for_the_last_user_message_when_there_is_none_says_why():
    class Twice(duologue.AgentAdapter):
        async def call(self, input):
            return input.last_new_user_message_str()

    with pytest.raises(duologue.errors.AgentError, match="No new user messages"):
        await play([ScriptedUserAgent([]), Twice()], [duologue.agent()])


async def test_state_finds_messages_and_tool_calls():
    call = {"id": "c1", "type": "function", "function": {"name": "book", "arguments": '{"people": 4}'}}
    agent = ScriptedAgent(
        [[{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "assistant", "content": "Booked"}]]
    )
    seen = {}

    def look(state):
        seen.update(
            call=state.last_tool_call("book"),
            missing=state.last_tool_call("cancel"),
            has=state.has_tool_call("book"),
            last=state.last_message()["content"],
            user=state.last_user_message()["content"],
        )

    await play([ScriptedUserAgent([]), agent], [duologue.user("book it"), duologue.agent(), look])
    assert seen == {"call": call, "missing": None, "has": True, "last": "Booked", "user": "book it"}


async def test_state_without_messages_says_so():
    with pytest.raises(ValueError, match="No messages found"):
        await play([ScriptedUserAgent([])], [lambda state: state.last_message()])
