from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.conversation.result import ScenarioResult
from duologue.journal.events import CheckEvaluated, CriterionDecision, JudgeDecided
from duologue.messages import Message, assistant_message, text_of, tool_call, tool_message, user_message
from duologue.models.base import ModelRequest
from duologue.models.mock import MockModel, ResponseFile
from duologue.suites.plan.build import TestCase
from duologue.suites.response_files import generate
from duologue.suites.results.run import MessageResult, RunResult
from duologue.vocabulary import CheckStatus, Decision, RunStatus, Scope, Verdict


def run_of(messages: list[Message], *, persona: str | None = None, scenario: str = "s", **fields: Any) -> RunResult:
    made = [
        MessageResult(
            id=f"m{index}",
            message=message,
            turn=0,
            author="user" if persona and message["role"] == "user" else None,
            meta={"persona": persona} if persona and message["role"] == "user" else {},
        )
        for index, message in enumerate(messages, 1)
    ]
    case = TestCase(index=0, scenario=scenario)
    return RunResult(case=case, run_id="r", status=RunStatus.COMPLETED, messages=tuple(made), **fields)


def read_back(tmp_path: Path, text: str) -> ResponseFile:
    path = tmp_path / "made.yaml"
    path.write_text(text)
    return ResponseFile.read(path)


async def said_again(file: ResponseFile, messages: list[Message], persona: str | None) -> list[Message]:
    """The conversation once more: what models say comes from the file, everything else is as it was."""
    agent = MockModel(file, model_name="m", provider="p", scenario="s")
    user = MockModel(file, model_name="m", provider="p", scenario="s", persona=persona or "")
    made: list[Message] = []
    for message in messages:
        speaker = {"assistant": agent, "user": user if persona else None}.get(message["role"])
        if speaker:
            made.append((await speaker.answer(ModelRequest(messages=tuple(made)))).message)
            if message["role"] == "user":
                made[-1]["role"] = "user"
        else:
            made.append(message)
    return made


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")), min_size=1, max_size=30)
arguments = st.dictionaries(st.sampled_from("abc"), st.one_of(st.integers(-9, 9), st.booleans(), texts), max_size=2)
tool_rounds = st.lists(st.tuples(st.one_of(st.none(), texts), arguments, texts), max_size=2)


@given(st.lists(st.tuples(texts, tool_rounds, texts), min_size=1, max_size=4), st.sampled_from([None, "anna"]))
async def test_a_generated_file_gives_the_same_conversation(
    tmp_path_factory: pytest.TempPathFactory, turns: Any, persona: str | None
) -> None:
    messages: list[Message] = []
    for index, (question, rounds, answer) in enumerate(turns):
        messages.append(user_message(question))
        for place, (text, given_arguments, result) in enumerate(rounds):
            call = tool_call(
                "look_up", given_arguments, "call_0_look_up" if not (index or place) else f"x{index}{place}"
            )
            messages += [assistant_message(text, [call]), tool_message(call["id"], result)]
        messages.append(assistant_message(answer))
    made = generate([run_of(messages, persona=persona)])
    assert made.conflicts == ()
    file = read_back(tmp_path_factory.mktemp("made"), made.text())
    assert await said_again(file, messages, persona) == messages


async def test_pictures_are_kept(tmp_path: Path) -> None:
    picture = {
        "type": "image_url",
        "image_url": {"url": "mock://a"},
        "mime_type": "image/png",
        "metadata": {"width": 3},
    }
    message: Any = {"role": "assistant", "content": [{"type": "text", "text": "See"}, picture]}
    file = read_back(tmp_path, generate([run_of([user_message("u"), message])]).text())
    again = (await said_again(file, [user_message("u"), message], None))[1]
    content: Any = again.get("content")
    assert text_of(again) == "See"
    assert content[1]["metadata"] == {"width": 3, "mime_type": "image/png"}


