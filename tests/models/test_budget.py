"""Budgets: reserved before a call, settled after it, for one run and for the whole process."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import duologue
from duologue import Budget, Termination
from duologue.errors import BudgetExceededError, ConfigurationError
from duologue.journal.events import Usage
from duologue.journal.journal import Journal
from duologue.journal.recorded import RecordedRun
from duologue.messages import assistant_message, user_message
from duologue.models.ask import ask
from duologue.models.base import ModelAnswer, ModelRequest, ToolSpec
from duologue.models.scope import Amount, Ledger, RunScope, ledger_for, tokens_at_most
from duologue.models.scripted import ScriptedModel
from duologue.testing import ScriptedUserAgent, context, run_virtual

REQUEST = ModelRequest(messages=(user_message("a question"),), max_tokens=10)


def answer(tokens, cost=0.0):
    usage = Usage(input_tokens=tokens, output_tokens=0)
    return ModelAnswer(message=assistant_message("ok"), usage=usage, cost=cost)


def scope(ledger):
    return RunScope(context=context(), ledger=ledger, who="tester")


class AsksAModel(duologue.AgentAdapter):
    def __init__(self, model):
        self.model = model

    async def call(self, input):
        return (await ask(self.model, REQUEST, input.scope)).message


def play(model, **options):
    agents = [ScriptedUserAgent(["hi"], repeat=True), AsksAModel(model)]
    return run_virtual(duologue.arun("a", "b", agents, verbose=False, context=context(), **options))


def test_a_spent_budget_ends_the_run_with_its_own_termination_and_no_verdict():
    model = ScriptedModel([answer(30)], repeat=True)
    with pytest.raises(BudgetExceededError, match="the budget of the run is spent: 60 of 75 tokens") as caught:
        play(model, budget=Budget(tokens=75), max_turns=10)
    result = caught.value.result
    assert (result.termination, result.verdict) == (Termination.BUDGET, None)
    assert len(model.requests) == 2


def test_each_run_has_a_budget_of_its_own():
    model = ScriptedModel([answer(30)], repeat=True)
    for _ in range(3):
        play(model, budget=Budget(tokens=75), max_turns=1)


def test_the_budget_of_the_process_is_shared_by_its_runs():
    ledger = duologue.limit_process(Budget(tokens=100))
    try:
        model = ScriptedModel([answer(30)], repeat=True)
        play(model, max_turns=2, budget=Budget(tokens=1000))
        with pytest.raises(BudgetExceededError, match="the process"):
            play(model, max_turns=2)
        assert ledger.spent.tokens == 90
        assert ledger.reserved == Amount()
    finally:
        duologue.limit_process(None)


def test_time_is_a_budget_too():
    class Slow(duologue.AgentAdapter):
        async def call(self, input):
            await input.scope.context.clock.sleep(10)
            return "x"

    with pytest.raises(BudgetExceededError, match="time budget of 25 s") as caught:
        run_virtual(
            duologue.arun(
                "a",
                "b",
                [ScriptedUserAgent(["x"], repeat=True), Slow()],
                verbose=False,
                budget=Budget(seconds=25),
                context=context(),
            )
        )
    assert caught.value.result.termination is Termination.BUDGET
    assert caught.value.result.total_time == pytest.approx(25)


async def test_calls_at_once_cannot_overspend_together():
    ledger = Ledger(Budget(tokens=100))
    gate = asyncio.Event()

    async def slow(request):
        await gate.wait()
        return answer(20)

    model = ScriptedModel([slow], repeat=True)
    calls = [asyncio.create_task(ask(model, REQUEST, scope(ledger))) for _ in range(20)]
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    made = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert 0 < len(made) < 20
    assert ledger.spent.tokens == 20 * len(made) <= 100


async def test_a_call_that_fails_gives_back_what_was_set_aside():
    ledger = Ledger(Budget(tokens=100))
    with pytest.raises(duologue.errors.ModelError):
        await ask(ScriptedModel([]), REQUEST, scope(ledger))
    assert ledger.reserved == ledger.spent == Amount()


async def test_money_is_set_aside_by_the_price_list():
    class Named(ScriptedModel):
        name = "openai/gpt-4o"

    ledger = Ledger(Budget(money=0.00001))
    with pytest.raises(BudgetExceededError, match=r"\$1e-05"):
        await ask(Named([answer(5)]), REQUEST, scope(ledger))
    await ask(Named([answer(5, cost=0.25)]), REQUEST, scope(roomy := Ledger(Budget(money=1.0))))
    assert roomy.spent.money == 0.25


async def test_a_budget_in_money_needs_a_price():
    class Unpriced(ScriptedModel):
        name = "acme/unheard-of"

    with pytest.raises(ConfigurationError, match="no price is known for the model 'acme/unheard-of'"):
        await ask(Unpriced([answer(5)]), REQUEST, scope(Ledger(Budget(money=1))))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50))))
def test_what_is_reserved_returns_to_zero_and_never_passes_the_limit(calls):
    parent = Ledger(Budget(tokens=200), owner="the process")
    ledger = Ledger(Budget(tokens=100), parent=parent)
    for wanted, used in calls:
        try:
            reservation = ledger.reserve(Amount(tokens=wanted))
        except BudgetExceededError:
            assert ledger.spent.tokens + wanted > 100
            continue
        reservation.settle(Amount(tokens=min(used, wanted)))
    assert ledger.reserved == parent.reserved == Amount()
    assert ledger.spent == parent.spent
    assert ledger.spent.tokens <= 100


def test_a_negative_budget_is_refused():
    with pytest.raises(ConfigurationError, match="tokens=-1"):
        Budget(tokens=-1)


def test_tool_calls_tools_and_the_form_of_the_answer_are_set_aside_too():
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "x" * 4000}}
    calls = ModelRequest(messages=({"role": "assistant", "content": None, "tool_calls": [call]},), max_tokens=0)
    assert tokens_at_most(calls)[0] >= 1000
    tool = ToolSpec(name="f", description="x" * 4000, parameters={"type": "object"})
    assert tokens_at_most(ModelRequest(messages=(), tools=(tool,)))[0] >= 1000
    schema = {"type": "object", "description": "x" * 4000}
    assert tokens_at_most(ModelRequest(messages=(), response_schema=schema))[0] >= 1000


async def test_what_a_run_spent_before_it_was_cut_off_counts_for_it_but_not_for_the_process():
    model = ScriptedModel([answer(50), answer(50)])
    journal = Journal("run")
    await ask(model, REQUEST, RunScope(journal=journal))
    process = duologue.limit_process(Budget(tokens=10_000))
    try:
        execution = ledger_for(Budget(tokens=10_000), context().clock)
        run = ledger_for(Budget(tokens=60), context().clock, parent=execution)
        recorded = RecordedRun([(entry,) for entry in journal.entries])
        [spent] = recorded.model_calls  # what a conversation counts before it continues
        run.count_earlier(Amount(tokens=spent.usage.total_tokens))
        again = RunScope(journal=Journal("again", recorded=recorded), ledger=run)
        assert (await ask(model, REQUEST, again)).text == "ok"
        assert (run.spent.tokens, execution.spent.tokens, process.spent.tokens) == (50, 50, 0)
        with pytest.raises(BudgetExceededError):
            await ask(model, REQUEST, again)
    finally:
        duologue.limit_process(None)
    assert len(model.requests) == 1
