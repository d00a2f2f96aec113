from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from duologue.agents.judge import JudgeAgent
from duologue.agents.judge import local as local_judge
from duologue.agents.judge.local import NOTHING, Accuracy, described, plain_transcript, probability_of_yes
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioResult
from duologue.errors import JudgeError
from duologue.messages import assistant_message, user_message
from duologue.models.base import Completion
from duologue.models.local import DEFAULT_MODEL
from duologue.models.scope import RunScope
from duologue.models.scripted import ScriptedModel
from duologue.vocabulary import Decision, Verdict

Case = Callable[..., AgentInput]


class Guesser(ScriptedModel):
    """A model that continues texts: with these probabilities of yes, one a question, and one half before any was said.

    A share of None is an answer without probabilities.
    """

    def __init__(self, *shares: float | None, before: float = 0.5, name: str = "local/guesser") -> None:
        super().__init__([], name=name)
        self.shares = list(shares)
        self.before = before
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
        share = self.before if prompt.count(NOTHING) else self.shares.pop(0)
        if share is None:
            return Completion(text=" Yes")
        candidates = {word: math.log(part) for word, part in ((" Yes", share), (" No", 1 - share)) if part}
        return Completion(text=" Yes", logprobs=(candidates,))


async def decide(model: Guesser, case: Case, criteria: list[str], **options: bool) -> ScenarioResult:
    result = await JudgeAgent(criteria=criteria, model=model, **options).call(case())
    assert isinstance(result, ScenarioResult)
    return result


async def test_what_the_conversation_adds_to_yes_decides(case: Case) -> None:
    result = await decide(Guesser(0.9, 0.31, 0.29, before=0.3), case, ["a", "b", "c"])
    assert [item.decision for item in result.decisions] == [Decision.MET, Decision.MET, Decision.UNMET]
    assert (result.verdict, result.advisory) == (Verdict.FAIL, True)
    assert result.decisions[0].reason == "Probability of yes: 0.90, and 0.30 before anything was said."
    assert "have not been measured" in (result.reasoning or "")


async def test_a_measured_model_has_to_add_as_much_as_its_threshold_says(case: Case) -> None:
    (name, threshold), *_ = local_judge.THRESHOLDS.items()
    enough, too_little = (1 / (1 + math.exp(-threshold + side)) for side in (-0.01, 0.01))
    result = await decide(Guesser(enough, too_little, name=name), case, ["a", "b"])
    assert [item.decision for item in result.decisions] == [Decision.MET, Decision.UNMET]


@pytest.mark.parametrize(("said", "before"), [(1.0, 0.5), (0.5, 0.0), (0.0, 0.5), (0.5, 1.0)])
async def test_full_certainty_is_no_error(case: Case, said: float, before: float) -> None:
    result = await decide(Guesser(said, before=before), case, ["a"])
    assert result.decisions[0].decision is (Decision.MET if said > before else Decision.UNMET)


async def test_the_model_reads_the_conversation_with_its_tool_calls(case: Case) -> None:
    model = Guesser(0.9)
    await decide(model, case, ['The agent says\n"done"'])
    assert model.prompts[0].endswith(
        '\n\nConversation:\nCustomer: A table for four at 7:30, please.\nTool call: book_table {"people": 4, "time": '
        '"19:30"}\nTool result: {"ok": true, "table": 12}\nAgent: You have table 12 at 7:30.\n'
        "Is it true that \"The agent says 'done'\"?\nAnswer:"
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
    accuracy = Accuracy(right=12, of=16, kappa=0.5, false_passes=3, unmet=8, labels="16 booking criteria, 2026-11")
    monkeypatch.setitem(local_judge.MEASURED, "local/x", accuracy)
    assert described("local/x") == (
        "Decided by local/x, which was right on 12 of 16 labels (75%; kappa 0.50, where chance gives 0) and passed 3 "
        "of 8 criteria that were not met (16 booking criteria, 2026-11)."
    )


def test_the_default_local_model_has_been_measured() -> None:
    name = f"local/{DEFAULT_MODEL}"
    assert name in local_judge.THRESHOLDS
    assert "was right on" in described(name)


async def test_lines_that_were_cut_are_told() -> None:
    long = [user_message("hi"), assistant_message("x" * 700), user_message("y" * 601)]
    judgement = await local_judge.judge_by_probability(Guesser(0.9), ["a"], long, RunScope())
    assert "2 lines were cut after 600 characters." in judgement.reasoning
    short = await local_judge.judge_by_probability(Guesser(0.9), ["a"], long[:1], RunScope())
    assert "cut after" not in short.reasoning
