from __future__ import annotations

from pathlib import Path

import pytest

import duologue
from duologue.agents.judge import JudgeAgent
from duologue.checks import Resources, create
from duologue.errors import CheckError, JudgeError, ModelRejectedError
from duologue.journal.events import CheckEvaluated
from duologue.messages import user_message
from duologue.models.base import ModelRequest
from duologue.models.mock import MockModel, ResponseFile
from duologue.testing import ScriptedAgent, ScriptedUserAgent
from duologue.vocabulary import CheckStatus, Decision, Verdict


def judge_model(tmp_path: Path, text: str | None, judge: str = "strict", scenario: str = "s") -> MockModel:
    file = None
    if text is not None:
        path = tmp_path / "mocks.yaml"
        path.write_text(text)
        file = ResponseFile.read(path)
    return MockModel(file, model_name="m", provider="p", scenario=scenario, judge=judge)


async def judged(model: MockModel, criteria: list[str]) -> duologue.ScenarioResult:
    agents = [
        ScriptedUserAgent(["hi"]),
        ScriptedAgent(["Hello! A table for two."]),
        JudgeAgent(criteria=criteria, model=model),
    ]
    script = [duologue.user(), duologue.agent(), duologue.judge()]
    return await duologue.arun("s", "d", agents=agents, script=script, verbose=False)


async def checked(model: MockModel, **params: object) -> duologue.ScenarioResult:
    check = create("llm_judge", {"criteria": "It greets.", **params}, resources=Resources(judge=model))
    agents = [ScriptedUserAgent(["hi"]), ScriptedAgent(["Hello!"])]
    script = [duologue.user(), duologue.agent()]
    return await duologue.arun("s", "d", agents=agents, script=script, checks=[check], verbose=False)


@pytest.mark.parametrize(
    ("written", "verdict"), [("pass", Verdict.PASS), ("fail", Verdict.FAIL), ("undecided", Verdict.UNDECIDED)]
)
async def test_a_word_is_a_whole_judgement(tmp_path: Path, written: str, verdict: Verdict) -> None:
    result = await judged(judge_model(tmp_path, f"judges: {{strict: {written}}}"), ['It "greets".', "It books."])
    assert result.verdict is verdict
    assert len(result.decisions) == 2
    assert all(decision.message_ids == ["m2"] for decision in result.decisions)


async def test_criteria_have_words_of_their_own(tmp_path: Path) -> None:
    text = "judges: {default: {verdict: pass, criteria: {It books.: fail}, reasoning: no table}}"
    result = await judged(judge_model(tmp_path, text), ["It greets.", "It books."])
    assert [item.decision for item in result.decisions] == [Decision.MET, Decision.UNMET]
    assert result.decisions[1].reason == "no table"


async def test_a_scenario_has_words_of_its_own(tmp_path: Path) -> None:
    text = "judges: {strict: {default: pass, scenarios: {other: fail}}}"
    assert (await judged(judge_model(tmp_path, text), ["x"])).verdict is Verdict.PASS
    assert (await judged(judge_model(tmp_path, text, scenario="other"), ["x"])).verdict is Verdict.FAIL


async def test_a_judge_that_may_wait_lets_the_conversation_go_on(tmp_path: Path) -> None:
    agents = [
        ScriptedUserAgent(["a", "b", "c"]),
        ScriptedAgent(["1", "2", "3"]),
        JudgeAgent(criteria=["x"], model=judge_model(tmp_path, "judges: {strict: pass}")),
    ]
    result = await duologue.arun("s", "d", agents=agents, max_turns=3, verbose=False)
    assert result.verdict is Verdict.PASS
    assert len(result.messages) == 6


@pytest.mark.parametrize(("written", "verdict"), [("pass", Verdict.PASS), ("fail", Verdict.FAIL)])
async def test_a_word_decides_a_check_too(tmp_path: Path, written: str, verdict: Verdict) -> None:
    assert (await checked(judge_model(tmp_path, f"judges: {{strict: {written}}}"))).verdict is verdict


async def test_a_score_is_compared_by_the_check(tmp_path: Path) -> None:
    model = judge_model(tmp_path, "judges: {strict: {verdict: pass, score: 0.6}}")
    assert (await checked(model, min_score=0.8)).verdict is Verdict.FAIL
    assert (await checked(model, min_score=0.5)).verdict is Verdict.PASS


async def test_a_check_finds_the_word_for_its_criterion(tmp_path: Path) -> None:
    text = "judges: {strict: {verdict: pass, criteria: {It greets.: fail}}}"
    assert (await checked(judge_model(tmp_path, text))).verdict is Verdict.FAIL


