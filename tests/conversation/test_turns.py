"""The turn model: who speaks when, rule by rule."""

from __future__ import annotations

import pytest

import duologue
from duologue import AgentRole, Termination, Verdict
from duologue.conversation.turns import TurnOrder
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent, context

U, A, J = AgentRole.USER, AgentRole.AGENT, AgentRole.JUDGE


def user(*lines, **options):
    return ScriptedUserAgent(lines or ["hi"], repeat=True, **options)


def agent(*lines, **options):
    return ScriptedAgent(lines or ["hello"], repeat=True, **options)


def judge(*decisions):
    return ScriptedJudge(decisions or [None], repeat=True)


async def play(*agents, **options):
    options.setdefault("context", context())
    return await duologue.arun("a scenario", "a situation", list(agents), verbose=False, **options)


def texts(result):
    return [message["content"] for message in result.messages]


def test_several_participants_of_a_role_are_asked_in_list_order_before_the_next_role():
    order = TurnOrder([A, U, J, U, A])
    asked = []
    while (index := order.next()) is not None:
        asked.append(index)
        order.use(index)
    assert asked == [1, 3, 0, 4, 2]


def test_seeking_a_role_passes_over_the_ones_before_it():
    order = TurnOrder([U, A])
    assert order.seek(A) == 1
    order.use(1)
    assert order.seek(U) is None


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_max_turns_gives_exactly_that_many_turns_and_no_verdict(limit):
    result = await play(user(), agent(), max_turns=limit)
    assert len(result.messages) == 2 * limit
    assert result.turns == limit
    assert result.verdict is Verdict.UNDECIDED
    assert not result.success
    assert result.termination is Termination.MAX_TURNS
    assert result.reasoning == f"Reached maximum turns ({limit}) without conclusion"
    assert result.total_time is not None
    assert result.agent_time is not None


async def test_max_turns_zero_means_the_default_of_ten():
    result = await play(user(), agent(), max_turns=0)
    assert len(result.messages) == 20


async def test_a_judge_that_never_decides_is_asked_once_more_when_the_turns_are_used_up():
    asked = []

    class Judge(duologue.AgentAdapter):
        role = J

        async def call(self, input):
            asked.append(input.judgment_request is not None)
            return duologue.ScenarioResult(success=True) if input.judgment_request else []

    result = await play(user(), agent(), Judge(), max_turns=2)
    assert asked == [False, False, True]
    assert result.success
    assert result.termination is Termination.MAX_TURNS


async def test_a_script_of_explicit_steps_may_exceed_max_turns():
    steps = [duologue.user(), duologue.agent()] * 3
    result = await play(user(), agent(), max_turns=1, script=[*steps, duologue.succeed()])
    assert len(result.messages) == 6
    assert result.success


async def test_an_empty_script_lets_the_conversation_proceed():
    result = await play(user(), agent(), judge(None, True), script=[])
    assert len(result.messages) == 4
    assert result.termination is Termination.JUDGED


async def test_agent_before_user_passes_over_the_user_and_the_next_user_step_opens_a_turn():
    turns = []
    script = [
        duologue.agent(),
        lambda state: turns.append(state.current_turn),
        duologue.user(),
        lambda state: turns.append(state.current_turn),
        duologue.succeed(),
    ]
    await play(user(), agent(), script=script)
    assert turns == [0, 1]


async def test_fixed_lines_stand_in_for_the_participant_and_reach_everyone():
    under_test, simulated = agent(), user("generated")
    script = [duologue.user("fixed"), duologue.agent(), duologue.agent("said for the agent"), duologue.user()]
    result = await play(simulated, under_test, script=[*script, duologue.succeed()])
    assert texts(result) == ["fixed", "hello", "said for the agent", "generated"]
    given = [message["content"] for message in simulated.inputs[0].new_messages]
    assert given == ["fixed", "hello", "said for the agent"]
    assert len(under_test.inputs) == 1


