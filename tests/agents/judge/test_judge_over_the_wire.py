"""A judge through the real provider path, against a server that answers in every wrong way there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai_server as fakes
import pytest
from waiting import longer_and_longer

from duologue.agents.judge import JudgeAgent
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioResult
from duologue.errors import JudgeError, ModelError, ModelTimeoutError, ModelUnavailableError
from duologue.models.provider import ProviderModel
from duologue.vocabulary import Decision, Verdict

Case = Callable[..., AgentInput]
Judged = Callable[..., dict[str, Any]]

CRITERIA = ["A table is booked", "It is for four people"]


@pytest.fixture
def judge(model: ProviderModel) -> JudgeAgent:
    return JudgeAgent(criteria=CRITERIA, model=model)


def says(answer: Any, **options: Any) -> Any:
    return fakes.text(answer if isinstance(answer, str) else json.dumps(answer), **options)


async def decide(judge: JudgeAgent, case: Case, **options: Any) -> ScenarioResult:
    result = await judge.call(case(**options))
    assert isinstance(result, ScenarioResult)
    return result


async def test_a_pass_cites_what_it_rests_on(server: Any, judge: JudgeAgent, case: Case, judged: Judged) -> None:
    server.script(says(judged("true", "true", evidence=["m2", "m3"])))
    result = await decide(judge, case)
    assert (result.success, result.verdict, result.reasoning) == (True, Verdict.PASS, "in short")
    assert result.passed_criteria == CRITERIA
    assert [item.message_ids for item in result.decisions] == [["m2", "m3"], ["m2", "m3"]]
    assert result.messages == case().messages
    assert not result.advisory


async def test_the_schema_is_enforced_by_the_provider_with_the_reason_before_the_decision(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged
) -> None:
    server.script(says(judged("true", "true")))
    await decide(judge, case)
    (request,) = server.requests
    assert "tools" not in request
    assert request["temperature"] == 0
    form = request["response_format"]["json_schema"]
    assert form["strict"] is True
    entry = form["schema"]["properties"]["criteria"]["items"]
    assert list(entry["properties"]) == ["id", "reason", "evidence", "decision"]
    assert entry["properties"]["id"]["enum"] == ["c1", "c2"]


async def test_reordered_entries_belong_to_their_criteria(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged
) -> None:
    answer = judged("true", "false")
    answer["criteria"].reverse()
    server.script(says(answer))
    result = await decide(judge, case)
    assert result.verdict is Verdict.FAIL
    assert (result.passed_criteria, result.failed_criteria) == (CRITERIA[:1], CRITERIA[1:])


async def test_booleans_count_as_what_they_say(server: Any, judge: JudgeAgent, case: Case, judged: Judged) -> None:
    server.script(says(judged(True, False)))
    result = await decide(judge, case)
    assert [item.decision for item in result.decisions] == [Decision.MET, Decision.UNMET]
    assert result.verdict is Verdict.FAIL


async def test_criteria_with_the_same_beginning_are_told_apart(
    server: Any, model: ProviderModel, case: Case, judged: Judged
) -> None:
    same = "The agent confirms the name, the number of people, the date, and the time of the booking "
    judge = JudgeAgent(criteria=[same + "before it books", same + "after it has booked"], model=model)
    server.script(says(judged("true", "false")))
    result = await decide(judge, case)
    assert result.passed_criteria == [same + "before it books"]
    assert result.failed_criteria == [same + "after it has booked"]


@pytest.mark.parametrize(
    "around",
    ["Here it is:\n{}", "{}\nI hope this helps.", "```json\n{}\n```", "Sure!\n```\n{}\n```", "<think>c1 {{?</think>{}"],
)
async def test_prose_around_the_json_does_no_harm(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged, around: str
) -> None:
    server.script(says(around.format(json.dumps(judged("true", "false")))))
    result = await decide(judge, case)
    assert result.verdict is Verdict.FAIL
    assert len(server.requests) == 1


BROKEN_RULES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "missing": (lambda answer: answer["criteria"].pop(), "'c2' is missing"),
    "extra": (lambda answer: answer["criteria"].append({**answer["criteria"][0], "id": "c3"}), "'c3' is no criterion"),
    "duplicate": (lambda answer: answer["criteria"].append(answer["criteria"][0]), "'c1' is decided more than once"),
    "by text": (lambda answer: answer["criteria"][1].update(id=CRITERIA[1]), "'c2' is missing"),
    "unknown decision": (lambda answer: answer["criteria"][0].update(decision="yes"), "'yes'"),
    "no decision": (lambda answer: answer["criteria"][0].pop("decision"), "None"),
    "wrong citation": (lambda answer: answer["criteria"][0].update(evidence=["m3", "m99"]), "'m99'"),
    "no citation": (lambda answer: answer["criteria"][0].update(evidence=[]), '"evidence" is empty'),
    "citation is no list": (lambda answer: answer["criteria"][0].update(evidence="m3"), "not a list"),
    "contradiction": (lambda answer: answer.update(verdict="fail"), "contradicts"),
    "another decision": (lambda answer: answer.update(passed=False), '"passed" of the object is False'),
    "another verdict": (lambda answer: answer.update(final_verdict="FAIL"), "contradicts the decision"),
    "another decision of one": (lambda answer: answer["criteria"][0].update(met=False), '"met" of c1 is False'),
    "violated": (lambda answer: answer["criteria"][1].update(isViolated=True), '"isViolated" of c2 is True'),
    "unknown verdict": (lambda answer: answer.update(verdict="maybe"), "'maybe'"),
    "no verdict": (lambda answer: answer.pop("verdict"), "None"),
    "goes on though it must not": (lambda answer: answer.update(action="continue"), "decide now"),
}


@pytest.mark.parametrize("name", BROKEN_RULES)
async def test_a_broken_rule_is_told_once_and_then_is_an_error(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged, name: str
) -> None:
    spoil, complaint = BROKEN_RULES[name]
    answer = judged("true", "true")
    spoil(answer)
    server.script(says(answer), says(answer))
    with pytest.raises(JudgeError) as caught:
        await judge.call(case())
    assert len(server.requests) == 2
    told = server.requests[1]["messages"][-1]["content"]
    assert complaint in told
    assert complaint in str(caught.value)
    assert server.requests[1]["messages"][-2] == {"role": "assistant", "content": json.dumps(answer)}


@pytest.mark.parametrize("name", BROKEN_RULES)
async def test_an_answer_that_is_mended_counts(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged, name: str
) -> None:
    answer = judged("true", "true")
    BROKEN_RULES[name][0](answer)
    server.script(says(answer), says(judged("true", "false")))
    assert (await decide(judge, case)).verdict is Verdict.FAIL


async def test_a_pass_that_contradicts_its_decisions_is_never_a_pass(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged
) -> None:
    server.default = says(judged("true", "false", verdict="pass"))
    with pytest.raises(JudgeError, match="contradicts"):
        await judge.call(case())


UNREADABLE = {
    "prose": lambda _: says("I cannot judge that."),
    "empty": lambda _: says(""),
    "nothing": lambda _: fakes.text(None),
    "a list": lambda _: says("[true, true]"),
    "a word": lambda _: says('"pass"'),
    "criteria by key": lambda _: says({"criteria": {"c1": "true", "c2": "true"}, "verdict": "pass"}),
    "criteria as words": lambda _: says({"criteria": ["true", "true"], "verdict": "pass"}),
    "two answers": lambda judged: says(json.dumps(judged("true", "true")) + json.dumps(judged("true", "false"))),
    "in the middle": lambda judged: says(f"I will not say {json.dumps(judged('true', 'true'))} because it is wrong"),
    "key twice": lambda judged: says(json.dumps(judged("true", "true"))[:-1] + ', "verdict": "pass"}'),
    "cut off": lambda judged: says(json.dumps(judged("true", "true"))[:-30], finish="length"),
    "refusal": lambda _: fakes.refusal("I cannot help with that."),
    "refusal with a pass": lambda judged: fakes.text(json.dumps(judged("true", "true")), refusal="No."),
    "content filter": lambda judged: says(judged("true", "true"), finish="content_filter"),
    "a tool call": lambda judged: fakes.calls(("finish_test", judged("true", "true"))),
    "braces": lambda _: says("{" * 5000),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_is_no_judgement_is_asked_again_with_pauses_and_then_is_an_error(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged, name: str
) -> None:
    server.default = UNREADABLE[name](judged)
    given = case()
    with pytest.raises(JudgeError):
        await judge.call(given)
    assert len(server.requests) == 3
    assert given.scope.context.clock.sleeps == [1.0, 4.0]


@pytest.mark.parametrize("name", UNREADABLE)
async def test_after_something_unreadable_a_judgement_counts(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged, name: str
) -> None:
    server.script(UNREADABLE[name](judged), says(judged("true", "false")))
    assert (await decide(judge, case)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "reply",
    [fakes.error(429, "slow down"), fakes.error(500, "broken"), fakes.error(400, "bad"), fakes.error(401, "who?")],
    ids=["429", "500", "400", "401"],
)
async def test_a_provider_that_fails_is_an_error_with_its_cause(
    server: Any, judge: JudgeAgent, case: Case, reply: Any
) -> None:
    server.default = reply
    with pytest.raises(JudgeError) as caught:
        await judge.call(case())
    assert isinstance(caught.value.__cause__, ModelError)


@pytest.mark.parametrize("reply", [fakes.error(429), fakes.error(503)], ids=["429", "503"])
async def test_a_provider_that_recovers_is_believed(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged, reply: Any
) -> None:
    server.script(reply, reply, says(judged("true", "true")))
    assert (await decide(judge, case)).success


async def test_a_provider_that_hangs_is_asked_three_times(server: Any, judge: JudgeAgent, case: Case) -> None:
    server.default = fakes.HANG
    for seconds in longer_and_longer(0.3):
        server.requests.clear()
        with pytest.raises(JudgeError) as caught:
            await judge.call(case(model_timeout=seconds))
        assert isinstance(caught.value.__cause__, ModelTimeoutError)
        if len(server.requests) >= 3:  # where time is up before the provider has been reached, it is not asked
            break
    assert len(server.requests) == 3


async def test_a_connection_that_breaks_in_the_answer_is_an_error(
    server: Any, judge: JudgeAgent, case: Case, judged: Judged
) -> None:
    server.default = fakes.Reply(body=says(judged("true", "true")).body, cut=120)
    with pytest.raises(JudgeError) as caught:
        await judge.call(case())
    assert isinstance(caught.value.__cause__, ModelUnavailableError)


async def test_an_answer_that_is_no_response_of_the_provider_is_an_error(
    server: Any, judge: JudgeAgent, case: Case
) -> None:
    server.default = fakes.garbage()
    with pytest.raises(JudgeError):
        await judge.call(case())


async def test_a_long_conversation_is_looked_up_with_tools(
    server: Any, model: ProviderModel, case: Case, judged: Judged
) -> None:
    judge = JudgeAgent(criteria=CRITERIA, model=model, token_threshold=20)
    server.script(
        fakes.calls(("expand", {"ids": ["m2", "m8"]}), ("grep", {"pattern": "TABLE 12"})),
        says(judged("true", "true")),
    )
    assert (await decide(judge, case)).success
    first, second = server.requests
    assert {tool["function"]["name"] for tool in first["tools"]} == {"expand", "grep"}
    assert "response_format" not in first
    results = [message["content"] for message in second["messages"] if message["role"] == "tool"]
    assert '[m2] assistant (turn 1) calls "book_table" with {"people": 4, "time": "19:30"}' in results[0]
    assert "No entry has the id 'm8'" in results[0]
    assert results[1].startswith("[m4] assistant (turn 1)")


async def test_a_judge_that_only_looks_things_up_has_to_decide_without_tools(
    server: Any, model: ProviderModel, case: Case, judged: Judged
) -> None:
    judge = JudgeAgent(criteria=CRITERIA, model=model, token_threshold=20, max_discovery_steps=3)
    server.default = lambda request: (
        fakes.calls(("grep", {"pattern": "nothing"})) if "tools" in request else says(judged("true", "false"))
    )
    assert (await decide(judge, case)).verdict is Verdict.FAIL
    assert len(server.requests) == 4
    last = server.requests[-1]
    assert "response_format" in last
    assert {message["role"] for message in last["messages"]} == {"system", "user"}
    assert "grep" in json.dumps(last["messages"])


async def test_a_judge_that_never_decides_is_an_error(server: Any, model: ProviderModel, case: Case) -> None:
    judge = JudgeAgent(criteria=CRITERIA, model=model, token_threshold=20, max_discovery_steps=2)
    server.default = fakes.calls(("expand", {"ids": ["m1"]}))
    with pytest.raises(JudgeError):
        await judge.call(case())
    assert len(server.requests) == 2 + 3


async def test_after_looking_things_up_a_broken_rule_is_told_without_tools(
    server: Any, model: ProviderModel, case: Case, judged: Judged
) -> None:
    judge = JudgeAgent(criteria=CRITERIA, model=model, token_threshold=20)
    server.script(
        fakes.calls(("expand", {"ids": ["m3"]})),
        says(judged("true", "true", verdict="fail")),
        says(judged("true", "true")),
    )
    assert (await decide(judge, case)).success
    last = server.requests[-1]
    assert "tools" not in last
    assert {message["role"] for message in last["messages"]} == {"system", "user", "assistant"}
    assert "table" in json.dumps(last["messages"])
    assert "contradicts" in last["messages"][-1]["content"]


async def test_of_many_calls_at_once_only_some_are_looked_up(
    server: Any, model: ProviderModel, case: Case, judged: Judged
) -> None:
    judge = JudgeAgent(criteria=CRITERIA, model=model, token_threshold=20)
    server.script(fakes.calls(*[("expand", {"ids": ["m1"]})] * 10), says(judged("true", "true")))
    await decide(judge, case)
    results = [message["content"] for message in server.requests[1]["messages"] if message["role"] == "tool"]
    assert [result.startswith("[m1]") for result in results] == [True] * 8 + [False] * 2
    assert "at most 8" in results[-1]
