"""What is known about single messages, and why a run is undecided."""

from __future__ import annotations

import json

from duologue.specs.checks import GuardrailSpec
from duologue.suites import Engine, Prompt, Scenario, Suite, Turn
from duologue.testing import ScriptedModel


def suite_of(*turns: Turn, **prompt: object) -> Suite:
    made = Prompt.model_validate({"name": "p", "system_template": "You help.", **prompt})
    scenario = Scenario(name="s", prompt="p", turns=turns)
    return Suite.model_validate(
        {"name": "made", "scenarios": (scenario,), "prompts": (made,), "agents": ({"name": "bot", "model": "m"},)}
    )


async def test_an_answer_that_a_guardrail_changed_has_the_price_of_its_call() -> None:
    guardrail = GuardrailSpec(type="content_excludes", params={"patterns": ["secret"]}, message="No.")
    suite = suite_of(Turn(content="a"), Turn(content="b"), guardrails=(guardrail,))
    model = ScriptedModel(["The secret is 42.", "Well."])
    async with Engine.from_parts(suite, models={"m": model}) as engine:
        [run] = (await engine.execute()).runs
    answers = [item for item in run.messages if item.message["role"] == "assistant"]
    assert [item.message.get("content") for item in answers] == ["No.", "Well."]
    assert [item.spent.calls if item.spent else 0 for item in answers] == [1, 1]
    assert [item.model for item in answers] == [model.name, model.name]
    assert sum(item.spent.usage.total_tokens for item in answers if item.spent) == run.agent.usage.total_tokens


async def test_a_scenario_that_asks_for_nothing_is_undecided_in_words_of_suites() -> None:
    async with Engine.from_parts(suite_of(Turn(content="a")), models={"m": ScriptedModel(["b"])}) as engine:
        [run] = (await engine.execute()).runs
    assert run.outcome == "undecided"
    assert run.reasoning == (
        "Nothing decides about this conversation: the scenario has no criteria, and no check was decided. Give it some."
    )


JUDGED = json.dumps(
    {
        "criteria": [{"id": "c1", "reason": "r", "evidence": ["m2"], "decision": "true"}],
        "reasoning": "in short",
        "verdict": "pass",
    }
)


async def test_calls_belong_to_the_role_that_made_them_though_names_are_shared() -> None:
    suite = Suite.model_validate(
        {
            "name": "made",
            "models": tuple({"name": name, "provider": "given"} for name in ("m", "grader")),
            "agents": ({"name": "strict", "model": "m"},),
            "judges": ({"name": "strict", "model": "grader"},),
            "prompts": ({"name": "p", "system_template": "You help."},),
            "scenarios": ({"name": "s", "prompt": "p", "turns": ({"content": "a"},), "criteria": ("It is good.",)},),
        }
    )
    agent = ScriptedModel(["Well."])
    judge = ScriptedModel([JUDGED])
    async with Engine.from_parts(suite, models={"m": agent, "grader": judge}) as engine:
        [run] = (await engine.execute()).runs
    assert (run.agent.calls, run.user.calls, run.judge.calls) == (1, 0, 1)
    answer = run.messages[-1]
    assert answer.spent is not None
    assert answer.spent.usage == run.agent.usage