async def test_a_fixed_line_still_needs_an_agent_of_that_role():
    with pytest.raises(duologue.conversation.executor.MissingRoleError, match=r"role `User` with content `hi`"):
        await play(agent(), script=[duologue.user("hi")])


@pytest.mark.parametrize(("step", "role"), [(duologue.user(), "User"), (duologue.judge(), "Judge")])
async def test_a_missing_role_is_named_with_what_to_add(step, role):
    with pytest.raises(ValueError, match=f"role `{role}`.*add a duologue"):
        await play(agent(), script=[step])


async def test_proceed_without_anybody_is_refused():
    with pytest.raises(ValueError, match="no agents"):
        await play()


async def test_proceed_counts_the_open_turn_as_its_first():
    script = [duologue.user("one"), duologue.proceed(turns=2), duologue.succeed()]
    result = await play(user(), agent(), script=script)
    assert len(result.messages) == 4
    assert result.turns == 2


async def test_proceed_after_user_and_agent_finishes_the_turn_with_the_judge():
    the_judge = judge()
    script = [duologue.user("one"), duologue.agent(), duologue.proceed(turns=2), duologue.succeed()]
    result = await play(user(), agent(), the_judge, script=script)
    assert [call.scenario_state is not None for call in the_judge.inputs] == [True, True]
    assert len(result.messages) == 4


async def test_on_turn_is_called_for_turns_that_open_and_on_step_after_each_part():
    opened, steps = [], []
    script = [
        duologue.proceed(
            turns=2,
            on_turn=lambda state: opened.append(state.current_turn),
            on_step=lambda state: steps.append(len(state.messages)),
        ),
        duologue.succeed(),
    ]
    await play(user(), agent(), script=script)
    assert opened == [1]
    assert steps == [1, 2, 3, 4]


async def test_on_step_sees_the_last_part_before_the_run_ends():
    steps = []

    async def on_step(state):
        steps.append(len(state.messages))

    await play(user(), agent(), judge(True), script=[duologue.proceed(on_step=on_step)])
    assert steps == [1, 2, 2]


async def test_on_turn_is_also_called_for_the_turn_that_reaches_the_limit():
    opened = []
    await play(user(), agent(), max_turns=2, script=[duologue.proceed(on_turn=lambda s: opened.append(s.current_turn))])
    assert opened == [1, 2]


async def test_any_participant_may_end_the_run_with_a_result():
    done = duologue.ScenarioResult(success=False, reasoning="the agent hung up")
    result = await play(user(), agent(done))
    assert result.termination is Termination.AGENT_DONE
    assert result.verdict is Verdict.FAIL
    assert result.reasoning == "the agent hung up"


async def test_a_judge_may_speak_and_its_words_join_the_conversation():
    class Judge(duologue.AgentAdapter):
        role = J

        async def call(self, input):
            if input.scenario_state.current_turn == 0:
                return {"role": "system", "content": "be brief"}
            return duologue.ScenarioResult(success=True)

    result = await play(user(), agent(), Judge())
    assert texts(result) == ["hi", "hello", "be brief", "hi", "hello"]


async def test_messages_of_other_roles_stand_beside_the_turns():
    script = [duologue.message({"role": "system", "content": "context"}), duologue.user(), duologue.succeed()]
    result = await play(user(), agent(), script=script)
    assert texts(result) == ["context", "hi"]
    assert result.turns == 1


async def test_stepping_by_hand_gives_the_messages_of_each_part():
    executor = duologue.prepare("a", "b", [user(), agent(), judge(True)], verbose=False, context=context())
    assert await executor.step() == [{"role": "user", "content": "hi"}]
    assert await executor.step() == [{"role": "assistant", "content": "hello"}]
    assert (await executor.step()).success


async def test_two_passing_judges_must_both_pass():
    result = await play(user(), agent(), judge(True), judge(False))
    assert result.verdict is Verdict.FAIL
    second = judge(True)
    result = await play(user(), agent(), judge(True), second)
    assert result.success
    assert second.inputs[0].judgment_request is not None