async def test_texts_are_given_as_they_are(tmp_path: Path) -> None:
    model = judge_model(tmp_path, 'defaultResponse: \'{"passed": true, "score": 0.9, "reasoning": "fine"}\'')
    assert (await checked(model)).verdict is Verdict.PASS
    with pytest.raises(CheckError, match="no judgement that can be used"):
        await checked(judge_model(tmp_path, "judges: {strict: I cannot judge that.}"))


@pytest.mark.parametrize("text", [None, "scenarios: {s: {defaultResponse: fine}}", "defaultResponse: Sure, pass!"])
async def test_without_an_entry_it_is_an_error_that_says_what_to_write(tmp_path: Path, text: str | None) -> None:
    model = judge_model(tmp_path, text)
    with pytest.raises(ModelRejectedError, match=r"'judges: \{strict: pass\}'"):
        await model.answer(ModelRequest(messages=(user_message("judge"),)))
    with pytest.raises(JudgeError, match="Write it into the file"):
        await judged(model, ["x"])


async def test_a_criterion_without_a_word_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="no word on the criterion 'It books"):
        await judged(
            judge_model(tmp_path, "judges: {strict: {criteria: {It greets.: pass}}}"), ["It greets.", "It books."]
        )


async def test_an_undecided_check_is_an_error_and_no_pass(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="undecided"):
        await checked(judge_model(tmp_path, "judges: {strict: undecided}"))


async def graded(model: MockModel, **params: object) -> CheckEvaluated:
    given = {"metrics": ["response_delivery", "task_completion"], "expected_outcomes": ["It greets."], **params}
    check = create("metrics", given, resources=Resources(judge=model))
    agents = [ScriptedUserAgent(["hi"]), ScriptedAgent(["Hello!"])]
    script = [duologue.user(), duologue.agent()]
    result = await duologue.arun("s", "d", agents=agents, script=script, checks=[check], verbose=False)
    return result.checks[0]


@pytest.mark.parametrize(
    ("written", "status", "score", "grades"),
    [
        ("pass", CheckStatus.PASSED, 1.0, [5, 5]),
        ("fail", CheckStatus.FAILED, 0.0, [0, 0]),
        ("{verdict: pass, score: 0.8}", CheckStatus.PASSED, None, [4, 5]),
        ("{verdict: pass, score: 0.2, scores: {response_delivery: 0.8}}", CheckStatus.PASSED, None, [4, 5]),
        ("{verdict: pass, criteria: {response_delivery: fail}}", CheckStatus.FAILED, None, [0, 5]),
        ("{verdict: pass, criteria: {It greets.: fail}}", CheckStatus.FAILED, 1.0, [5, 5]),
    ],
)
async def test_a_verdict_is_a_grade_for_each_metric(
    tmp_path: Path, written: str, status: CheckStatus, score: float | None, grades: list[int]
) -> None:
    check = await graded(judge_model(tmp_path, f"judges: {{strict: {written}}}"))
    assert (check.status, [item["score"] for item in check.details["metrics"]]) == (status, grades)
    assert score is None or check.score == score


async def test_a_metric_that_is_undecided_does_not_apply(tmp_path: Path) -> None:
    text = "judges: {strict: {verdict: pass, criteria: {tool_routing: undecided}}}"
    check = await graded(judge_model(tmp_path, text), metrics=["tool_routing", "response_delivery"])
    assert [item["score"] for item in check.details["metrics"]] == [None, 5]


async def test_metrics_cannot_be_undecided(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="the judge of metrics says pass or fail"):
        await graded(judge_model(tmp_path, "judges: {strict: undecided}"))


async def test_the_criterion_that_says_most_counts(tmp_path: Path) -> None:
    text = "judges: {default: {criteria: {It: fail, It greets.: pass, It gr: fail}}}"
    result = await judged(judge_model(tmp_path, text), ["It greets.", "It books."])
    assert [item.decision for item in result.decisions] == [Decision.MET, Decision.UNMET]


async def test_a_check_has_the_word_and_score_of_what_it_asks_for(tmp_path: Path) -> None:
    text = "{criteria: {It greets.: pass, It greets: fail}, scores: {It greets: 0.1, It greets.: 0.7}, score: 0.2}"
    result = await checked(judge_model(tmp_path, f"judges: {{default: {text}}}"))
    assert result.checks[0].status is CheckStatus.PASSED
    assert result.checks[0].score == 0.7
    assert result.checks[0].details["criteria"] == "It greets."
