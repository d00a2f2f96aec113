"""Test cases as they are played: limits of time, shares of trials, regions, judges, and agents behind an address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.suites.runner.definition import RunOptions
from duologue.vocabulary import CheckStatus, RunStatus, Verdict

Put = Callable[[str, str], Path]
AGENTS = [{"name": "bot", "target": "bot.py:answer"}]
HEARD = [{"type": "contains_any", "params": {"patterns": ["heard"]}}]


def contains(*patterns: str, **fields: Any) -> dict[str, Any]:
    return {"type": "contains", "params": {"patterns": list(patterns)}, **fields}


@pytest.fixture(autouse=True)
def _bot(put: Put) -> None:
    put("bot.py", "def answer(input): return 'heard ' + input.last_new_user_message_str()\n")


async def test_an_agent_may_take_as_long_as_the_suite_says(put: Put, play: Any) -> None:
    put("slow.py", "import asyncio\nasync def answer(input):\n    await asyncio.sleep(60)\n")
    slow = [{"name": "bot", "target": "slow.py:answer", "timeout": 0.05}]
    (only,) = (await play(agents=slow, scenarios=[{"name": "s", "turns": [{"content": "a"}]}])).runs
    assert only.error.type == "AgentTimeoutError"
    assert "0.05 s" in only.error.message


@pytest.mark.parametrize(("settings", "seconds"), [(None, "0.05"), (RunOptions(run_timeout=0.02), "0.02")])
async def test_a_run_ends_when_its_time_is_over(put: Put, play: Any, settings: RunOptions | None, seconds: str) -> None:
    put("slow.py", "import asyncio\nasync def answer(input):\n    await asyncio.sleep(60)\n")
    execution = await play(
        settings,
        agents=[{"name": "bot", "target": "slow.py:answer"}],
        defaults={"run_timeout": "50ms"},
        scenarios=[{"name": "s", "turns": [{"content": "a"}]}],
    )
    assert execution.runs[0].status is RunStatus.ERROR
    assert f"run_timeout={seconds}" in execution.runs[0].error.message
    assert execution.exit_code == 3


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("where", ["turns", "turn and conversation"])
async def test_of_two_checks_that_are_called_alike_the_stricter_share_holds(play: Any, first: bool, where: str) -> None:
    lax, strict = contains("zzz", message="m", pass_threshold=0.0), contains("zzz", message="m")
    one, two = (lax, strict) if first else (strict, lax)
    scenario: dict[str, Any] = {"name": "s", "turns": [{"content": "a", "checks": [one]}, {"content": "b"}]}
    if where == "turns":
        scenario["turns"][1]["checks"] = [two]
    else:
        scenario["checks"] = [two]
    execution = await play(agents=AGENTS, trials=2, scenarios=[scenario])
    assert (execution.groups[0].outcome, execution.exit_code) == ("fail", 1)
    assert execution.thresholds == {}


async def test_a_share_excuses_its_own_check_and_no_other(play: Any) -> None:
    checks = [contains("zzz", pass_threshold=0.0), contains("yyy")]
    execution = await play(
        agents=AGENTS, trials=2, scenarios=[{"name": "s", "turns": [{"content": "a", "checks": checks}]}]
    )
    assert execution.exit_code == 1
    passing = [contains("zzz", pass_threshold=0.0), contains("heard")]
    execution = await play(
        agents=AGENTS, trials=2, scenarios=[{"name": "s", "turns": [{"content": "a", "checks": passing}]}]
    )
    assert execution.exit_code == 0
    assert [run.verdict for run in execution.runs] == [Verdict.FAIL, Verdict.FAIL]


async def test_a_check_looks_where_it_is_written_unless_it_says_otherwise(play: Any) -> None:
    turns = [{"content": "a"}, {"content": "b", "checks": [contains("heard a", scope="conversation")]}]
    conversation = [contains("heard", scope="turn"), contains("heard b")]
    (only,) = (await play(agents=AGENTS, scenarios=[{"name": "s", "turns": turns, "checks": conversation}])).runs
    found = [(check.scope, check.turn, check.status) for check in only.checks]
    assert [item[1:] for item in found if item[0] == "turn"] == [(0, CheckStatus.PASSED), (1, CheckStatus.PASSED)]


async def test_a_failed_check_ends_the_conversation_only_if_the_suite_says_so(play: Any) -> None:
    turns = [{"content": "a", "checks": [contains("zzz"), contains("heard")]}, {"content": "b"}]
    scenario = {"name": "s", "turns": turns, "checks": HEARD}
    (goes_on,) = (await play(agents=AGENTS, scenarios=[scenario])).runs
    (ends,) = (await play(agents=AGENTS, defaults={"stop_on_failed_check": True}, scenarios=[scenario])).runs
    assert (goes_on.turns, ends.turns) == (2, 1)
    assert [check.status for check in ends.checks] == [CheckStatus.FAILED, CheckStatus.PASSED, CheckStatus.PASSED]
    assert goes_on.verdict is ends.verdict is Verdict.FAIL


async def test_lines_are_filled_with_variables_regions_and_perturbations(play: Any) -> None:
    turn = {"content": "{{shop}} in {{region}}: {thing} {{other}}", "perturbations": {"thing": ["lamp", "chair"]}}
    scenario = {"name": "s", "variables": {"shop": "Lux"}, "regions": ["uk", "us"], "turns": [turn], "checks": HEARD}
    execution = await play(agents=AGENTS, scenarios=[scenario])
    assert [run.messages[0].message["content"] for run in execution.runs] == [
        f"Lux in {region}: {thing} {{{{other}}}}" for region in ("uk", "us") for thing in ("lamp", "chair")
    ]


async def test_without_anything_to_decide_a_run_is_undecided(play: Any) -> None:
    scenario = {"name": "s", "turns": [{"content": "a"}]}
    strict = await play(agents=AGENTS, scenarios=[scenario])
    lax = await play(agents=AGENTS, defaults={"allow_undecided": 1}, scenarios=[scenario])
    assert [execution.totals.undecided for execution in (strict, lax)] == [1, 1]
    assert [execution.exit_code for execution in (strict, lax)] == [3, 0]


async def test_an_agent_behind_an_address_is_sent_the_conversation(
    address: Any, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_TEST", "s3cret")
    address.answers({"choices": [{"message": {"role": "assistant", "content": "heard you"}}]})
    http = {
        "url": f"{address.url}/v1",
        "headers": {"Authorization": "Bearer ${KEY_OF_TEST}"},
        "model": "m1",
        "extra_body": {"store": "shop"},
    }
    turns = [{"content": "a"}, {"content": "b"}]
    execution = await play(
        agents=[{"name": "bot", "http": http}], scenarios=[{"name": "s", "turns": turns, "checks": HEARD}]
    )
    assert execution.exit_code == 0
    assert [len(request["messages"]) for request in address.requests] == [1, 3]
    assert {(request["model"], request["store"]) for request in address.requests} == {("m1", "shop")}
    assert {headers["authorization"] for headers in address.headers} == {"Bearer s3cret"}
    assert "s3cret" not in repr(execution)


async def test_a_broken_endpoint_is_an_error_of_its_case(address: Any, play: Any) -> None:
    address.answers({"error": "no"}, status="500 Oops")
    broken = {"name": "gone", "http": {"url": address.url}}
    execution = await play(
        agents=[broken, *AGENTS], scenarios=[{"name": "s", "turns": [{"content": "a"}], "checks": HEARD}]
    )
    assert [run.outcome for run in execution.runs] == ["error", "pass"]
    assert execution.runs[0].error.type == "AgentError"


async def test_a_judge_is_instructed_by_the_prompt_of_its_task_or_the_default_one(
    refusing: Any, put: Put, play: Any
) -> None:
    model = {"name": "gpt", "provider": "openai", "model": "small", "base_url": refusing.url}
    spec: dict[str, Any] = {
        "agents": AGENTS,
        "models": [{**model, "credential": {"api_key": "k"}}],
        "prompts": [
            {"name": "first", "task": "severe", "system_template": "Be severe."},
            {"name": "mild", "system_template": "Be mild."},
        ],
        "scenarios": [{"name": "s", "turns": [{"content": "a"}], "criteria": ["c"]}],
    }
    own = [{"name": "j", "model": "gpt", "prompt": "severe"}]
    await play(**spec, judges=own, judge_defaults={"prompt": "mild"})
    assert "Be severe." in str(refusing.requests[0]["messages"][0])
    refusing.requests.clear()
    await play(**spec, judges=[{"name": "j", "model": "gpt"}], judge_defaults={"prompt": "mild"})
    assert "Be mild." in str(refusing.requests[0]["messages"][0])


async def test_evals_of_a_pack_run_beside_the_checks_as_far_as_they_are_wanted(play: Any) -> None:
    evals = [
        {"id": "turn", "type": "contains", "trigger": "every_turn", "params": {"patterns": ["heard"]}},
        {"id": "end", "type": "contains_any", "trigger": "on_session_complete", "params": {"patterns": ["zzz"]}},
        {"id": "off", "type": "regex", "trigger": "every_turn", "params": {"pattern": "zzz"}, "enabled": False},
    ]
    scenario = {"name": "s", "turns": [{"content": "a"}, {"content": "b"}], "checks": HEARD}

    async def played(types: tuple[str, ...] | None) -> list[tuple[str, CheckStatus]]:
        made = await play(RunOptions(eval_types=types), agents=AGENTS, pack_evals=evals, scenarios=[scenario])
        return [(check.name, check.status) for check in made.runs[0].checks]

    every = await played(None)
    assert every.count(("turn", CheckStatus.PASSED)) == 2
    assert ("end", CheckStatus.FAILED) in every
    assert "end" not in {name for name, _ in await played(("contains",))}
    assert not {name for name, _ in await played(())} & {"turn", "end"}
