"""Three-valued verdicts: what passes, what fails, what is undecided, what is an error."""

from __future__ import annotations

import pytest

import duologue
from duologue import RunStatus, Termination, Verdict, checks
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent, context
from duologue.vocabulary import Scope


def cast(*more):
    return [ScriptedUserAgent(["hi"], repeat=True), ScriptedAgent(["hello"], repeat=True), *more]


async def play(agents, script=None, **options):
    return await duologue.arun("a", "b", agents, script=script, verbose=False, context=context(), **options)


class CriteriaJudge(duologue.AgentAdapter):
    """Finds met what starts with 'ok', unmet the rest."""

    role = duologue.AgentRole.JUDGE

    def __init__(self, *own):
        self.own = list(own)

    async def call(self, input):
        criteria = input.judgment_request.criteria if input.judgment_request else None
        criteria = self.own if criteria is None else criteria
        passed = [text for text in criteria if text.startswith("ok")]
        failed = [text for text in criteria if not text.startswith("ok")]
        return duologue.ScenarioResult(success=not failed, passed_criteria=passed, failed_criteria=failed)


async def test_end_of_script_without_verdict_is_undecided_with_advice():
    result = await play(cast(), [duologue.user(), duologue.agent()])
    assert result.verdict is Verdict.UNDECIDED
    assert result.status is RunStatus.COMPLETED
    assert "duologue.judge()" in result.reasoning
    assert not result.success


async def test_passed_checkpoints_are_compiled_into_a_pass():
    script = [duologue.user(), duologue.judge(["ok 1", "ok 2"]), duologue.agent(), duologue.judge(["ok 3"])]
    result = await play(cast(CriteriaJudge()), script)
    assert result.success
    assert result.passed_criteria == ["ok 1", "ok 2", "ok 3"]
    assert result.reasoning == "All inline criteria checkpoints passed"
    assert result.termination is Termination.SCRIPT_END


async def test_a_failed_checkpoint_ends_the_run_with_all_that_was_decided():
    script = [duologue.user(), duologue.judge(["ok 1"]), duologue.judge(["ok 2", "bad"]), duologue.fail("not reached")]
    result = await play(cast(CriteriaJudge()), script)
    assert result.verdict is Verdict.FAIL
    assert result.passed_criteria == ["ok 1", "ok 2"]
    assert result.failed_criteria == ["bad"]
    assert result.termination is Termination.JUDGED


async def test_the_final_judgement_keeps_what_checkpoints_passed():
    judge = CriteriaJudge("ok own")
    result = await play(cast(judge), [duologue.user(), duologue.judge(["ok 1"]), duologue.judge(), duologue.fail()])
    assert result.success
    assert result.passed_criteria == ["ok 1", "ok own"]
    assert judge.own == ["ok own"]


async def test_an_undecided_checkpoint_ends_the_run_undecided():
    result = await play(
        cast(ScriptedJudge([Verdict.UNDECIDED])), [duologue.user(), duologue.judge(["x"]), duologue.succeed()]
    )
    assert result.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(("step", "verdict"), [(duologue.succeed, Verdict.PASS), (duologue.fail, Verdict.FAIL)])
async def test_succeed_and_fail_decide_and_say_why(step, verdict):
    result = await play(cast(), [duologue.user(), step("because")])
    assert (result.verdict, result.reasoning) == (verdict, "because")
    assert result.total_time is not None
    assert result.agent_time is not None
    assert "duologue." in (await play(cast(), [step()])).reasoning


async def test_a_function_may_end_the_run():
    async def step(state):
        return duologue.ScenarioResult(success=len(state.messages) == 1)

    assert (await play(cast(), [duologue.user(), step])).success


