"""Simulated users: who plays whom in which turn, and how the suite wants them to be played."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus

Put = Callable[[str, str], Path]
BOT = {"name": "bot", "target": "bot.py:answer"}
CHECK = {"type": "contains_any", "params": {"patterns": ["yes"]}}
MOCK = """
selfplay:
  anna: {turns: {1: I am Anna., 2: Anna again.}}
  ben: {turns: {1: I am Ben., 2: Ben again.}}
"""


@pytest.fixture(autouse=True)
def _bot(put: Put) -> None:
    put("bot.py", "def answer(input): return 'yes'\n")
    put("mock.yaml", MOCK)


def mocked(**scenario: Any) -> dict[str, Any]:
    return {
        "agents": [BOT],
        "models": [{"name": "lines", "provider": "mock", "mock_file": "mock.yaml"}],
        "simulators": [{"name": "actor", "model": "lines"}],
        "personas": [{"name": "anna"}, {"name": "ben"}],
        "scenarios": [{"name": "talk", "checks": [CHECK], **scenario}],
    }


def lines(run: RunResult) -> list[Any]:
    return [item.message.get("content") for item in run.messages if item.message["role"] == "user"]


async def test_the_persona_of_the_case_speaks_unless_the_turn_names_another(play: Any) -> None:
    turns = [{"role": "simulated_user"}, {"role": "simulated_user", "persona": "ben"}]
    (anna,) = (await play(**mocked(personas=["anna"], turns=turns))).runs
    assert lines(anna) == ["I am Anna.", "Ben again."]
    assert [item.meta.get("persona") for item in anna.messages if item.message["role"] == "user"] == ["anna", "ben"]
    assert (anna.self_play, anna.persona) == (True, "anna")


async def test_each_persona_of_a_scenario_is_a_case_of_its_own(play: Any) -> None:
    execution = await play(**mocked(personas=["anna", "ben"], turns=[{"role": "simulated_user", "exchanges": 2}]))
    assert [lines(run) for run in execution.runs] == [["I am Anna.", "Anna again."], ["I am Ben.", "Ben again."]]
    assert execution.exit_code == 0


async def test_a_fixed_line_is_said_by_nobody(play: Any) -> None:
    (only,) = (await play(**mocked(turns=[{"content": "Hello"}]))).runs
    assert [item.author for item in only.messages] == [None, "bot"]
    assert not only.self_play


def spoken(server: Any, **persona: Any) -> dict[str, Any]:
    return {
        "agents": [BOT],
        "models": [
            {
                "name": "gpt",
                "provider": "openai",
                "model": "small",
                "base_url": server.url,
                "credential": {"api_key": "k"},
            }
        ],
        "simulators": [{"name": "actor", "model": "gpt"}],
        "personas": [{"name": "anna", **persona}],
    }


def says(server: Any, words: str) -> None:
    text = sys.modules[type(server).__module__].text
    server.default = text(f'{{"message": "{words}", "done": false, "reason": ""}}')


async def test_a_turn_has_a_temperature_and_a_seed_of_its_own(provider: Any, play: Any) -> None:
    says(provider, "where is it?")
    turns = [
        {"role": "simulated_user", "persona": "anna", "user_temperature": 0.25, "seed": 11},
        {"role": "simulated_user", "persona": "anna", "user_temperature": 0.75},
        {"role": "simulated_user", "persona": "anna"},
    ]
    scenario = {"name": "talk", "turns": turns, "checks": [CHECK]}
    await play(**spoken(provider, temperature=0.5, seed=3), scenarios=[scenario])
    asked = [(request.get("temperature"), request.get("seed")) for request in provider.requests]
    assert asked[0] == (0.25, 11)
    assert (0.75, 3) in asked
    assert asked[-1] == (0.5, 3)


async def test_the_instruction_of_a_persona_is_filled_in(provider: Any, play: Any) -> None:
    says(provider, "where is it?")
    template = "You are in {{region}}, want {{persona_goals}}, and say {{word}}."
    persona = {"system_template": template, "goals": ["a", "b"], "optional_vars": {"word": "{{region}}!"}}
    scenario = {"name": "talk", "turns": [{"role": "simulated_user", "persona": "anna"}], "regions": ["uk"]}
    await play(**spoken(provider, **persona), scenarios=[scenario])
    told = str(provider.requests[0]["messages"][0]["content"])
    assert "You are in uk, want a, b, and say uk!." in told


async def test_a_variable_that_a_persona_must_have_and_has_not_breaks_the_run(provider: Any, play: Any) -> None:
    persona = {"system_template": "{{mood}}", "required_vars": ["mood"]}
    scenario = {"name": "talk", "turns": [{"role": "simulated_user", "persona": "anna"}]}
    (only,) = (await play(**spoken(provider, **persona), scenarios=[scenario])).runs
    assert only.status is RunStatus.ERROR
    assert "needs the variable 'mood'" in only.error.message
    assert provider.requests == []
