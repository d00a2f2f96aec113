"""The loop that ends with a criterion or with the messages, and its two questions on their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

import duologue
from duologue import testing
from duologue.agents.criteria_loop import (
    CriteriaJudge,
    evaluate_criteria,
    generate_persona_message,
    seeded_script,
)
from duologue.context import Context
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.errors import ConfigurationError, JudgeError
from duologue.messages import assistant_message, text_of, tool_call, tool_message, user_message
from duologue.models.scope import RunScope
from duologue.models.scripted import ScriptedModel
from duologue.vocabulary import Verdict

TALK = [user_message("Refund, please."), assistant_message("Done, 49 euros."), user_message("Thanks.")]


class NoWait:
    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        pass


SCOPE = RunScope(context=Context(clock=NoWait()))


def found(success: bool | None = None, failure: bool | None = None, **fields: Any) -> str:
    entries = {
        name: {"reason": "r", "evidence": ["m2"] if met else [], "met": met}
        for name, met in (("success", success), ("failure", failure))
        if met is not None
    }
    return json.dumps({**entries, "confidence": 0.8, "reasoning": "in short", **fields})


def with_success(entry: dict[str, Any]) -> str:
    return json.dumps({"success": entry, "confidence": 0.8, "reasoning": "in short"})


async def loop(*answers: str, **options: Any) -> tuple[ScenarioResult, ScriptedModel]:
    model = ScriptedModel(answers, repeat=True)
    result = await duologue.arun(
        name="refund",
        description="A refund.",
        agents=[
            testing.ScriptedAgent(["Well…"], repeat=True),
            testing.ScriptedUserAgent(["Please!"], repeat=True),
            CriteriaJudge(model=model, **options),
        ],
    )
    return result, model


async def test_success_ends_the_run_with_the_confidence_of_the_model() -> None:
    result, model = await loop(found(False), found(True), success_criteria="A refund is promised")
    assert (result.verdict, result.turns, len(model.requests)) == (Verdict.PASS, 2, 2)
    assert result.passed_criteria == ["A refund is promised"]
    assert result.decisions[0].message_ids == ["m2"]


async def test_failure_ends_the_run_at_once_in_every_turn_mode() -> None:
    options = {"success_criteria": "A refund", "failure_criteria": "The agent is rude"}
    result, _ = await loop(found(False, True), failure_criteria_mode="every_turn", **options)
    assert (result.verdict, result.turns) == (Verdict.FAIL, 1)
    assert (result.reasoning or "").startswith("Failure criteria was triggered.")
    assert result.failed_criteria == ["A refund", "Does not happen: The agent is rude"]


async def test_failure_wins_over_success() -> None:
    options = {"success_criteria": "A refund", "failure_criteria": "The agent is rude"}
    result, _ = await loop(found(True, True), failure_criteria_mode="every_turn", **options)
    assert result.verdict is Verdict.FAIL


async def test_failure_is_looked_at_on_max_messages_only_by_default() -> None:
    options = {"success_criteria": "A refund", "failure_criteria": "The agent is rude", "max_messages": 4}
    result, model = await loop(found(False), found(False, True), **options)
    assert (result.verdict, result.turns) == (Verdict.FAIL, 2)
    schemas = [request.response_schema or {} for request in model.requests]
    assert ["failure" in schema["properties"] for schema in schemas] == [False, True]


async def test_max_messages_without_success_is_a_failure() -> None:
    result, _ = await loop(found(False), success_criteria="A refund", max_messages=6)
    assert (result.verdict, result.turns, len(result.messages)) == (Verdict.FAIL, 3, 6)
    assert (result.reasoning or "").startswith("Max messages (6) reached without meeting success criteria.")


async def test_messages_of_tools_do_not_count() -> None:
    calls = [
        assistant_message(None, [tool_call("look", {}, "call_1")]),
        tool_message("call_1", "nothing"),
        assistant_message("Sorry."),
    ]
    judge = CriteriaJudge(model=ScriptedModel([found(False)], repeat=True), success_criteria="A refund", max_messages=4)
    state = ScenarioState(messages=[user_message("Refund!"), *calls])
    said = list(state.messages)
    given = AgentInput(thread_id="", messages=said, new_messages=[], scenario_state=state, scope=SCOPE)
    assert await judge.call(given) == []
    given.messages.append(user_message("Well?"))
    assert isinstance(await judge.call(given), ScenarioResult)


async def test_nothing_is_asked_before_the_agent_has_spoken() -> None:
    model = ScriptedModel([])
    state = ScenarioState(messages=[user_message("Refund!")])
    given = AgentInput(thread_id="", messages=state.messages, new_messages=[], scenario_state=state, scope=SCOPE)
    assert await CriteriaJudge(model=model, success_criteria="A refund").call(given) == []
    assert model.requests == []


async def test_a_failure_criterion_alone_passes_when_it_was_not_met_to_the_end() -> None:
    result, model = await loop(found(failure=False), failure_criteria="The agent is rude", max_messages=4)
    assert (result.verdict, len(model.requests)) == (Verdict.PASS, 1)


async def test_a_model_that_cannot_be_understood_gives_no_verdict() -> None:
    with pytest.raises(JudgeError):
        await evaluate_criteria(
            TALK, success_criteria="A refund", model=ScriptedModel(["Hm."], repeat=True), scope=SCOPE
        )


async def test_seed_messages_begin_the_conversation_and_the_agent_answers_them() -> None:
    result = await duologue.arun(
        name="refund",
        description="A refund.",
        agents=[
            testing.ScriptedAgent(["Done."]),
            testing.ScriptedUserAgent([]),
            CriteriaJudge(model=ScriptedModel([found(True)]), success_criteria="A refund"),
        ],
        script=seeded_script([assistant_message("Hello!"), user_message("Refund, please.")]),
    )
    assert [text_of(message) for message in result.messages] == ["Hello!", "Refund, please.", "Done."]
    assert result.success


async def test_an_evaluation_has_confidence_and_what_the_model_wrote() -> None:
    model = ScriptedModel([found(True, False)])
    evaluation = await evaluate_criteria(TALK, success_criteria="A refund", failure_criteria="Rude", model=model)
    assert (evaluation.success_met, evaluation.failure_met, evaluation.confidence) == (True, False, 0.8)
    assert (evaluation.success_message_ids, evaluation.raw_response) == (("m2",), found(True, False))


async def test_without_criteria_nothing_is_asked_and_nothing_is_met() -> None:
    evaluation = await evaluate_criteria(TALK)
    assert (evaluation.success_met, evaluation.failure_met, evaluation.confidence) == (False, False, 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        found(),
        found("true"),  # type: ignore[arg-type]
        found(True, confidence=2),
        found(True, confidence=True),
        found(True, confidence=None),
        with_success({"reason": "r", "evidence": [], "met": True}),
        with_success({"reason": "r", "evidence": ["m9"], "met": True}),
        with_success({"reason": "r", "evidence": "m2", "met": True}),
    ],
)
async def test_an_evaluation_that_breaks_a_rule_is_asked_again_and_then_an_error(wrong: str) -> None:
    model = ScriptedModel([wrong], repeat=True)
    with pytest.raises(JudgeError):
        await evaluate_criteria(TALK, success_criteria="A refund", model=model, scope=SCOPE)
    mended = ScriptedModel([wrong, found(False)])
    evaluation = await evaluate_criteria(TALK, success_criteria="A refund", model=mended, scope=SCOPE)
    assert not evaluation.success_met


async def test_a_persona_message_is_what_the_user_says_next() -> None:
    model = ScriptedModel([json.dumps({"message": " Where is it? ", "done": False, "reason": None})])
    said = await generate_persona_message(TALK[:2], scenario="A refund.", persona="Impatient.", model=model)
    assert (said.content, said.done) == ("Where is it?", None)
    prompt = "\n".join(text_of(message) for message in model.requests[0].messages)
    assert "Impatient." in prompt
    assert "A refund." in prompt


async def test_a_persona_can_be_done() -> None:
    model = ScriptedModel([json.dumps({"message": "Bye.", "done": True, "reason": "goal_reached"})])
    said = await generate_persona_message(TALK[:2], scenario="A refund.", model=model)
    assert (said.content, said.done) == ("Bye.", "goal_reached")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "nothing passes on none"),
        ({"success_criteria": "a", "max_messages": 0}, "max_messages is 0"),
        ({"success_criteria": "a", "failure_criteria_mode": "often"}, "'every_turn' or 'on_max_messages'"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        CriteriaJudge(model=ScriptedModel([]), **options)


async def test_an_agent_that_says_nothing_does_not_pass_on_a_failure_criterion() -> None:
    class Silent(duologue.AgentAdapter):
        async def call(self, input: AgentInput) -> list[Any]:
            return []

    model = ScriptedModel([found(failure=False)], repeat=True)
    judge = CriteriaJudge(failure_criteria="The agent is rude.", max_messages=1, model=model)
    agents = [testing.ScriptedUserAgent(["hi"]), Silent(), judge]
    result = await duologue.arun("s", "d", agents, verbose=False, context=testing.context())
    assert result.verdict is Verdict.UNDECIDED
    assert "said nothing" in (result.reasoning or "")
