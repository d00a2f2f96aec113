from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from duologue.agents.judge import JudgeAgent
from duologue.agents.judge import local as local_judge
from duologue.agents.judge.local import Accuracy, described, plain_transcript, probability_of_yes
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioResult
from duologue.errors import JudgeError
from duologue.messages import user_message
from duologue.models.base import Completion
from duologue.models.scripted import ScriptedModel
from duologue.vocabulary import Decision, Verdict

Case = Callable[..., AgentInput]


class Guesser(ScriptedModel):
    """A model that continues texts: with these probabilities of yes, one a question."""

    def __init__(self, *shares: float | None) -> None:
        super().__init__([], name="local/guesser")
        self.shares = list(shares)
        self.prompts: list[str] = []

    async def complete(
        self,
        prompt: str,
        *,
        stop: tuple[str, ...] = (),
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int | None = None,
        logprobs: int = 0,
    ) -> Completion:
        self.prompts.append(prompt)
        share = self.shares.pop(0)
        if share is None:
            return Completion(text=" Yes")
        return Completion(text=" Yes", logprobs=({" Yes": math.log(share), " No": math.log(1 - share)},))


async def decide(model: Guesser, case: Case, criteria: list[str], **options: bool) -> ScenarioResult:
    result = await JudgeAgent(criteria=criteria, model=model, **options).call(case())
    assert isinstance(result, ScenarioResult)
    return result


async def test_probabilities_become_decisions_with_room_for_doubt(case: Case) -> None:
    result = await decide(Guesser(0.9, 0.5, 0.1), case, ["a", "b", "c"])
    assert [item.decision for item in result.decisions] == [Decision.MET, Decision.INCONCLUSIVE, Decision.UNMET]
    assert (result.verdict, result.advisory) == (Verdict.FAIL, True)
    assert result.decisions[0].reason == "Probability of yes: 0.90."
    assert "have not been measured" in (result.reasoning or "")


async def test_the_model_reads_the_conversation_with_its_tool_calls(case: Case) -> None:
    model = Guesser(0.9)
    await decide(model, case, ['The agent says\n"done"'])
    assert model.prompts[0].endswith(
        "Question: Is this true? \"The agent says 'done'\"\n"
        'Conversation:\nCustomer: A table for four at 7:30, please.\nTool call: book_table {"people": 4, "time": '
        '"19:30"}\nTool result: {"ok": true, "table": 12}\nAgent: You have table 12 at 7:30.\nAnswer:'
    )


async def test_a_local_judge_that_may_decide_does_not_end_a_conversation_with_a_failure(case: Case) -> None:
    judge = JudgeAgent(criteria=["a"], model=Guesser(0.1, 0.9), advisory=False)
    assert await judge.call(case(forced=False)) == []
    assert isinstance(await judge.call(case(forced=False)), ScenarioResult)


async def test_a_model_without_probabilities_is_an_error(case: Case) -> None:
    with pytest.raises(JudgeError, match="no probabilities"):
        await decide(Guesser(None), case, ["a"])


def test_ways_to_write_yes_and_no_are_added_up() -> None:
    candidates = {" Yes": math.log(0.3), "yes": math.log(0.1), " No": math.log(0.1), " The": math.log(0.5)}
    assert probability_of_yes(candidates) == pytest.approx(0.8)


def test_a_model_that_means_neither_is_not_counted() -> None:
    assert probability_of_yes({" Yes": math.log(0.01), " The": math.log(0.9)}) is None
    assert probability_of_yes({}) is None


def test_a_long_conversation_is_cut_at_its_beginning_and_that_is_told() -> None:
    text, cut = plain_transcript([user_message(f"{number} " + "x" * 500) for number in range(40)])
    assert cut
    assert len(text) < 7000
    assert "Customer: 39 " in text


def test_the_measured_accuracy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(local_judge.MEASURED, "local/x", Accuracy(right=12, of=16, labels="16 booking criteria"))
    assert described("local/x") == "Decided by local/x, which agreed with 12 of 16 labels (16 booking criteria)."
