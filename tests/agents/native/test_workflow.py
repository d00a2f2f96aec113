from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.agents.native import PromptAgent
from duologue.agents.native.workflow import TRANSITION_TOOL, WorkflowFault, WorkflowRun, tools_of
from duologue.errors import ModelUnavailableError, SuiteError
from duologue.journal.causes import workflow_states
from duologue.messages import assistant_message, text_of, tool_call, user_message
from duologue.models.scripted import ScriptedModel
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.suite import Workflow, WorkflowState
from duologue.vocabulary import RunStatus


def go(event: str, id: str = "t", **more: str) -> Any:
    return assistant_message("Moving on.", [tool_call(TRANSITION_TOOL, {"event": event, **more}, id)])


STATES = {
    "intake": WorkflowState(prompt_task="ask", on_event={"Solve": "work", "Close": "done"}),
    "work": WorkflowState(prompt_task="work", on_event={"Back": "intake", "Close": "done"}, artifacts={"report": {}}),
    "done": WorkflowState(prompt_task="bye", terminal=True),
}


@pytest.fixture
def flowing(stage: Any) -> Any:
    stage.scenario = {"prompt": None}
    stage.suite = {
        "workflow": Workflow(entry="intake", states=STATES),
        "tools": (Tool(name="fix", description="Fixes.", mock_result="fixed"),),
        "prompts": (
            Prompt(name="ask", system_template="Ask."),
            Prompt(name="work", system_template="Work.", allowed_tools=("fix",)),
            Prompt(name="bye", system_template="Say goodbye."),
        ),
    }
    return stage


async def test_the_next_answer_has_the_prompt_and_the_tools_of_the_new_state(flowing: Any) -> None:
    run = await flowing.play([go("Solve", context="It is broken."), "On it.", "Working."], "a", "b")
    prompts = [text_of(request.messages[0]) for request in run.model.requests]
    offered = [[tool.name for tool in request.tools] for request in run.model.requests]
    assert prompts == ["Ask.", "Work.", "Work."]
    assert offered == [[TRANSITION_TOOL], *[["fix", TRANSITION_TOOL, "workflow__set_artifact"]] * 2]
    assert run.model.requests[0].tools[0].parameters["properties"]["event"]["enum"] == ["Solve", "Close"]
    assert [data["task"] for data in run.noted("prompt")] == ["ask", "work"]


async def test_notes_where_it_stands(flowing: Any) -> None:
    run = await flowing.play(["Hello.", go("Close", context="Done."), "Bye.", "Still bye."], "a", "b", "c")
    assert run.noted("workflow.state") == [{"state": "intake", "terminal": False}]
    moved = {"origin": "intake", "target": "done", "event": "Close", "terminal": True, "context": "Done."}
    moved["call_id"] = "t"
    assert run.noted("workflow.transition") == [moved]
    assert [note.turn for note in run.notes if note.kind == "workflow.transition"] == [1]
    assert run.model.requests[-1].tools == ()


async def test_says_what_will_happen(flowing: Any) -> None:
    run = await flowing.play([go("Close"), "Bye."])
    expected = '{\n  "event": "Close",\n  "status": "transition_scheduled",\n  "target_state": "done"\n}'
    assert run.result.messages[2].get("content") == expected
    assert run.tools[0].result == {"event": "Close", "status": "transition_scheduled", "target_state": "done"}


async def test_an_unknown_event_is_told_with_those_that_are_valid(flowing: Any) -> None:
    run = await flowing.play([go("Fly"), "Sorry."])
    assert text_of(run.result.messages[2]) == 'Error: unknown event "Fly"; valid events: Solve, Close'
    assert run.noted("workflow.transition") == []


async def test_an_agent_can_walk_through_several_states_in_one_turn(flowing: Any) -> None:
    fix = assistant_message("Fixing.", [tool_call("fix", {}, "f")])
    run = await flowing.play([go("Solve"), fix, go("Back"), go("Close"), "Bye."])
    assert [data["target"] for data in run.noted("workflow.transition")] == ["work", "intake", "done"]
    assert [text_of(request.messages[0]) for request in run.model.requests] == [
        "Ask.",
        "Work.",
        "Work.",
        "Ask.",
        "Say goodbye.",
    ]
    assert [tool.error for tool in run.tools] == [None] * 4
    states = workflow_states(run.records, run.notes)
    said = [(text_of(item.message), states[item.message_id]) for item in run.records if item.message["role"] != "tool"]
    assert said[1:] == [
        ("Moving on.", "intake"),
        ("Fixing.", "work"),
        ("Moving on.", "work"),
        ("Moving on.", "intake"),
        ("Bye.", "done"),
    ]


async def test_calls_of_one_answer_are_made_one_after_the_other_in_the_states_they_lead_to(flowing: Any) -> None:
    both = assistant_message(
        None,
        [
            tool_call(TRANSITION_TOOL, {"event": "Solve"}, "a"),
            tool_call(TRANSITION_TOOL, {"event": "Solve"}, "b"),
            tool_call(TRANSITION_TOOL, {"event": "Close"}, "c"),
        ],
    )
    run = await flowing.play([both, "Bye."])
    assert [data["target"] for data in run.noted("workflow.transition")] == ["work", "done"]
    assert text_of(run.result.messages[3]) == 'Error: unknown event "Solve"; valid events: Back, Close'


