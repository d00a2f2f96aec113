"""A recording becomes a run: what its journal holds, when checks are due, what judges are asked."""

import json
from pathlib import Path
from typing import Any

import pytest

import duologue
from duologue import checks, testing
from duologue.agents.judge import JudgeAgent
from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.conversation.result import ScenarioResult
from duologue.errors import CheckError, ConfigurationError, JudgeError, ScriptError
from duologue.journal.events import AgentCalled, MessageAdded, ModelCalled, RunStarted, ToolCalled
from duologue.journal.jsonl import read_journal
from duologue.messages import text_of
from duologue.models.scope import Budget
from duologue.models.scripted import ScriptedModel
from duologue.suites.replay import Recording, find_recordings, prepare_replay, read_recordings, replay
from duologue.vocabulary import CheckStatus, Decision, Scope, Termination, Verdict

FIXTURES = Path(__file__).parents[2] / "transcripts" / "fixtures"
CASES = Path(__file__).parents[2] / "cases"


def read(name: str) -> Recording:
    return read_recordings(FIXTURES / name)[0]


def statuses(result: ScenarioResult) -> list[tuple[int, CheckStatus]]:
    return [(item.turn, item.status) for item in result.checks]


async def test_turn_checks_are_evaluated_for_every_turn_with_an_answer_and_go_on_after_a_failure() -> None:
    dry = checks.create("content_includes", {"patterns": ["parcel 18"]}, scope=Scope.TURN)
    result = await replay(read("support-session.jsonl"), turn_checks=[dry])
    assert statuses(result) == [(0, CheckStatus.FAILED), (1, CheckStatus.PASSED)]
    assert result.verdict is Verdict.FAIL


async def test_a_turn_without_an_answer_is_not_checked() -> None:
    polite = checks.create("max_length", {"max": 100}, scope=Scope.TURN)
    result = await replay(read("retell-call.json"), turn_checks=[polite])
    assert statuses(result) == [(0, CheckStatus.PASSED), (1, CheckStatus.PASSED)]


async def test_a_function_may_be_a_check_of_turns() -> None:
    def short(state: Any) -> bool:
        return len(state.messages) < 7

    result = await replay(read("support-session.jsonl"), turn_checks=[short])
    assert statuses(result) == [(0, CheckStatus.PASSED), (1, CheckStatus.FAILED)]


async def test_a_check_of_the_conversation_is_refused_among_those_of_turns() -> None:
    whole = checks.create("content_includes", {"patterns": ["x"]}, scope=Scope.CONVERSATION)
    with pytest.raises(ConfigurationError, match=r"looks at the whole conversation; make it with scope=Scope\.TURN"):
        await replay(read("messages.json"), turn_checks=[whole])


async def test_checks_see_tool_calls_with_their_recorded_results_and_failures() -> None:
    recording = read("support-session.jsonl")
    called = checks.create("tools_called", {"tools": ["track"]}, scope=Scope.CONVERSATION)
    fine = checks.create("no_tool_errors", {}, scope=Scope.CONVERSATION)
    result = await replay(recording, checks=[called, fine])
    assert [item.status for item in result.checks] == [CheckStatus.PASSED, CheckStatus.FAILED]
    [failed] = [item for item in result.checks if item.status is CheckStatus.FAILED]
    assert "no such parcel" in failed.explanation


async def test_checks_see_recorded_times_and_costs() -> None:
    fast = checks.create("latency_budget", {"max_ms": 2500}, scope=Scope.TURN)
    cheap = checks.create("cost_budget", {"max_cost_usd": 0.001, "max_total_tokens": 200}, scope=Scope.CONVERSATION)
    result = await replay(read("support-session.jsonl"), turn_checks=[fast], checks=[cheap])
    assert statuses(result)[:2] == [(0, CheckStatus.PASSED), (1, CheckStatus.FAILED)]
    assert "0.002 US dollars" in result.checks[-1].explanation
    assert result.agent_time == pytest.approx(4.9)


async def test_checks_see_workflows_and_guardrails_of_results() -> None:
    recording = read("run-result.json")
    given = [
        checks.create("workflow_complete", {}, scope=Scope.CONVERSATION),
        checks.create("state_is", {"state": "refunded"}, scope=Scope.CONVERSATION),
        checks.create("guardrail_triggered", {"validator": "max_length"}, scope=Scope.CONVERSATION),
    ]
    result = await replay(recording, checks=given)
    assert result.success


async def test_checks_see_pictures(tmp_path: Path) -> None:
    result = json.loads((FIXTURES / "picture.arena.json").read_text())
    result["Messages"][-1]["parts"] = result["Messages"][1]["parts"]
    (tmp_path / "drawn.arena.json").write_text(json.dumps(result))
    [recording] = read_recordings(tmp_path / "drawn.arena.json")
    fits = checks.create("image_dimensions", {"width": 2, "height": 3}, scope=Scope.CONVERSATION)
    is_too_wide = checks.create("image_dimensions", {"max_width": 1}, scope=Scope.CONVERSATION)
    formed = checks.create("image_format", {"formats": ["png"]}, scope=Scope.CONVERSATION)
    replayed = await replay(recording, checks=[fits, is_too_wide, formed])
    assert [item.status for item in replayed.checks] == [CheckStatus.PASSED, CheckStatus.FAILED, CheckStatus.PASSED]


