"""Failures are errors, never verdicts: each says what to do, and the journal is complete up to there."""

from __future__ import annotations

import asyncio

import pytest

import duologue
from duologue import RunStatus, Termination
from duologue.errors import (
    AgentError,
    AgentReturnError,
    AgentTimeoutError,
    BudgetExceededError,
    ConfigurationError,
    JudgeError,
    RunTimeoutError,
    SimulatorError,
)
from duologue.testing import FaultInjector, ScriptedAgent, ScriptedJudge, ScriptedUserAgent, context, run_virtual


async def play(*agents, **options):
    options.setdefault("context", context())
    return await duologue.arun("greeting", "b", list(agents), verbose=False, **options)


def user(**options):
    return ScriptedUserAgent(["hi"], repeat=True, **options)


class Returning(duologue.AgentAdapter):
    def __init__(self, value):
        self.value = value

    async def call(self, input):
        return self.value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (42, "int: 42"),
        (None, "NoneType: null"),
        ({"content": "no role"}, "needs a 'role'"),
        ([{"role": "assistant", "content": "x"}, "text in a list"], "a list may hold chat messages only"),
        ({"role": "assistant", "content": "x", "extra": object()}, "cannot be written as JSON"),
        ({"role": "assistant", "content": 42}, "its 'content' is a int"),
        ({"role": "assistant", "tool_calls": [{"x": 1}]}, "each of its 'tool_calls' needs"),
        (duologue.UserDone(reason="gave_up"), "UserDone is for simulated users"),
    ],
)
async def test_nonsense_answers_are_shown_and_what_is_expected_is_said(value, shown):
    with pytest.raises(AgentReturnError, match=r"Returning") as caught:
        await play(user(), Returning(value))
    assert shown in str(caught.value)
    assert caught.value.result.status is RunStatus.ERROR


async def test_an_empty_list_is_silence():
    result = await play(user(), Returning([]), max_turns=1)
    assert len(result.messages) == 1


async def test_a_call_that_is_not_async_is_explained():
    class Sync(duologue.AgentAdapter):
        def call(self, input):
            return "hello"

    with pytest.raises(AgentReturnError, match="async def call"):
        await play(user(), Sync())


@pytest.mark.parametrize(
    ("agents", "kind", "who"),
    [
        ([ScriptedUserAgent([OSError("no line")]), ScriptedAgent([])], SimulatorError, "ScriptedUserAgent"),
        ([user(), ScriptedAgent([OSError("no line")])], AgentError, "ScriptedAgent"),
        ([user(), ScriptedAgent(["x"]), ScriptedJudge([OSError("no line")])], JudgeError, "ScriptedJudge"),
    ],
)
async def test_each_role_fails_with_its_own_error_that_says_where(agents, kind, who):
    with pytest.raises(kind, match="no line") as caught:
        await play(*agents)
    error = caught.value
    assert isinstance(error.__cause__, OSError)
    assert (error.who, error.turn, error.scenario) == (who, 0, "greeting")
    result = error.result
    assert (result.status, result.verdict, result.termination) == (RunStatus.ERROR, None, Termination.ERROR)
    assert result.error.causes == ["OSError: no line"]
    assert not result.success


async def test_the_conversation_until_the_failure_is_kept(tmp_path):
    agent = FaultInjector(ScriptedAgent(["one", "two"], repeat=True), {2: ConnectionError("gone")})
    with pytest.raises(AgentError) as caught:
        await play(user(), agent, record=tmp_path)
    kept = duologue.read_result(caught.value.result.journal)
    assert [message["content"] for message in kept.messages] == ["hi", "one", "hi"]
    assert kept == caught.value.result
    assert duologue.read_journal(kept.journal).complete


def test_an_agent_that_hangs_is_stopped_at_its_timeout():
    cancelled = []

    class Hanging(duologue.AgentAdapter):
        async def call(self, input):
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

    with pytest.raises(AgentTimeoutError, match="within 60 s") as caught:
        run_virtual(play(user(), Hanging()))
    assert cancelled == [True]
    assert caught.value.result.termination is Termination.TIMEOUT
    assert caught.value.result.total_time == pytest.approx(60)


def test_the_timeout_of_a_call_starts_anew_with_each_call():
    result = run_virtual(play(user(), ScriptedAgent(["x"], repeat=True, seconds=59), max_turns=5))
    assert result.total_time == pytest.approx(5 * 59)


def test_an_adapter_may_have_a_timeout_of_its_own():
    slow = ScriptedAgent(["x"], seconds=10)
    slow.timeout = 5
    with pytest.raises(AgentTimeoutError, match="within 5 s"):
        run_virtual(play(user(), slow))


def test_an_agents_own_timeout_error_is_not_taken_for_ours():
    with pytest.raises(AgentError) as caught:
        run_virtual(play(user(), ScriptedAgent([TimeoutError("upstream")])))
    assert not isinstance(caught.value, AgentTimeoutError)


def test_a_judge_that_hangs_is_a_judge_error():
    with pytest.raises(JudgeError, match="did not answer within 20 s"):
        run_virtual(play(user(), ScriptedAgent(["x"]), ScriptedJudge([True], seconds=1e6), model_timeout=2))


