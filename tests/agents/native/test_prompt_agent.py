from __future__ import annotations

from typing import Any

import pytest

from duologue.agents.native import PromptAgent
from duologue.errors import ModelUnavailableError
from duologue.messages import assistant_message, text_of, tool_call
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.models.scripted import ScriptedModel
from duologue.specs.agents import Sampling
from duologue.specs.checks import GuardrailSpec
from duologue.specs.prompts import Parameters, Tool
from duologue.specs.scenario import ToolPolicy, Turn
from duologue.specs.suite import Defaults
from duologue.vocabulary import RunStatus, Verdict


def calls(*names: str, text: str | None = None, id: str = "c1") -> Any:
    return assistant_message(
        text, [tool_call(name, {"q": 1}, f"{id}{index or ''}") for index, name in enumerate(names)]
    )


@pytest.fixture
def tooled(stage: Any) -> Any:
    stage.prompt = {"system_template": "You help.", "allowed_tools": ("search",)}
    tools = (
        Tool(name="search", description="Finds.", mock_result={"found": 1}),
        Tool(name="hidden", description="Not offered."),
    )
    stage.suite = {"tools": tools}
    return stage


async def test_sends_the_prompt_and_the_whole_conversation(stage: Any) -> None:
    run = await stage.play(["one", "two"], "a", "b")
    assert run.result.verdict is Verdict.PASS
    sent = [[text_of(message) for message in request.messages] for request in run.model.requests]
    assert sent == [["You help.", "a"], ["You help.", "a", "one", "b"]]
    assert [message["role"] for message in run.result.messages] == ["user", "assistant"] * 2


async def test_notes_the_prompt_once(stage: Any) -> None:
    run = await stage.play(["one", "two"], "a", "b")
    assert run.noted("prompt") == [{"task": "p", "text": "You help."}]


async def test_calls_tools_until_there_is_an_answer(tooled: Any) -> None:
    run = await tooled.play([calls("search", text="Let me see."), "Found it."])
    assert [message["role"] for message in run.result.messages] == ["user", "assistant", "tool", "assistant"]
    assert run.result.messages[2] == {"role": "tool", "tool_call_id": "c1", "content": '{\n  "found": 1\n}'}
    assert [event.name for event in run.tools] == ["search"]
    second = run.model.requests[1].messages
    assert [message["role"] for message in second] == ["system", "user", "assistant", "tool"]


async def test_offers_only_the_tools_of_the_prompt(tooled: Any) -> None:
    run = await tooled.play(["hello"])
    assert [tool.name for tool in run.model.requests[0].tools] == ["search"]


@pytest.mark.parametrize("name", ["hidden", "nobody"])
async def test_a_tool_that_is_not_offered_is_not_found(tooled: Any, name: str) -> None:
    run = await tooled.play([calls(name), "Sorry."])
    assert run.result.messages[2].get("content") == f"Error: tool not found: {name}"
    assert [event.error for event in run.tools] == [f"tool not found: {name}"]
    assert run.result.verdict is Verdict.PASS


async def test_a_blocked_tool_says_so(tooled: Any) -> None:
    tooled.prompt["tool_policy"] = ToolPolicy(blocklist=("hidden",))
    tooled.scenario = {"tool_policy": ToolPolicy(blocklist=("search",))}
    run = await tooled.play([calls("search", "hidden"), "Sorry."])
    answers = [text_of(message) for message in run.result.messages if message["role"] == "tool"]
    assert answers == [f"Error: Tool {name} is blocked by policy" for name in ("search", "hidden")]


async def test_calls_of_one_answer_are_made_in_order_and_named_apart(tooled: Any) -> None:
    both = assistant_message(None, [tool_call("search", {}, "x"), tool_call("nobody", {}, "x")])
    run = await tooled.play([both, calls("search", id="x"), "done"])
    made = [call["id"] for message in run.result.messages for call in message.get("tool_calls", [])]
    assert made == ["x", "x_2", "x_3"]
    assert [message.get("tool_call_id") for message in run.result.messages if message["role"] == "tool"] == made
    assert [event.call_id for event in run.tools] == made


async def test_tools_must_be_called_in_the_first_round_only(tooled: Any) -> None:
    tooled.prompt["tool_policy"] = ToolPolicy(tool_choice="required")
    run = await tooled.play([calls("search"), "done", "again"], "a", "b")
    assert [request.tool_choice for request in run.model.requests] == ["required", "auto", "required"]


async def test_a_turn_has_so_many_rounds(tooled: Any) -> None:
    tooled.scenario = {"tool_policy": ToolPolicy(max_rounds=3)}
    run = await tooled.play(ScriptedModel([calls("search")], repeat=True))
    assert run.result.status is RunStatus.ERROR
    assert "asked 3 times in one turn" in run.result.error.message
    assert len(run.asked) == 3