def test_results_of_single_runs_are_taken_too(tmp_path: Path) -> None:
    result = ScenarioResult(success=True, messages=[user_message("u"), assistant_message("a")], scenario="booking")
    file = read_back(tmp_path, generate([result]).text())
    found = file.answer("booking", 1)
    assert found is not None
    assert found.text == "a"


def test_the_first_run_counts_and_the_others_are_told(tmp_path: Path) -> None:
    runs = [run_of([user_message("u"), assistant_message(text)]) for text in ("one", "one", "two")]
    made = generate(runs)
    assert made.data["scenarios"]["s"]["turns"] == {"1": "one"}
    assert made.conflicts == ("scenarios.s.turns.1: runs differ; the first one is kept",)


def test_what_a_file_holds_already_counts_over_runs() -> None:
    held = {"defaultResponse": "d", "scenarios": {"s": {"turns": {1: "held"}}}, "judges": {"default": "pass"}}
    decided = JudgeDecided(
        judge="judge",
        turn=0,
        kind="final",
        verdict=Verdict.PASS,
        decisions=[CriterionDecision(criterion="c", decision=Decision.MET)],
    )
    run = run_of(
        [user_message("u"), assistant_message("a"), user_message("u"), assistant_message("b")], judgements=(decided,)
    )
    made = generate([run], merge=held, default_response="new")
    assert made.data["scenarios"]["s"]["turns"] == {"1": "held", "2": "b"}
    assert made.data["defaultResponse"] == "new"
    assert made.data["judges"]["default"] == {"default": "pass", "scenarios": {"s": {"criteria": {"c": "pass"}}}}
    assert held["scenarios"] == {"s": {"turns": {1: "held"}}}


def test_judgements_and_judged_checks_are_written_as_verdicts(tmp_path: Path) -> None:
    decided = JudgeDecided(
        judge="strict",
        turn=1,
        kind="final",
        verdict=Verdict.FAIL,
        decisions=[
            CriterionDecision(criterion="It greets.", decision=Decision.MET, reason="m2"),
            CriterionDecision(criterion="It books.", decision=Decision.UNMET, reason="nothing"),
        ],
    )
    check = CheckEvaluated(
        name="c",
        scope=Scope.TURN,
        turn=0,
        status=CheckStatus.PASSED,
        explanation="kind",
        details={"judge": "mock/p", "judge_passed": True, "judge_score": 0.8},
    )
    file = read_back(tmp_path, generate([run_of([], judgements=(decided,), checks=(check,))]).text())
    strict, other = file.verdict("strict", "s"), file.verdict("another", "s")
    assert strict is not None
    assert strict.criteria == {"It greets.": "pass", "It books.": "fail"}
    assert other is not None
    assert (other.verdict, other.score, other.reasoning) == ("pass", 0.8, "kind")
    assert file.verdict("another", "elsewhere") is None


def test_what_a_longer_run_said_is_not_mixed_with_another_conversation() -> None:
    short = [user_message("u"), assistant_message("one")]
    long = [user_message("u"), assistant_message("two"), user_message("v"), assistant_message("three")]
    made = generate([run_of(short), run_of(long)])
    assert made.data["scenarios"]["s"]["turns"] == {"1": "one"}


def test_a_longer_run_that_goes_the_same_way_goes_on_with_it() -> None:
    short = [user_message("u"), assistant_message("one")]
    made = generate([run_of(short), run_of([*short, user_message("v"), assistant_message("two")])])
    assert made.data["scenarios"]["s"]["turns"] == {"1": "one", "2": "two"}
    assert made.conflicts == ()


def test_lines_of_a_persona_are_written_by_scenario_where_they_differ() -> None:
    runs = [run_of([user_message(text)], persona="p", scenario=name) for name, text in (("s", "a"), ("t", "b"))]
    assert generate(runs).data["selfplay"] == {
        "p": {"scenarios": {"s": {"turns": {"1": "a"}}, "t": {"turns": {"1": "b"}}}}
    }
    assert generate([runs[0], runs[0]]).data["selfplay"] == {"p": {"turns": {"1": "a"}}}