async def test_a_failed_assertion_fails_the_run_and_reaches_the_caller(tmp_path):
    def step(state):
        assert state.has_tool_call("book"), "nothing was booked"

    script = [duologue.user(), duologue.judge(["ok 1"]), step]
    with pytest.raises(AssertionError, match="nothing was booked") as caught:
        await play(cast(CriteriaJudge()), script, record=tmp_path)
    [path] = tmp_path.iterdir()
    result = duologue.read_result(path)
    assert result == caught.value.result
    assert result.verdict is Verdict.FAIL
    assert result.status is RunStatus.COMPLETED
    assert result.passed_criteria == ["ok 1"]
    assert result.failed_criteria[0].startswith("nothing was booked")


async def test_an_assertion_in_a_callback_fails_the_run():
    def on_turn(state):
        raise AssertionError("too long")

    with pytest.raises(AssertionError, match="too long"):
        await play(cast(), [duologue.proceed(on_turn=on_turn)])


def says_hello(state):
    """The agent says hello."""
    return "hello" in state.last_agent_message()["content"]


def never(state):
    raise AssertionError("it never does")


async def test_checks_alone_can_pass_a_run():
    result = await play(cast(), [duologue.user(), duologue.agent()], checks=[says_hello])
    assert result.success
    assert result.passed_criteria == ["The agent says hello"]


async def test_checks_decide_when_the_turns_are_used_up_and_nobody_judges():
    assert (await play(cast(), max_turns=1, checks=[says_hello])).success
    result = await play(cast(), max_turns=1, checks=[never])
    assert result.verdict is Verdict.FAIL
    assert result.termination is Termination.MAX_TURNS


async def test_a_check_vetoes_a_pass_and_all_checks_are_reported():
    result = await play(cast(ScriptedJudge([True])), checks=[never, says_hello])
    assert result.verdict is Verdict.FAIL
    assert [check.status.value for check in result.checks] == ["failed", "passed"]
    assert "it never does" in result.reasoning
    assert result.failed_criteria == ["never"]


async def test_a_check_never_rescues_a_fail_or_an_undecided_judgement():
    assert (await play(cast(ScriptedJudge([False])), checks=[says_hello])).verdict is Verdict.FAIL
    undecided = await play(cast(ScriptedJudge([Verdict.UNDECIDED])), checks=[says_hello])
    assert undecided.verdict is Verdict.UNDECIDED


async def test_a_broken_check_is_an_error_and_no_verdict():
    def broken(state):
        return 1 / 0

    with pytest.raises(duologue.errors.CheckError, match="ZeroDivisionError") as caught:
        await play(cast(), [duologue.user(), duologue.agent()], checks=[broken])
    assert caught.value.result.status is RunStatus.ERROR
    assert caught.value.result.verdict is None


async def test_check_steps_end_the_run_only_when_they_fail():
    result = await play(
        cast(), [duologue.user(), duologue.agent(), duologue.check(says_hello), duologue.succeed("end")]
    )
    assert result.reasoning == "end"
    result = await play(
        cast(), [duologue.user(), duologue.agent(), duologue.check(never, says_hello), duologue.succeed()]
    )
    assert result.verdict is Verdict.FAIL
    assert len(result.checks) == 2


async def test_turn_checks_look_at_one_turn_at_a_time():
    seen = []

    class Turnwise:
        name = "short"
        kind = "python"
        scope = duologue.vocabulary.Scope.TURN

        async def evaluate(self, input):
            seen.append((input.turn, [record.message["content"] for record in input.records]))
            return duologue.CheckOutcome(status=duologue.vocabulary.CheckStatus.PASSED)

    await play(cast(), max_turns=2, checks=[Turnwise()])
    assert seen == [(0, ["hi", "hello"]), (1, ["hi", "hello"])]


async def test_an_advisory_judge_is_shown_and_decides_nothing():
    advisory = duologue.ScenarioResult(success=False, reasoning="I think not", advisory=True)
    executor = duologue.prepare(
        "a",
        "b",
        cast(ScriptedJudge([advisory], repeat=True)),
        max_turns=1,
        verbose=False,
        checks=[says_hello],
        context=context(),
    )
    result = await executor.run()
    assert result.success
    assert result.decisions == []
    assert executor.state.view.judgements[0].advisory