async def test_the_journal_of_a_replay_is_that_of_a_run(tmp_path: Path) -> None:
    result = await replay(read("support-session.jsonl"), record=tmp_path / "again.jsonl")
    events = [entry.event for entry in read_journal(tmp_path / "again.jsonl").entries]
    started = events[0]
    assert isinstance(started, RunStarted)
    assert [(item.name, item.role.value) for item in started.participants] == [("user", "User"), ("agent", "Agent")]
    assert started.scenario.metadata["recording"]["format"] == "session"
    assert started.scenario.metadata["recording"]["source"].endswith("support-session.jsonl")
    authors = [event.author for event in events if isinstance(event, MessageAdded)]
    assert authors == [0, 1, 1, 1, 0, 1, 1, 1]
    assert [event.error for event in events if isinstance(event, ToolCalled)] == [None, "no such parcel"]
    assert [event.delivered for event in events if isinstance(event, AgentCalled)] == [("m1",), (), ("m5",), ()]
    [asked] = [event for event in events if isinstance(event, ModelCalled)]
    assert (asked.asker, asked.replayed, asked.cost) == ("agent", True, 0.002)
    assert asked.response == result.messages[3]
    assert result.termination is Termination.SCRIPT_END
    assert result.verdict is Verdict.UNDECIDED


async def test_a_replay_can_be_replayed(tmp_path: Path) -> None:
    recording = read("tau2-telecom.json")
    await replay(recording, record=tmp_path / "again.jsonl")
    [again] = read_recordings(tmp_path / "again.jsonl", "journal")
    assert [(m.id, m.turn, m.author, m.message, m.seconds, m.cost, m.usage) for m in again.messages] == [
        (m.id, m.turn, m.author, m.message, m.seconds, m.cost, m.usage) for m in recording.messages
    ]
    assert again.tool_calls == recording.tool_calls


async def test_a_line_of_the_script_still_stands_in_for_the_participant(tmp_path: Path) -> None:
    agents = [testing.ScriptedUserAgent([]), testing.ScriptedAgent(["hello"])]
    script = [duologue.user("hi"), duologue.agent()]
    await duologue.arun("greeting", "", agents, script=script, record=tmp_path / "a.jsonl")
    [recording] = read_recordings(tmp_path / "a.jsonl")
    executor = prepare_replay(recording)
    await executor.perform()
    told = [(item.author, item.stands_in_for) for item in executor.conversation.view.records]
    assert told == [(None, 0), (1, None)]


class Listening(AgentAdapter):
    """A judge that keeps what it was given."""

    role = testing.ScriptedJudge.role

    def __init__(self) -> None:
        self.inputs: list[AgentInput] = []

    async def call(self, input: AgentInput) -> ScenarioResult:
        self.inputs.append(input)
        return ScenarioResult(success=False, reasoning="rude", failed_criteria=["is polite"])


async def test_a_judge_is_asked_once_at_the_end_with_the_whole_conversation() -> None:
    judge = Listening()
    recording = read("tau-airline.json")
    result = await replay(recording, judge=judge)
    [given] = judge.inputs
    assert given.judgment_request is not None
    assert given.messages == given.new_messages == [item.message for item in recording.messages]
    assert given.scenario_state.description == "You want to cancel flight A1."
    assert (result.verdict, result.reasoning, result.termination) == (Verdict.FAIL, "rude", Termination.JUDGED)
    assert [item.criterion for item in result.decisions] == ["is polite"]


async def test_a_judge_with_criteria_asks_its_model_about_the_recording() -> None:
    entry = {"id": "c1", "reason": "it was cancelled", "evidence": ["m3"], "decision": "true"}
    answer = {"action": "decide", "criteria": [entry], "reasoning": "done", "verdict": "pass"}
    model = ScriptedModel([json.dumps(answer)], repeat=True)
    judge = JudgeAgent(criteria=["The flight is cancelled"], model=model)
    result = await replay(read("tau-airline.json"), judge=judge)
    asked = "\n".join(text_of(message) for message in model.requests[0].messages)
    assert "cancel_flight" in asked
    assert "You want to cancel flight A1." in asked
    assert [(item.decision, item.message_ids) for item in result.decisions] == [(Decision.MET, ["m3"])]
    assert result.verdict is Verdict.PASS


