"""@duologue.cache(): remembered by key, scenario, function and arguments; by nothing else."""

from __future__ import annotations

import pytest

import duologue
from duologue.testing import ScriptedAgent, ScriptedModel, ScriptedUserAgent


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DUOLOGUE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


async def in_run(step, cache_key="key", name="scenario", description="situation"):
    values = []

    async def capture(state):
        value = step()
        values.append(await value if hasattr(value, "__await__") else value)

    await duologue.arun(
        name, description, [ScriptedUserAgent([])], script=[capture], cache_key=cache_key, verbose=False
    )
    return values[0]


calls = []


@duologue.cache()
def double(x, *, y=0):
    calls.append(("double", x, y))
    return 2 * x + y


@duologue.cache()
def triple(x, *, y=0):
    calls.append(("triple", x, y))
    return 3 * x + y


@duologue.cache(ignore=["client"])
async def ask(client, question):
    calls.append(("ask", question))
    return f"{question}!"


@pytest.fixture(autouse=True)
def _fresh():
    calls.clear()


async def test_the_second_run_with_the_same_key_does_not_call():
    assert [await in_run(lambda: double(2)), await in_run(lambda: double(2))] == [4, 4]
    assert len(calls) == 1


async def test_two_functions_with_equal_arguments_do_not_mix():
    assert await in_run(lambda: double(2)) == 4
    assert await in_run(lambda: triple(2)) == 6


async def test_keyword_arguments_count():
    assert await in_run(lambda: double(2, y=1)) == 5
    assert await in_run(lambda: double(2, y=2)) == 6


async def test_another_key_calls_anew():
    await in_run(lambda: double(2))
    await in_run(lambda: double(2), cache_key="other")
    assert len(calls) == 2


@pytest.mark.parametrize("change", [{"name": "other"}, {"description": "other"}])
async def test_scenarios_with_one_key_share_what_is_remembered(change):
    await in_run(lambda: double(2))
    await in_run(lambda: double(2), **change)
    assert len(calls) == 1


async def test_coroutines_are_remembered_and_ignored_parameters_do_not_count():
    assert await in_run(lambda: ask(object(), "why")) == "why!"
    assert await in_run(lambda: ask(object(), "why")) == "why!"
    assert len(calls) == 1


async def test_outside_a_run_or_without_a_key_the_function_is_simply_called(folder):
    assert double(1) == 2
    await in_run(lambda: double(1), cache_key=None)
    assert len(calls) == 2
    assert not folder.exists()


async def test_an_agents_call_is_remembered_whatever_its_thread():
    class Agent(duologue.AgentAdapter):
        @duologue.cache()
        async def call(self, input):
            calls.append(input.thread_id)
            return f"answer {len(calls)}"

    async def play(line):
        return await duologue.arun(
            "a",
            "b",
            [ScriptedUserAgent([]), Agent()],
            script=[duologue.user(line), duologue.agent()],
            cache_key="k",
            verbose=False,
        )

    first, second, other = await play("hi"), await play("hi"), await play("bye")
    assert [r.messages[1]["content"] for r in (first, second, other)] == ["answer 1", "answer 1", "answer 2"]


async def test_what_the_simulated_user_and_the_judge_ask_their_models_is_remembered_too():
    def cast(answers):
        user = duologue.UserSimulatorAgent(model=ScriptedModel(answers))
        return [user, ScriptedAgent(["hello"], repeat=True)]

    async def play(answers, key):
        return await duologue.arun("a", "b", cast(answers), max_turns=1, cache_key=key, verbose=False)

    first = await play(["I would like a table"], "k")
    assert (await play([], "k")).messages == first.messages
    with pytest.raises(duologue.errors.SimulatorError):
        await play([], "another key")


async def test_a_damaged_entry_is_called_anew(folder):
    await in_run(lambda: double(2))
    [path] = (folder / "calls").iterdir()
    path.write_bytes(b"damaged")
    assert await in_run(lambda: double(2)) == 4
    assert len(calls) == 2