async def test_a_user_that_is_done_lets_the_agent_answer_and_the_judge_decide():
    class Leaving(duologue.AgentAdapter):
        role = duologue.AgentRole.USER

        async def call(self, input):
            return duologue.UserDone(reason="goal_reached", message="Thanks, bye")

    class Judge(duologue.AgentAdapter):
        role = duologue.AgentRole.JUDGE

        async def call(self, input):
            assert input.judgment_request is not None
            return duologue.ScenarioResult(success=True)

    result = await play([Leaving(), ScriptedAgent(["Bye"]), Judge()])
    assert [message["content"] for message in result.messages] == ["Thanks, bye", "Bye"]
    assert result.termination is Termination.USER_DONE
    assert result.success


async def test_a_user_that_leaves_silently_gets_no_answer_and_the_script_goes_on():
    class Gone(duologue.AgentAdapter):
        role = duologue.AgentRole.USER

        async def call(self, input):
            return duologue.UserDone(reason="gave_up")

    agent = ScriptedAgent([])
    reached = []
    result = await play(
        [Gone(), agent], [duologue.proceed(), lambda state: reached.append(True)], checks=[lambda s: True]
    )
    assert agent.inputs == []
    assert reached == [True]
    assert result.termination is Termination.USER_DONE
    assert result.success


def test_a_result_cannot_contradict_its_verdict():
    with pytest.raises(ValueError, match="contradicts"):
        duologue.ScenarioResult(success=True, verdict=Verdict.FAIL)
    assert duologue.ScenarioResult(success=False).verdict is Verdict.FAIL
    assert "FAILED" in repr(duologue.ScenarioResult(success=False))


async def test_a_check_that_fails_in_several_turns_counts_once_with_its_turns() -> None:
    check = checks.create("contains", {"patterns": ["refund"]}, scope=Scope.TURN)
    agent = ScriptedAgent(["hello", "your refund", "bye"])
    user = duologue.ScriptedUser(["a", "b", "c"])
    result = await duologue.arun("turns", "", [agent, user], checks=[check], max_turns=3, verbose=False)
    assert result.verdict is Verdict.FAIL
    assert result.failed_criteria == [check.name]
    assert result.passed_criteria == []
    assert result.reasoning
    assert result.reasoning.startswith(f"Failed checks: {check.name}: missing: 'refund' (turns 1, 3)")
    assert result.reasoning.count("missing") == 1


async def test_a_check_of_a_run_looks_at_the_conversation() -> None:
    check = checks.create("contains", {"patterns": ["refund"]})
    agent = ScriptedAgent(["hello", "your refund", "bye"])
    user = duologue.ScriptedUser(["a", "b", "c"])
    result = await duologue.arun("whole", "", [agent, user], checks=[check], max_turns=3, verbose=False)
    assert (result.verdict, len(result.checks)) == (Verdict.PASS, 1)


@pytest.mark.parametrize("status", ["completed", duologue.RunStatus.COMPLETED])
def test_a_completed_result_has_a_verdict(status):
    assert duologue.ScenarioResult(success=True, status=status).verdict is Verdict.PASS
    assert duologue.ScenarioResult(success=False, status=status).verdict is Verdict.FAIL
    with pytest.raises(ValueError, match="without a verdict"):
        duologue.ScenarioResult(success=False, status=status, verdict=None)


@pytest.mark.parametrize("status", ["error", "cancelled", "running", "queued", "pending"])
def test_only_a_completed_result_has_a_verdict(status):
    assert duologue.ScenarioResult(success=False, status=status).verdict is None
    for success, verdict in ((True, "pass"), (False, "fail"), (False, "undecided")):
        with pytest.raises(ValueError, match="only a completed run has a verdict"):
            duologue.ScenarioResult(success=success, status=status, verdict=verdict)