async def test_rounds_end_at_fifty_by_themselves(tooled: Any) -> None:
    run = await tooled.play(ScriptedModel([calls("search")], repeat=True))
    assert "asked 50 times" in run.result.error.message


@pytest.mark.parametrize(("most", "asked"), [(None, 3), (0.5, 1)])
async def test_a_turn_may_cost_so_much(tooled: Any, most: float | None, asked: int) -> None:
    tooled.scenario = {"tool_policy": ToolPolicy(max_cost_usd=most)} if most else {}
    costly = ModelAnswer(message=calls("search"), cost=0.9)
    run = await tooled.play(ScriptedModel([costly], repeat=True))
    assert "this turn has cost" in run.result.error.message
    assert len(run.asked) == asked


async def test_what_was_said_before_a_failure_is_noted(tooled: Any) -> None:
    run = await tooled.play([calls("search"), ModelUnavailableError("gone")])
    assert run.result.status is RunStatus.ERROR
    (unfinished,) = run.noted("turn.unfinished")
    assert [message["role"] for message in unfinished["messages"]] == ["assistant", "tool"]


async def test_the_prompts_parameters_come_over_the_models_and_the_turns_over_all(stage: Any) -> None:
    stage.suite = {"defaults": Defaults(temperature=0.1, max_tokens=10)}
    stage.model = {"sampling": Sampling(temperature=0.2, top_p=0.5)}
    first = await stage.play(["x"])
    stage.suite = {"defaults": Defaults(temperature=0.1, max_tokens=10)}
    stage.prompt = {"system_template": "x", "parameters": Parameters(temperature=0.3, max_tokens=30, top_k=4)}
    second = await stage.play(["x"])
    third = await stage.play(["x"], turn=Turn(content="x", agent_temperature=0.0, seed=7))
    stage.blueprint_options = {"temperature": 0.9}
    fourth = await stage.play(["x"])
    sent = [run.model.requests[0] for run in (first, second, third, fourth)]
    assert [request.temperature for request in sent] == [0.2, 0.3, 0.0, 0.9]
    assert [request.max_tokens for request in sent] == [10, 30, 30, 30]
    assert [request.extra for request in sent[:2]] == [{"top_p": 0.5}, {"top_p": 0.5, "top_k": 4}]
    assert sent[2].seed == 7


async def test_options_that_a_model_does_not_take_are_not_sent(stage: Any) -> None:
    stage.model = {"sampling": Sampling(temperature=0.2, top_p=0.5), "unsupported_params": ("temperature", "top_p")}
    request: ModelRequest = (await stage.play(["x"])).model.requests[0]
    assert (request.temperature, request.extra) == (None, {})


def rail(**fields: Any) -> dict[str, Any]:
    spec = GuardrailSpec(type="banned_words", params={"words": ["secret"]}, **fields)
    return {"system_template": "x", "guardrails": (spec,)}


async def test_an_answer_that_breaks_a_rule_is_noted_and_goes_on(stage: Any) -> None:
    stage.prompt = rail()
    run = await stage.play(["a secret", "fine"], "a", "b")
    assert [text_of(message) for message in run.result.messages] == ["a", "a secret", "b", "fine"]
    assert [(data["direction"], data["passed"]) for data in run.noted("guardrail")] == [
        ("output", False),
        ("output", True),
    ]


async def test_an_answer_is_replaced_where_the_guardrail_has_a_text(stage: Any) -> None:
    stage.prompt = {**rail(message="I cannot say that."), "allowed_tools": ("search",)}
    stage.suite = {"tools": (Tool(name="search", description="Finds."),)}
    run = await stage.play([calls("search", text="a secret")])
    assert [text_of(message) for message in run.result.messages] == ["hi", "I cannot say that."]
    assert run.tools == []


async def test_a_users_message_that_breaks_a_rule_does_not_reach_the_model(stage: Any) -> None:
    stage.prompt = rail(direction="input")
    run = await stage.play(["fine"], "the secret", "hello")
    assert [text_of(message) for message in run.result.messages][1].startswith("This message was withheld")
    assert len(run.model.requests) == 1
    assert [(data["direction"], data["passed"]) for data in run.noted("guardrail")] == [
        ("input", False),
        ("input", True),
    ]


async def test_a_guardrail_that_is_off_is_not_asked(stage: Any) -> None:
    stage.prompt = rail(enabled=False)
    assert (await stage.play(["a secret"])).noted("guardrail") == []


async def test_a_refusal_is_the_answer(stage: Any) -> None:
    run = await stage.play([ModelAnswer(message=assistant_message(None), refusal="I will not.")])
    assert text_of(run.result.messages[1]) == "I will not."


async def test_describes_itself_without_secrets(stage: Any) -> None:
    agent = PromptAgent(stage.blueprint(), model=ScriptedModel(["x"], name="mock/m"))
    assert agent.describe() == {"model": "mock/m", "task": "p", "tools": []}
    assert (agent.name, agent.state) == ("bot", None)
