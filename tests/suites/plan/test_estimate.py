"""What a plan will take: who is asked how often, what it costs, and how long it lasts."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.specs.suite import Suite
from duologue.suites.plan import generate_plan
from duologue.suites.plan.estimate import ANSWER_TOKENS, LINE_TOKENS, SECONDS, TOOL_ROUNDS, Estimate, estimate

NOW = 1_770_000_000.0
PRICED = {
    "name": "m",
    "provider": "acme",
    "model": "x",
    "pricing": {"input_cost_per_1k": 1.0, "output_cost_per_1k": 2.0},
}


def guess(*, concurrency: int = 1, mocking: bool = False, recordings: Any = None, **spec: Any) -> Estimate:
    made = Suite.model_validate(
        {
            "name": "s",
            "agents": [{"name": "a", "model": "m"}],
            "models": [PRICED],
            "simulators": [{"name": "u", "model": "m"}],
            "judges": [{"name": "j", "model": "m"}],
            "prompts": [{"name": "p", "system_template": "x" * 400}],
            **spec,
        }
    )
    plan = generate_plan(made, seed=1, recordings=recordings)
    return estimate(made, plan, concurrency=concurrency, now=NOW, mocking=mocking)


def scenario(*turns: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "s", "prompt": "p", "turns": list(turns), **fields}


LINE = {"content": "y" * 40}
USER = {"role": "simulated_user", "exchanges": 2, "max_exchanges": 3}


def test_each_answer_reads_the_instruction_and_the_conversation_so_far() -> None:
    found = guess(scenarios=[scenario(LINE, LINE)])
    first = 100 + 10
    second = 100 + 10 + ANSWER_TOKENS + 10
    assert (found.agent.calls, found.agent.read, found.agent.written) == (2, first + second, 2 * ANSWER_TOKENS)
    assert (found.user.calls, found.judge.calls) == (0, 0)
    assert found.cost == pytest.approx((found.agent.read + 2 * found.agent.written) / 1000)
    assert found.calls == 2
    assert found.tokens == found.agent.read + found.agent.written


def test_tools_take_more_rounds() -> None:
    tools = {"tools": [{"name": "t", "description": "d", "mock_result": 1}]}
    prompts = [{"name": "p", "system_template": "x", "allowed_tools": ["t"]}]
    assert guess(scenarios=[scenario(LINE)], prompts=prompts, **tools).agent.calls == TOOL_ROUNDS


def test_a_simulated_user_is_asked_for_every_line_at_most() -> None:
    found = guess(scenarios=[scenario(LINE, USER)])
    assert (found.user.calls, found.user.written) == (3, 3 * LINE_TOKENS)
    assert found.agent.calls == 4


def test_a_free_conversation_is_counted_with_all_its_turns_and_a_judge_after_each() -> None:
    found = guess(scenarios=[{"name": "s", "prompt": "p", "goal": "g", "max_turns": 4, "criteria": ["c"]}])
    assert (found.agent.calls, found.user.calls, found.judge.calls) == (4, 4, 4)
    assert guess(scenarios=[{"name": "s", "prompt": "p", "goal": "g"}]).agent.calls == 10


def test_judges_are_asked_by_checks_of_each_answer_of_the_end_and_of_the_suite() -> None:
    check = {"type": "llm_judge", "params": {"criteria": "c"}}
    judged = {"type": "llm_judge_session", "params": {"criteria": "c"}}
    turns = ({**LINE, "checks": [check]}, {**USER, "checks": [check]})
    found = guess(scenarios=[scenario(*turns, criteria=["c"], checks=[judged])], checks=[judged])
    assert found.judge.calls == 1 + 3 + 1 + 1 + 1
    free = [{"type": "contains", "params": {"patterns": ["x"]}}]
    assert guess(scenarios=[scenario({**LINE, "checks": free})]).judge.calls == 0


def test_the_judge_is_asked_once_for_all_metrics_and_not_at_all_for_none() -> None:
    def asked(**params: object) -> int:
        return guess(scenarios=[scenario(LINE, checks=[{"type": "metrics", "params": params}])]).judge.calls

    assert asked() == asked(metrics=["response_delivery", "tool_routing"]) == 1
    assert asked(metrics=[], expected_outcomes=["It is booked."]) == 1
    assert asked(metrics=[], expected_tool_calls=[{"tool": "book"}]) == 0


def test_trials_regions_and_perturbations_multiply() -> None:
    line = {"content": "{a}", "perturbations": {"a": ["1", "2"]}}
    found = guess(scenarios=[scenario(line, trials=3, regions=["uk", "us"])])
    assert (found.cases, found.agent.calls) == (12, 12)


def test_recordings_cost_what_judges_do() -> None:
    replays = [{"name": "r", "recording": "x", "criteria": ["c"]}]
    found = guess(replays=replays, recordings=lambda _replay: ["a", "b"])
    assert (found.cases, found.agent.calls, found.judge.calls) == (2, 0, 2)


def test_mocks_cost_nothing_and_take_no_time() -> None:
    found = guess(mocking=True, scenarios=[scenario(LINE)])
    assert (found.cost, found.seconds, found.unpriced, found.calls) == (0.0, 0.0, (), 1)


@pytest.mark.parametrize("name", ["mock", "local", "local/small"])
def test_models_on_this_machine_cost_nothing(name: str) -> None:
    found = guess(agents=[{"name": "a", "model": name}], scenarios=[scenario(LINE)])
    assert (found.cost, found.unpriced) == (0.0, ())


def test_a_model_without_a_price_is_named() -> None:
    found = guess(agents=[{"name": "a", "model": "acme/unheard-of"}], scenarios=[scenario(LINE)])
    assert (found.cost, found.unpriced) == (0.0, ("acme/unheard-of",))


def test_a_known_model_has_its_packaged_price() -> None:
    found = guess(agents=[{"name": "a", "model": "openai/gpt-4o-mini"}], scenarios=[scenario(LINE)])
    assert found.cost > 0
    assert found.unpriced == ()


def test_each_participant_is_priced_by_its_own_model() -> None:
    dear = {**PRICED, "name": "dear", "pricing": {"input_cost_per_1k": 100.0, "output_cost_per_1k": 100.0}}
    many = {
        "models": [PRICED, dear],
        "simulators": [{"name": "u", "model": "m"}, {"name": "v", "model": "dear"}],
        "judges": [{"name": "j", "model": "m"}, {"name": "k", "model": "dear"}],
    }
    said = {"role": "simulated_user", "simulator": "v"}
    cheap = guess(scenarios=[scenario({**said, "simulator": "u"}, criteria=["c"], judge="j")], **many)
    user = guess(scenarios=[scenario(said, criteria=["c"], judge="j")], **many)
    judge = guess(scenarios=[scenario({**said, "simulator": "u"}, criteria=["c"], judge="k")], **many)
    assert cheap.cost < user.cost
    assert cheap.cost < judge.cost


def test_many_at_once_are_faster_and_never_faster_than_the_longest() -> None:
    longest = 2 * SECONDS["agent"]
    scenarios = [scenario(LINE, LINE), {**scenario(LINE), "name": "t"}]
    assert guess(scenarios=scenarios).seconds == longest + SECONDS["agent"]
    assert guess(scenarios=scenarios, concurrency=100).seconds == longest


def test_an_agent_of_its_own_takes_time_and_no_calls() -> None:
    found = guess(agents=[{"name": "a", "target": "m:f"}], scenarios=[scenario(LINE, LINE)])
    assert (found.calls, found.cost, found.seconds) == (0, 0.0, 2 * SECONDS["agent"])
