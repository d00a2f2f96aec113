"""What an execution and its runs may cost: kept before calls are made, and never taken for a verdict."""

from __future__ import annotations

from typing import Any

import pytest
from openai_server import openai_server

from duologue.journal.events import Usage
from duologue.messages import assistant_message
from duologue.models.base import ModelAnswer
from duologue.models.prices import cost_beforehand
from duologue.models.resolve import forget_models
from duologue.models.scope import Budget
from duologue.specs.agents import Pricing
from duologue.specs.suite import Spending
from duologue.suites import Agent, CheckSpec, Defaults, Engine, Model, Prompt, Scenario, Settings, Suite, Turn
from duologue.suites.runner.models import LateModel, suite_model
from duologue.testing import ScriptedModel
from duologue.vocabulary import RunStatus, Termination

POLITE = CheckSpec(type="contains", params={"patterns": ["good day"]})
TALK = Scenario(name="talk", turns=(Turn(content="hello"), Turn(content="hello again", checks=(POLITE,))))
PER_RUN = 2 * 50
"""Tokens that are surely not reached by what two calls of one run set aside; see ``max_tokens``."""


def suite(**defaults: Any) -> Suite:
    return Suite(
        name="paid",
        scenarios=(TALK,),
        prompts=(Prompt(name="help", system_template="You help."),),
        agents=(Agent(name="bot", model="brain", prompt="help"),),
        defaults=Defaults(max_tokens=20, concurrency=1, **defaults),
    )


def engine(suite: Suite) -> Engine:
    said = ModelAnswer(message=assistant_message("good day"), usage=Usage(input_tokens=15, output_tokens=5))
    return Engine.from_parts(suite, models={"brain": ScriptedModel([said], repeat=True)})


async def test_runs_spend_from_what_the_execution_may_cost_together() -> None:
    async with engine(suite(budget={"tokens": 4 * PER_RUN})) as made:
        execution = await made.execute(made.generate_plan(trials=40))
    ended = [run.termination for run in execution.runs]
    assert ended[:8] == [Termination.SCRIPT_END] * 8
    assert ended[-1] is Termination.BUDGET
    assert sum(run.spent.usage.total_tokens for run in execution.runs) <= 4 * PER_RUN
    late = execution.runs[-1]
    assert (late.status, late.verdict) == (RunStatus.ERROR, None)
    assert "the budget of the execution is spent" in str(late.error)
    assert execution.exit_code == 3


async def test_each_run_has_a_budget_of_its_own() -> None:
    async with engine(suite(run_budget={"tokens": PER_RUN})) as made:
        execution = await made.execute(made.generate_plan(trials=40))
    assert {run.termination for run in execution.runs} == {Termination.SCRIPT_END}
    async with engine(suite(run_budget={"tokens": 30})) as made:
        [run] = (await made.execute()).runs
    assert run.termination is Termination.BUDGET
    assert "the budget of the run is spent" in str(run.error)


async def test_settings_stand_over_the_suite() -> None:
    async with engine(suite(budget={"tokens": 1})) as made:
        [run] = (await made.execute(settings=Settings(budget=Budget(tokens=10_000)))).runs
    assert run.termination is Termination.SCRIPT_END


async def test_what_was_spent_before_an_interruption_counts() -> None:
    async with engine(suite()) as made:
        plan = made.generate_plan(trials=3)
        before = (await made.execute(plan)).runs
        spent = sum(run.spent.usage.total_tokens for run in before[:2])
        limit = Settings(budget=Budget(tokens=spent + 10), known=before[:2])
        after = await made.execute(plan, limit)
    assert [run.termination for run in after.runs] == [
        Termination.SCRIPT_END, Termination.SCRIPT_END, Termination.BUDGET,
    ]  # fmt: skip


@pytest.mark.parametrize("written", [{"tokens": -1}, {"money": -0.5}, {"dollars": 3}])
def test_a_budget_that_is_none_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="budget"):
        suite(budget=written)


async def test_money_is_set_aside_at_the_price_that_the_suite_gives() -> None:
    cent = Pricing(input_cost_per_1k=0.01, output_cost_per_1k=0.01)
    async with openai_server() as server:
        await _money_is_set_aside(Model(name="m", provider="openai", model="tiny", base_url=server.url, pricing=cent))
        assert 0 < len(server.requests) < 20
    forget_models()


async def _money_is_set_aside(model: Model) -> None:
    dear = Suite(
        name="dear",
        scenarios=(TALK,),
        prompts=(Prompt(name="help", system_template="You help."),),
        models=(model,),
        agents=(Agent(name="bot", model="m", prompt="help"),),
        defaults=Defaults(max_tokens=20, concurrency=1, budget=Spending(money=0.001)),
    )
    async with Engine(suite=dear) as made:
        execution = await made.execute(made.generate_plan(trials=10))
    assert {run.termination for run in execution.runs} == {Termination.SCRIPT_END, Termination.BUDGET}
    assert 0 < sum(run.spent.cost for run in execution.runs) <= 0.001


def test_a_model_of_a_suite_costs_what_the_suite_says() -> None:
    usage = Usage(input_tokens=2000, output_tokens=1000)
    spec = Model(name="m", provider="openai", pricing=Pricing(input_cost_per_1k=0.5, output_cost_per_1k=2.0))
    assert cost_beforehand(suite_model(ScriptedModel([]), spec), usage, 0.0) == 3.0
    assert cost_beforehand(LateModel(lambda: suite_model(ScriptedModel([]), spec), "late"), usage, 0.0) == 3.0
    assert cost_beforehand(ScriptedModel([], name="local/x"), usage, 0.0) == 0.0