@pytest.mark.parametrize(("task", "first"), [("work", "Work."), ("intake", "Ask."), ("done", "Say goodbye.")])
async def test_a_scenario_whose_prompt_names_a_state_begins_there(flowing: Any, task: str, first: str) -> None:
    flowing.scenario = {"prompt": task}
    run = await flowing.play(["Hello."])
    assert text_of(run.model.requests[0].messages[0]) == first
    assert [data["state"] for data in run.noted("workflow.state")] == [task]


async def test_artifacts_are_kept(flowing: Any) -> None:
    stored = assistant_message(None, [tool_call("workflow__set_artifact", {"name": "report", "value": 3}, "a")])
    wrong = assistant_message(None, [tool_call("workflow__set_artifact", {"name": "poem", "value": 3}, "b")])
    run = await flowing.play([go("Solve"), "ok", stored, wrong, "done"], "a", "b")
    answers = [text_of(message) for message in run.result.messages if message["role"] == "tool"]
    assert answers[1] == '{\n  "artifact": "report",\n  "status": "stored"\n}'
    assert answers[2] == 'Error: unknown artifact "poem"; valid names: report'


async def test_a_change_stands_also_if_the_turn_then_fails(flowing: Any) -> None:
    run = await flowing.play([go("Solve"), ModelUnavailableError("gone")])
    assert run.result.status is RunStatus.ERROR
    assert [data["target"] for data in run.noted("workflow.transition")] == ["work"]


async def test_after_a_failed_turn_the_agent_goes_on_in_the_state_that_it_has_reached(
    flowing: Any, given_messages: Any
) -> None:
    model = ScriptedModel([go("Solve"), ModelUnavailableError("gone"), "Hello.", "Hello."])
    agent = PromptAgent(flowing.blueprint(), model=model)
    with pytest.raises(ModelUnavailableError):
        await agent.call(given_messages([user_message("a")]))
    await agent.call(given_messages([user_message("a")]))
    assert agent.state == "work"


def test_a_state_that_ends_the_workflow_has_no_events() -> None:
    last = WorkflowState(terminal=True, on_event={"go": "a"})
    assert tools_of(last) == ()
    with pytest.raises(WorkflowFault, match="none, the state 'a' has no events"):
        WorkflowRun(Workflow(entry="a", states={"a": last}), 0).ask(TRANSITION_TOOL, {"event": "go"}, 0)


async def test_the_budget_limits_tool_calls(flowing: Any) -> None:
    flowing.suite["workflow"] = Workflow(entry="work", states=STATES, engine={"budget": {"max_tool_calls": 1}})
    fix = assistant_message(None, [tool_call("fix", {}, "f"), tool_call("fix", {}, "g")])
    run = await flowing.play([fix, "done"])
    answers = [text_of(message) for message in run.result.messages if message["role"] == "tool"]
    assert answers == ["fixed", "Error: the budget of the workflow is spent: max_tool_calls is 1"]


def test_a_composition_is_refused(flowing: Any) -> None:
    states = {"intake": WorkflowState(composition="c")}
    flowing.suite["workflow"] = Workflow(entry="intake", states=states)
    with pytest.raises(SuiteError, match="runs a composition, which this version cannot"):
        flowing.blueprint()


def test_skills_are_warned_of(flowing: Any) -> None:
    flowing.suite["workflow"] = Workflow(entry="a", states={"a": WorkflowState(prompt_task="ask", skills=["x"])})
    assert "skills are not offered" in flowing.blueprint().warnings[0].message


def looping(**states: Any) -> WorkflowRun:
    return WorkflowRun(Workflow(entry="a", states={name: WorkflowState(**state) for name, state in states.items()}), 0)


def step(run: WorkflowRun, event: str) -> str:
    run.ask(TRANSITION_TOOL, {"event": event}, 0)
    return run.state


def test_a_state_that_is_full_leads_elsewhere() -> None:
    run = looping(a={"on_event": {"go": "b"}}, b={"on_event": {"go": "b"}, "max_visits": 2, "on_max_visits": "c"}, c={})
    assert [step(run, "go") for _ in range(3)] == ["b", "b", "c"]


def test_a_state_that_is_full_and_leads_nowhere_refuses() -> None:
    run = looping(a={"on_event": {"go": "a"}, "max_visits": 1})
    with pytest.raises(WorkflowFault, match="may be entered 1 times"):
        step(run, "go")


def test_the_budget_limits_visits_and_time() -> None:
    budget = {"budget": {"max_total_visits": 2, "max_wall_time_sec": 5}}
    run = WorkflowRun(Workflow(entry="a", states={"a": WorkflowState(on_event={"go": "a"})}, engine=budget), 0)
    assert step(run, "go") == "a"
    with pytest.raises(WorkflowFault, match="max_total_visits is 2"):
        step(run, "go")
    with pytest.raises(WorkflowFault, match="max_wall_time_sec is 5"):
        run.count_call(5.1)


@given(st.lists(st.sampled_from(["x", "y", "nonsense"]), max_size=30))
def test_it_is_always_in_a_state_that_its_events_lead_to(events: list[str]) -> None:
    states = {
        "a": {"on_event": {"x": "b"}, "max_visits": 3, "on_max_visits": "c"},
        "b": {"on_event": {"x": "a", "y": "c"}, "max_visits": 2, "on_max_visits": "c"},
        "c": {"on_event": {"y": "a"}},
    }
    run = looping(**states)
    for event in events:
        before = run.state
        valid = event in run.spec.on_event
        try:
            told, noted = run.ask(TRANSITION_TOOL, {"event": event}, 0)
        except WorkflowFault:
            assert not valid
            assert run.state == before
        else:
            assert noted is not None
            assert noted.origin == before
            assert noted.target == told["target_state"] == run.state