async def test_all_of_several_judges_must_pass_it() -> None:
    judges = [testing.ScriptedJudge([True], name="one"), testing.ScriptedJudge([False], name="two")]
    assert (await replay(read("messages.json"), judge=judges)).verdict is Verdict.FAIL
    judges = [testing.ScriptedJudge([True], name="one"), testing.ScriptedJudge([True], name="two")]
    assert (await replay(read("messages.json"), judge=judges)).verdict is Verdict.PASS


async def test_a_failed_check_vetoes_the_pass_of_a_judge() -> None:
    result = await replay(read("messages.json"), checks=[lambda state: False], judge=testing.ScriptedJudge([True]))
    assert result.verdict is Verdict.FAIL


async def test_a_broken_judge_or_check_is_an_error_and_no_verdict() -> None:
    executor = prepare_replay(read("messages.json"), judge=testing.ScriptedJudge([ValueError("no")]))
    result = await executor.perform()
    assert (result.verdict, result.status.value) == (None, "error")
    assert isinstance(executor.failure, JudgeError)
    with pytest.raises(CheckError):
        await replay(read("messages.json"), checks=[lambda state: 1 / 0])


async def test_who_is_no_judge_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has the role Agent; expected a judge"):
        await replay(read("messages.json"), judge=testing.ScriptedAgent(["hi"]))


async def test_nobody_in_a_recording_can_be_asked() -> None:
    executor = prepare_replay(read("messages.json"))
    assert [agent.describe()["recorded"] for agent in executor.agents] == [True, True]
    with pytest.raises(ScriptError, match="'agent' is part of a recording and cannot be asked"):
        await executor.agents[1].call(None)  # pyright: ignore[reportArgumentType]


async def test_what_a_recording_cost_is_not_paid_again() -> None:
    result = await replay(read("vapi-call.json"), checks=[lambda state: True], budget=Budget(money=0.0001))
    assert result.success
    assert result.cost == 0.12


async def test_old_decisions_and_what_they_cost_are_left_behind(tmp_path: Path) -> None:
    class Costly(testing.ScriptedJudge):
        async def call(self, input: AgentInput) -> Any:
            spend(input, "Costly", 2)
            spend(input, "check llm_judge", None)
            return await super().call(input)

    def spend(input: AgentInput, asker: str, participant: int | None) -> None:
        call = input.scope.next_call()
        event = ModelCalled(
            asker=asker, turn=0, model="m", request_digest="", cost=1.0, call=call, participant=participant
        )
        input.scope.journal.append(event)

    class Priced(testing.ScriptedAgent):
        async def call(self, input: AgentInput) -> Any:
            spend(input, "Priced", 1)
            return await super().call(input)

    agents = [testing.ScriptedUserAgent(["hi"]), Priced(["hello"]), Costly([False])]
    first = await duologue.arun("greeting", "", agents, checks=[lambda state: False], record=tmp_path / "a.jsonl")
    assert (first.verdict, first.cost) == (Verdict.FAIL, 3.0)
    [recording] = read_recordings(tmp_path / "a.jsonl")
    assert recording.cost == 1.0
    assert [item.role.value for item in recording.participants] == ["User", "Agent"]
    assert recording.metadata["verdict"] == "fail"
    again = await replay(recording, checks=[lambda state: True])
    assert (again.verdict, again.decisions, len(again.checks)) == (Verdict.PASS, [], 1)


async def test_a_recording_of_an_arena_comes_to_what_its_own_engine_found() -> None:
    folder = CASES / "arena" / "06_eval_recording" / "recordings"
    [recording] = read_recordings(folder / "customer-support.arena.json", "arena_output")
    you = checks.create("content_includes", {"patterns": ["you"]}, scope=Scope.TURN)
    patterns = {"patterns": ["refund", "help you", "apologize"], "case_sensitive": False}
    helpful = checks.create("content_includes_any", patterns, scope=Scope.CONVERSATION)
    result = await replay(recording, turn_checks=[you], checks=[helpful], judge=testing.ScriptedJudge([True]))
    assert len(result.messages) == 14  # and the prompt, which is noted
    assert [item.status for item in result.checks] == [CheckStatus.PASSED] * 8
    assert result.success


async def test_each_file_of_a_pattern_is_a_recording_of_its_own(tmp_path: Path) -> None:
    for name in ("alpha", "beta"):
        lines = [("user", "hi"), ("assistant", name)]
        events = [{"type": "message", "message": {"role": role, "content": text}} for role, text in lines]
        session = {"metadata": {"session_id": name, "provider_id": "p"}, "events": events}
        (tmp_path / f"{name}.recording.json").write_text(json.dumps(session))
    says = checks.create("content_includes", {"patterns": ["alpha"]}, scope=Scope.TURN)
    found = {}
    for path in find_recordings("*.recording.json", tmp_path):
        [recording] = read_recordings(path, "session")
        found[recording.name] = (await replay(recording, turn_checks=[says])).verdict
    assert found == {"alpha": Verdict.PASS, "beta": Verdict.FAIL}