def test_the_whole_run_has_a_time_limit():
    with pytest.raises(RunTimeoutError, match="run_timeout=100") as caught:
        run_virtual(play(user(), ScriptedAgent(["x"], repeat=True, seconds=30), run_timeout=100))
    assert caught.value.result.termination is Termination.TIMEOUT
    assert len(caught.value.result.messages) == 7


async def test_a_spent_budget_ends_the_run_without_a_verdict():
    with pytest.raises(BudgetExceededError) as caught:
        await play(user(), ScriptedAgent([BudgetExceededError("2 $ are spent")]))
    assert caught.value.result.termination is Termination.BUDGET
    assert caught.value.result.verdict is None


async def test_an_exception_in_a_step_reaches_the_caller_as_it_is():
    with pytest.raises(KeyError) as caught:
        await play(user(), script=[lambda state: {}["missing"]])
    assert caught.value.result.status is RunStatus.ERROR
    assert "greeting" in caught.value.__notes__[0]


async def test_what_a_step_returns_beside_a_result_changes_nothing():
    result = await play(user(), script=[lambda state: 42, duologue.succeed()])
    assert result.status is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("agents", "script", "message"),
    [
        ([ScriptedAgent], None, r"agents\[0\] is the class ScriptedAgent"),
        (["agent"], None, r"agents\[0\] is a str; expected an AgentAdapter"),
        ([], ["user"], r"script\[0\] is a str; expected a step"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_runs(agents, script, message):
    with pytest.raises(ConfigurationError, match=message):
        await duologue.arun("a", "b", agents, script=script)


async def test_a_journal_is_never_overwritten(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("precious")
    with pytest.raises(duologue.errors.JournalError, match="never overwritten"):
        await play(user(), record=path, script=[duologue.succeed()])
    assert path.read_text() == "precious"


class Finicky(Exception):
    """Has another use for the name."""

    @property
    def result(self):
        return "mine"


class Own(Exception):
    def __init__(self):
        super().__init__("own")
        self.result = {"rows": 3}


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (ValueError("a"), None),
        (AssertionError("a"), None),
        (ConfigurationError("a"), None),
        (BudgetExceededError("a"), None),
        (duologue.errors.ModelError("a"), None),
        (Finicky("a"), "mine"),
        (Own(), {"rows": 3}),
    ],
)
async def test_what_a_step_raises_carries_the_result_and_keeps_its_own(error, kept):
    def step(state):
        raise error

    for _ in range(2):  # the same object may end several runs
        with pytest.raises(type(error)) as raised:
            await play(ScriptedAgent(["x"]), script=[step])
        assert raised.value is error
        if kept is not None:
            assert error.result == kept
        else:
            failed = isinstance(error, AssertionError)  # a verdict, and no error
            assert error.result.reasoning.startswith("Scenario failed: " if failed else "Scenario failed with error: ")
            last = error.result
    assert kept is not None or error.result is last


def test_an_error_outside_of_a_run_has_no_result():
    assert ConfigurationError("a").result is None
    assert AgentError("a").result is None


def second(role):
    class Second(duologue.AgentAdapter):
        async def call(self, input):
            return "second"

    Second.role = role
    return Second()


@pytest.mark.parametrize(
    ("role", "script", "warned"),
    [
        (duologue.AgentRole.AGENT, [duologue.user(), duologue.agent()], True),
        (duologue.AgentRole.USER, [duologue.user(), duologue.agent()], True),
        (duologue.AgentRole.JUDGE, [duologue.user(), duologue.agent()], False),
        (duologue.AgentRole.AGENT, [duologue.user(), duologue.agent(), duologue.agent()], False),
        (duologue.AgentRole.AGENT, [duologue.user(), duologue.agent(), duologue.agent("a fixed line")], False),
        (duologue.AgentRole.USER, [duologue.user("a"), duologue.user("b"), duologue.agent()], False),
        (duologue.AgentRole.AGENT, [duologue.proceed(1)], False),
        (duologue.AgentRole.AGENT, [duologue.message({"role": "system", "content": "x"})], False),
    ],
)
async def test_a_second_participant_that_has_no_part_is_warned_of(caplog, role, script, warned):
    first = ScriptedUserAgent(["hi"], repeat=True), ScriptedAgent(["hello"], repeat=True)
    await play(*first, second(role), script=[*script, duologue.succeed()])
    found = [record.getMessage() for record in caplog.records if "was never called" in record.getMessage()]
    assert bool(found) == warned
    assert not warned or found[0].startswith("agents[2] (Second) was never called")


class Mute(Exception):
    def __str__(self) -> str:
        raise self.args[0]


class MuteAssertion(Mute, AssertionError):
    pass


@pytest.mark.parametrize("kind", [Mute, MuteAssertion])
@pytest.mark.parametrize(
    "raised", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), BaseException("x"), ValueError()]
)
async def test_an_exception_that_breaks_while_its_text_is_made_ends_its_run_only(
    kind: type[Exception], raised: BaseException
) -> None:
    class Agent(duologue.AgentAdapter):
        async def call(self, input: duologue.AgentInput) -> str:
            raise kind(raised)

    script = [duologue.user(), duologue.agent()]
    executor = duologue.prepare("mute", "d", [ScriptedUserAgent(["hi"]), Agent()], script=script)
    result = await executor.perform()
    assert "its text cannot be read" in (result.reasoning or "")