def test_recordings_that_were_judged_give_verdicts_only() -> None:
    run = run_of([user_message("u"), assistant_message("a")])
    run = replace(run, case=TestCase(index=0, kind="replay", scenario="s"))
    assert generate([run]).data == {}


def test_arguments_that_are_no_json_stay_as_they_are(tmp_path: Path) -> None:
    texts = ["{a", "[1]", '{"x": NaN}']
    calls = [tool_call("f", text, f"c{index}") for index, text in enumerate(texts)]
    file = read_back(tmp_path, generate([run_of([user_message("u"), assistant_message("", calls)])]).text())
    found = file.answer("s", 1)
    assert found is not None
    assert [text for _, _, text in found.calls] == texts


def test_checks_by_one_judge_keep_what_it_said_of_each() -> None:
    def judged(asked: str, passed: bool, score: float) -> CheckEvaluated:
        details = {"judge": "m", "criteria": asked, "judge_passed": passed, "judge_score": score}
        status = CheckStatus.PASSED if passed else CheckStatus.FAILED
        return CheckEvaluated(name=asked, scope=Scope.CONVERSATION, turn=0, status=status, details=details)

    decided = JudgeDecided(
        judge="strict",
        turn=1,
        kind="final",
        verdict=Verdict.PASS,
        decisions=[CriterionDecision(criterion="It greets.", decision=Decision.MET)],
    )
    run = run_of([], judgements=(decided,), checks=(judged("kind", True, 0.9), judged("kind and brief", False, 0.2)))
    made = generate([run, run])
    both = {"criteria": {"kind": "pass", "kind and brief": "fail"}, "scores": {"kind": 0.9, "kind and brief": 0.2}}
    assert made.data["judges"]["default"]["scenarios"]["s"] == both
    assert made.data["judges"]["strict"]["scenarios"]["s"] == {
        "criteria": {"It greets.": "pass", **both["criteria"]},
        "scores": both["scores"],
    }
    assert made.conflicts == ()


def test_grades_of_metrics_are_written_by_name_beside_what_the_judge_said_of_criteria(tmp_path: Path) -> None:
    grades = [
        {"metric": "tool_routing", "score": None},
        {"metric": "response_delivery", "score": 4},
        {"metric": "grounding_fidelity", "score": 2},
    ]
    details = {"metrics": grades, "outcomes": [{"outcome": "It greets.", "met": True}]}
    graded = CheckEvaluated(
        name="m", kind="metrics", scope=Scope.CONVERSATION, turn=0, status=CheckStatus.FAILED, details=details
    )
    decided = JudgeDecided(
        judge="strict",
        turn=0,
        kind="final",
        verdict=Verdict.PASS,
        decisions=[CriterionDecision(criterion="It books.", decision=Decision.MET)],
    )
    file = read_back(tmp_path, generate([run_of([], judgements=(decided,), checks=(graded,))]).text())
    words = {
        "tool_routing": "undecided",
        "response_delivery": "pass",
        "grounding_fidelity": "fail",
        "It greets.": "pass",
    }
    other, strict = file.verdict("another", "s"), file.verdict("strict", "s")
    assert other is not None
    assert strict is not None
    assert (other.criteria, other.scores) == (words, {"response_delivery": 0.8, "grounding_fidelity": 0.4})
    assert (strict.criteria, strict.scores) == ({"It books.": "pass", **words}, other.scores)


def test_metrics_that_asked_no_judge_write_nothing() -> None:
    check = CheckEvaluated(name="m", kind="metrics", scope=Scope.CONVERSATION, turn=0, status=CheckStatus.PASSED)
    assert generate([run_of([], checks=(check,))]).data == {}
