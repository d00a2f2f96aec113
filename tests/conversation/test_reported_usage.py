"""What adapters report about the model calls that they make themselves."""

from __future__ import annotations

import pytest

import duologue
from duologue.errors import BudgetExceededError, ConfigurationError
from duologue.journal.events import Usage
from duologue.models.prices import cost_by_model
from duologue.models.reported import report_usage
from duologue.models.scope import Budget, Ledger, RunScope

MILLION = Usage(input_tokens=1_000_000)


class Reporting(duologue.AgentAdapter):
    def __init__(self, **told: object) -> None:
        self.told = told

    async def call(self, input: duologue.AgentInput) -> str:
        input.report_usage(**self.told)  # pyright: ignore[reportArgumentType]
        return "Hello."


async def played(agent: duologue.AgentAdapter) -> duologue.ScenarioResult:
    user = duologue.ScriptedUser(["a", "b"])
    return await duologue.arun(name="n", description="d", agents=[user, agent], script=[duologue.proceed(2)])


async def test_what_an_agent_reports_is_usage_and_cost_of_the_run():
    result = await played(Reporting(input_tokens=50, output_tokens=10, cost=0.5, model="m", seconds=2.0))
    assert (result.usage, result.cost) == (Usage(input_tokens=100, output_tokens=20), 1.0)


async def test_where_no_price_is_known_the_cost_is_unknown_and_not_nothing():
    result = await played(Reporting(input_tokens=50))
    assert (result.usage.input_tokens, result.cost) == (100, None)


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("gpt-5-mini", "openai/gpt-5-mini"),
        ("gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("openai/gpt-5-mini", "openai/gpt-5-mini"),
        ("openrouter/openai/gpt-5-mini", "openai/gpt-5-mini"),
        ("Claude-Sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("models/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("local/anything", "local/anything"),
        ("gpt-oss-20b", None),
        ("deepseek-r1:7b", None),
        ("mixtral-8x7b", None),
        ("meta-llama/Llama-3.1-8B-Instruct", None),
        ("my-agent", None),
        ("", None),
        ("/", None),
    ],
)
def test_a_bare_name_has_its_makers_price_and_open_weights_have_none(model: str, same_as: str | None):
    assert cost_by_model(model, MILLION, 1.76e9) == (
        None if same_as is None else cost_by_model(same_as, MILLION, 1.76e9)
    )


@pytest.mark.parametrize("told", [{"input_tokens": -1}, {"output_tokens": 1.5}, {"cost": -1.0}, {"cost": float("nan")}])
def test_a_number_that_cannot_be_is_refused(told: dict[str, object]):
    with pytest.raises(ConfigurationError, match="report_usage"):
        report_usage(RunScope(), **told)  # pyright: ignore[reportArgumentType]


def test_what_is_reported_counts_against_the_budget():
    ledger = Ledger(Budget(tokens=100))
    report_usage(RunScope(ledger=ledger), input_tokens=80, output_tokens=30)
    with pytest.raises(BudgetExceededError):
        ledger.reserve(type(ledger.spent)())
