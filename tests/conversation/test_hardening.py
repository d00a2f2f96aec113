"""Misuse and bad luck that a run must survive without lying about it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from waiting import LONG

import duologue
from duologue.errors import AgentError, AgentTimeoutError, ConfigurationError, RunTimeoutError, ScriptError
from duologue.testing import FaultInjector, ScriptedAgent, ScriptedUserAgent, context, run_virtual
from duologue.vocabulary import CheckStatus, Scope


def cast(*more):
    return [ScriptedUserAgent(["hi"], repeat=True), ScriptedAgent(["hello"], repeat=True), *more]


async def play(agents, script=None, **options):
    return await duologue.arun("a", "b", agents, script=script, verbose=False, context=context(), **options)


async def test_turn_checks_see_every_turn_of_a_script():
    turns = []

    class Turnwise:
        name, kind, scope = "t", "python", Scope.TURN

        async def evaluate(self, input):
            turns.append(input.turn)
            return duologue.CheckOutcome(status=CheckStatus.PASSED)

    await play(cast(), [duologue.user(), duologue.agent()] * 3, checks=[Turnwise()])
    assert turns == [0, 1, 2]


async def test_addresses_headers_and_options_of_providers_stay_out_of_journals(tmp_path):
    model = duologue.ModelConfig(
        model="openai/x", api_base="https://me:pw-1@host/", api_key="sk-2", extra_headers={"Authorization": "tok-3"}
    )
    config = duologue.ScenarioConfig(default_model=model, record=tmp_path, verbose=False)
    result = await duologue.ScenarioExecutor("a", "b", cast(), [duologue.succeed()], config=config).run()
    text = result.journal.read_text()
    assert "openai/x" in text
    assert not any(secret in text for secret in ("pw-1", "sk-2", "tok-3"))


def test_an_agent_that_swallows_its_cancellation_still_times_out_and_poisons_nothing():
    class Stubborn(duologue.AgentAdapter):
        async def call(self, input):
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                return "I go on"

    with pytest.raises(AgentTimeoutError):
        run_virtual(play([ScriptedUserAgent(["hi"]), Stubborn()]))

    async def later():
        with pytest.raises(AgentTimeoutError):
            await play([ScriptedUserAgent(["hi"]), Stubborn()])
        assert asyncio.current_task().cancelling() == 0
        with pytest.raises(RunTimeoutError):
            await play([ScriptedAgent(["x"], repeat=True, seconds=30)], run_timeout=40)

    run_virtual(later())


def test_a_result_from_a_background_turn_ends_the_run():
    done = duologue.ScenarioResult(success=False, reasoning="hung up")
    script = [duologue.agent(wait=False), duologue.user("are you there?"), duologue.succeed()]
    result = run_virtual(play([ScriptedUserAgent([]), ScriptedAgent([done], seconds=1)], script))
    assert result.reasoning == "hung up"
    result = run_virtual(play([ScriptedAgent([done], seconds=1)], [duologue.agent(wait=False)]))
    assert result.termination is duologue.Termination.AGENT_DONE


async def test_what_steps_and_agents_are_given_is_theirs_to_change(tmp_path):
    call = {"id": "c", "type": "function", "function": {"name": "book", "arguments": "{}"}}

    class Vandal(duologue.AgentAdapter):
        async def call(self, input):
            if input.messages[-1].get("tool_calls"):
                input.messages[-1]["tool_calls"][0]["function"]["name"] = "forged"
            return {"role": "assistant", "content": None, "tool_calls": [call]}

    def vandal(state):
        state.messages[0]["content"] = "forged"
        state.last_message()["content"] = "forged"
        state.last_tool_call("book")["function"]["name"] = "forged"

    script = [duologue.user("true"), duologue.agent(), duologue.agent(), vandal, duologue.succeed()]
    result = await play([ScriptedUserAgent([]), Vandal()], script, record=tmp_path)
    assert "forged" not in str(result.messages)
    assert result == duologue.read_result(result.journal)


def test_a_message_that_replaces_a_rolled_back_one_is_delivered():
    agent = ScriptedAgent(["first", "second"], seconds=5)

    async def replace(state):
        await state.executor.conversation.setup.context.clock.sleep(1)
        state.rollback_messages_to(0)
        state.add_message({"role": "user", "content": "rather this"})

    script = [duologue.user("that"), duologue.agent(wait=False), replace, duologue.agent(), duologue.succeed()]
    run_virtual(play([ScriptedUserAgent([]), agent], script))
    assert [message["content"] for message in agent.inputs[1].new_messages] == ["rather this"]


@pytest.mark.parametrize(
    "options",
    [
        {"max_turns": -1},
        {"max_turns": 2.5},
        {"agent_timeout": 0},
        {"run_timeout": -5},
        {"seed": "x"},
        {"verbose": "loud"},
    ],
)
async def test_settings_that_make_no_sense_are_refused_by_name(options):
    [(name, value)] = options.items()
    with pytest.raises(ConfigurationError, match=f"{name}=?.*{value!r}"):
        await duologue.arun("a", "b", cast(), **options)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="max_turn"):
        duologue.ScenarioConfig(max_turn=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": None}, "the name of a scenario is None"),
        ({"description": 7}, "the description of a scenario is 7"),
        ({"metadata": {"x": object()}}, "metadata holds something that is no JSON data"),
    ],
)
async def test_a_scenario_is_made_of_plain_data(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        await duologue.arun(**{"name": "a", "description": "b", "agents": cast(), "verbose": False, **arguments})


async def test_the_time_of_a_failed_call_counts():
    def fail(input):
        raise OSError

    with pytest.raises(AgentError) as caught:
        await play([ScriptedUserAgent(["x"]), ScriptedAgent([fail], seconds=0.01)])
    assert caught.value.result.agent_time >= 0.01


async def test_one_executor_plays_one_run_at_a_time():
    executor = duologue.prepare("a", "b", cast(), script=[lambda state: asyncio.sleep(0.01)], verbose=False)
    first = asyncio.create_task(executor.run())
    await asyncio.sleep(0)
    with pytest.raises(ScriptError, match="is being played already"):
        await executor.run()
    assert (await first).verdict is duologue.Verdict.UNDECIDED
    assert (await executor.run()).verdict is duologue.Verdict.UNDECIDED


async def test_a_broken_configuration_inside_the_agent_is_the_agents_failure():
    class Confused(duologue.AgentAdapter):
        async def call(self, input):
            return input.last_new_user_message_str()

    with pytest.raises(AgentError, match="No new user messages"):
        await play([Confused()], [duologue.agent()])


def test_headless_runs_ask_nobody(monkeypatch):
    monkeypatch.setenv("DUOLOGUE_HEADLESS", "1")
    monkeypatch.setattr("sys.stdin", None)
    result = asyncio.run(play(cast(), max_turns=1, debug=True))
    assert result.messages[0]["content"] == "hi"


async def test_a_fault_injector_keeps_what_it_wraps():
    inner = ScriptedAgent(["x"], name="Inner")
    inner.timeout = 3
    wrapped = FaultInjector(inner, {1: []})
    assert (wrapped.name, wrapped.timeout, wrapped.role) == ("Inner", 3, inner.role)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_run_works_in_a_forked_child():

    code = (
        "import asyncio, os, duologue\n"
        "from duologue.testing import ScriptedAgent\n"
        "def play():\n"
        "    agents, script = [ScriptedAgent(['x'])], [duologue.succeed()]\n"
        "    return asyncio.run(duologue.run('a', 'b', agents, script=script, verbose=False))\n"
        "play()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(0 if play().success else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=LONG, check=False)
    assert done.returncode == 0
