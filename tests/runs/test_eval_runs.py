"""Evals with a configuration, executed in a store: who is asked, what decides, and what an execution comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eval_runs import executed, new_eval, store
from grading_model import Grader
from own_runtimes import holding, talk
from runtime_peers import peer_of, served

from duologue.errors import ConfigurationError, StoreConflictError
from duologue.runs import RunService
from duologue.runs.store.records import StoredRun

HOLDER = {"agent": {"name": "bot", "runtime": {"kind": "holder"}}}
ENDS = {"name": "hello", "criteria": ["The parcel is found."]}
OPEN = {"name": "hello"}
TWO_AT_ZERO = {"tool_routing": 0, "parameter_extraction": 0}


def outcome(run: StoredRun) -> str:
    return run.outcome or run.status.value


@pytest.mark.parametrize(
    ("scenario", "graded", "judge", "expected"),
    [
        (ENDS, {}, {}, "pass"),
        (ENDS, {"outcomes": {"o1": False}}, {}, "fail"),
        (ENDS, {"scores": dict.fromkeys(("tool_routing", "response_delivery", "grounding_fidelity"), 0)}, {}, "pass"),
        (OPEN, {"scores": {"tool_routing": 3}}, {}, "pass"),
        (OPEN, {"scores": dict.fromkeys(("tool_routing", "parameter_extraction"), 0)}, {}, "fail"),
        (OPEN, {"scores": TWO_AT_ZERO}, {"pass_threshold": 70.0}, "pass"),
        (OPEN, {"scores": TWO_AT_ZERO}, {"pass_threshold": 70.0, "min_score": 1}, "fail"),
        (ENDS, {"scores": TWO_AT_ZERO}, {"min_score": 1}, "fail"),
        (OPEN, {"scores": {"task_completion": 0}}, {"metrics": [{"metric": "task_completion", "weight": 1.0}]}, "fail"),
        (OPEN, {"scores": {"task_completion": 5}}, {"metrics": [{"metric": "task_completion", "weight": 1.0}]}, "pass"),
        ({**OPEN, "success_criteria": "found"}, None, {}, "error"),
        (OPEN, {"says": "Splendid! 5 of 5."}, {}, "error"),
        (OPEN, {"says": ""}, {}, "error"),
        (ENDS, {"says": '{"metrics": {}}'}, {}, "error"),
        ({**OPEN, "checks": [{"type": "contains", "params": {"patterns": ["never"]}}]}, {}, {}, "fail"),
    ],
)
async def test_what_decides_about_a_test_case(
    tmp_path: Path, scenario: Any, graded: Any, judge: Any, expected: str
) -> None:
    grader = Grader(**({"says": "no"} if graded is None else graded))
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: talk("Hi", "There it is.")):
            eval_ = await new_eval(service, HOLDER, scenario, config={"judge": judge})
            [run] = await executed(service, eval_, grader)
    assert outcome(run) == expected, (run.reason, run.error)
    if expected == "error":
        assert run.score is None
        assert run.outcome == "error"


async def test_one_question_is_asked_for_a_test_case_with_all_that_matters_in_it(tmp_path: Path) -> None:
    draft = {
        "agent": {"name": "bot", "runtime": {"kind": "holder"}, "prompt": "p"},
        "prompts": [{"name": "p", "system_template": "Never promise.", "allowed_tools": ["look_up"]}],
        "tools": [{"name": "look_up", "description": "Finds parcels."}],
    }
    grader = Grader()
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: talk("Hi", "There it is.")) as seen:
            eval_ = await new_eval(service, draft, {**ENDS, "emphasis": "Tone."}, trials=3)
            runs = await executed(service, eval_, grader)
    assert [outcome(run) for run in runs] == ["pass"] * 3
    assert len(grader.asked) == 3
    asked = json.dumps(grader.asked[0].messages)
    for part in ("Never promise.", "Finds parcels.", "Tone.", "The parcel is found.", "There it is."):
        assert part in asked
    assert seen[0].agent_snapshot.system_prompt == "Never promise."
    assert [tool["name"] for tool in seen[0].agent_snapshot.tools or ()] == ["look_up"]
    assert seen[0].test_case.expected_outcomes == ("The parcel is found.",)
    assert seen[0].run_snapshot.run_config.seconds == 120


async def test_test_case_that_passes_with_metrics_at_zero_says_so(tmp_path: Path) -> None:
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: talk("Hi", "There it is.")):
            eval_ = await new_eval(service, HOLDER, OPEN, config={"judge": {"pass_threshold": 50.0}})
            [run] = await executed(service, eval_, Grader(TWO_AT_ZERO))
    assert run.outcome == "pass"
    assert "although tool_routing, parameter_extraction have the lowest score" in (run.reason or "")


async def test_outcomes_are_decisions_of_their_own(tmp_path: Path) -> None:
    scenario = {"name": "hello", "criteria": ["The parcel is found.", "The user is thanked."]}
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: talk("Hi", "There it is.")):
            eval_ = await new_eval(service, HOLDER, scenario)
            [run] = await executed(service, eval_, Grader(outcomes={"o2": False}))
            result = await service.get_result(run.id) if hasattr(service, "get_result") else None
    assert run.outcome == "fail"
    assert "The user is thanked." in (run.reason or "")
    if result is not None:
        assert [(item.criterion, item.decision) for item in result.decisions] == [
            ("The parcel is found.", "true"),
            ("The user is thanked.", "false"),
        ]


async def test_configuration_of_simulators_and_limits_reaches_the_runtime(tmp_path: Path) -> None:
    config = {
        "timeout_per_test_case_ms": 9000,
        "agent_timeout": 4.0,
        "max_turns": 3,
        "tool_mode": "live",
        "agent_simulator": {"model": "gpt-x", "provider": "openai", "temperature": 0.5, "max_tokens": 77},
    }
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: talk("Hi", "There it is.")) as seen:
            eval_ = await new_eval(service, HOLDER, ENDS, config=config)
            await executed(service, eval_, Grader())
    run = seen[0].run_snapshot.run_config
    assert (run.seconds, run.agent_timeout, run.max_turns, run.tool_mode) == (9.0, 4.0, 3, "live")
    simulator = run.agent_simulator
    assert (simulator.model, simulator.temperature, simulator.max_tokens) == ("openai/gpt-x", 0.5, 77)


async def test_scripted_user_talks_to_an_agent_of_a_text_runtime(tmp_path: Path) -> None:
    async with served(peer_of("custom_endpoint")) as peer, RunService.open(store(tmp_path)) as service:
        runtime = {"kind": "custom_endpoint", "url": peer.url, "allow_private_addresses": True}
        user = {"mode": "scripted", "scripted_messages": ["Where is {it}?", "Thanks {{name}}."]}
        draft = {"agent": {"name": "bot", "http": {"url": "http://agent.invalid"}}}
        eval_ = await new_eval(service, draft, OPEN, config={"runtime": runtime, "user_simulator": user})
        [run] = await executed(service, eval_, Grader())
    assert outcome(run) == "pass"
    said = [message["content"] for message in run.messages if message["role"] == "user"]
    assert said == ["Where is {it}?", "Thanks {{name}}."]


@pytest.mark.parametrize(
    ("cases", "metrics", "scores", "ok"),
    [
        (100.0, 80.0, {}, True),
        (100.0, 80.0, {"tool_routing": 0, "parameter_extraction": 0}, False),
        (100.0, 60.0, {"tool_routing": 0, "parameter_extraction": 0}, True),
        (90.0, 80.0, {}, True),
    ],
)
async def test_execution_is_measured_by_the_thresholds_of_the_eval(
    tmp_path: Path, cases: float, metrics: float, scores: Any, ok: bool
) -> None:
    from duologue.runs.store.database.execution_result import execution_so_far

    config = {"cases_pass_threshold": cases, "metrics_pass_threshold": metrics, "judge": {"pass_threshold": 50.0}}
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: talk("Hi", "There it is.")):
            eval_ = await new_eval(service, HOLDER, OPEN, config=config)
            [run] = await executed(service, eval_, Grader(scores))
        assert run.execution_id is not None
        found = await execution_so_far(service.database, run.execution_id)
    assert found is not None
    assert found.ok is ok
    assert found.grading is not None
    assert (found.grading.cases_threshold, found.grading.metrics_threshold) == (cases, metrics)


async def test_metrics_of_the_project_are_graded_too(tmp_path: Path) -> None:
    grader = Grader({"empathy": 1, "jargon": 0})
    metric = {"name": "empathy", "rubric": "Feels with the user.", "default_weight": 5.0, "include_in_defaults": True}
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: talk("Hi", "There it is.")):
            saved = await service.create_metric(**metric)
            draft = await service.create_metric(name="jargon", rubric="No jargon.", draft=True, score_type="binary")
            with pytest.raises(StoreConflictError, match="predefined"):
                await service.create_metric(name="tool_routing", rubric="x")
            with pytest.raises(ConfigurationError, match="is a draft"):
                await new_eval(service, HOLDER, OPEN, config={"judge": {"metrics": [{"metric": "jargon"}]}})
            await service.update_metric(draft.id, draft=False)
            judge = {"metrics": [{"metric": "empathy"}, {"metric": "jargon", "weight": 1.0}]}
            ids = [(await service.create_scenario(description="You want help.", name="again")).id]
            agent = (await service.list_agents())[0]
            await service.publish_agent(agent.id) if agent.version is None else None
            named = await service.create_eval(
                name="named", scenario_ids=ids, agent_id=agent.id, config={"judge": judge}
            )
            usual = await service.create_eval(name="usual", scenario_ids=ids, agent_id=agent.id, config={})
            assert [outcome(run) for run in await executed(service, named, grader)] == ["fail"]
            assert [outcome(run) for run in await executed(service, usual, grader)] == ["fail"]
            with pytest.raises(StoreConflictError, match="named"):
                await service.delete_metric(saved.id)
    asked = [set((request.response_schema or {})["properties"]["metrics"]["properties"]) for request in grader.asked]
    assert asked[0] == {"empathy", "jargon"}
    assert {"empathy", "tool_routing"} <= asked[1]
    assert "Feels with the user." in json.dumps(grader.asked[0].messages)
