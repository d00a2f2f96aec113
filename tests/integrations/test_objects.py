"""Objects of frameworks that an adapter returns are read by their modules and fields, or named in the error."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

import duologue
from duologue import integrations
from duologue.errors import AgentReturnError, ConfigurationError, TargetError
from duologue.suites import Agent, Engine, Scenario, Suite, Turn
from duologue.suites.runner.python_agents import agent_maker
from duologue.testing import ScriptedUserAgent


def of(module: str, name: str, **fields: Any) -> Any:
    """An object of a class of that module."""
    return type(name, (SimpleNamespace,), {"__module__": module})(**fields)


class AIMessage(BaseModel):
    content: str
    type: str = "ai"
    tool_calls: list[dict[str, Any]] = []
    usage_metadata: dict[str, int] | None = None
    response_metadata: dict[str, Any] = {}


class HumanMessage(BaseModel):
    content: str
    type: str = "human"


class ToolMessage(BaseModel):
    content: str
    tool_call_id: str
    type: str = "tool"


for made in (AIMessage, HumanMessage, ToolMessage):
    made.__module__ = "langchain_core.messages"


@dataclass
class Part:
    part_kind: str
    tool_name: str | None = None
    content: str | None = None
    args: str | None = None
    tool_call_id: str | None = None


@dataclass
class Response:
    parts: list[Part]
    kind: str = "response"
    model_name: str | None = None
    usage: Any = field(default_factory=lambda: SimpleNamespace(input_tokens=0, output_tokens=0))


CALL = {"name": "find", "args": {"n": 1}, "id": "c1", "type": "tool_call"}
LANGCHAIN = [
    HumanMessage(content="hi"),
    AIMessage(content="", tool_calls=[CALL], usage_metadata={"input_tokens": 5, "output_tokens": 1}),
    ToolMessage(content="found", tool_call_id="c1"),
    AIMessage(
        content="done",
        usage_metadata={"input_tokens": 6, "output_tokens": 2},
        response_metadata={"model_name": "gpt-5-mini"},
    ),
]


def agents_result(output: Any = "found", *, spoken: bool = True) -> Any:
    call = {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"n": 1}'}
    result = {"type": "function_call_output", "call_id": "c1", "output": output}
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "done"}]}
    items = [
        of("agents.items", "ToolCallItem", type="tool_call_item", to_input_item=lambda: call),
        of("agents.items", "Output", type="tool_call_output_item", to_input_item=lambda: result, output=output),
    ]
    if spoken:
        items.append(of("agents.items", "Message", type="message_output_item", to_input_item=lambda: message))
    usage = SimpleNamespace(input_tokens=11, output_tokens=3)
    responses = [SimpleNamespace(usage=usage)]
    agent = SimpleNamespace(model="gpt-5-mini")
    return of(
        "agents.result", "RunResult", new_items=items, final_output="done", raw_responses=responses, last_agent=agent
    )


def pydantic_ai_result(output_tool: str | None = None) -> Any:
    usage = SimpleNamespace(input_tokens=5, output_tokens=1, cost="0.25")
    messages = [
        Response(kind="request", parts=[Part("user-prompt", content="hi")]),
        Response([Part("tool-call", "find", args='{"n": 1}', tool_call_id="c1")], model_name="m", usage=usage),
        Response(kind="request", parts=[Part("tool-return", "find", "found", tool_call_id="c1")]),
    ]
    if output_tool:
        messages.append(Response([Part("tool-call", output_tool, args="{}", tool_call_id="c2")]))
        messages.append(Response(kind="request", parts=[Part("tool-return", output_tool, "ok", tool_call_id="c2")]))
    else:
        messages.append(Response([Part("text", content="done")]))
    return of("pydantic_ai.run", "Result", new_messages=lambda: messages, output="done", _output_tool_name=output_tool)


CREWAI_MESSAGES = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"n": 1}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "found"},
    {"role": "assistant", "content": "Thought: done"},
]
CREWAI_USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
TASK = of("crewai.tasks", "TaskOutput", raw="done", messages=CREWAI_MESSAGES)


class Content(BaseModel):
    parts: list[dict[str, Any]]


def adk_event(*parts: dict[str, Any], partial: bool = False, author: str = "support", usage: Any = None) -> Any:
    return of(
        "google.adk.events",
        "Event",
        author=author,
        partial=partial,
        content=Content(parts=list(parts)),
        usage_metadata=usage,
    )


ADK_USAGE = SimpleNamespace(prompt_token_count=11, candidates_token_count=3)
TOOL_OUTPUT = SimpleNamespace(content="found", is_error=False)
LLAMA_CALL = of(
    "llama_index.core", "ToolCallResult", tool_id="c1", tool_name="find", tool_kwargs={"n": 1}, tool_output=TOOL_OUTPUT
)

WHOLE = {
    "langgraph state": ({"messages": LANGCHAIN}, (11, 3)),
    "langchain messages": (LANGCHAIN[1:], (11, 3)),
    "openai agents": (agents_result(), (11, 3)),
    "openai agents, mcp text": (agents_result({"type": "text", "text": "found"}), (11, 3)),
    "openai agents, mcp texts": (agents_result([{"type": "text", "text": "found"}]), (11, 3)),
    "openai agents, output of a tool": (agents_result(spoken=False), (11, 3)),
    "pydantic-ai": (pydantic_ai_result(), (5, 1)),
    "pydantic-ai, output tool": (pydantic_ai_result("final_result"), (5, 1)),
    "crewai agent": (
        of("crewai.lite", "LiteAgentOutput", raw="done", messages=CREWAI_MESSAGES, usage_metrics=CREWAI_USAGE),
        (11, 3),
    ),
    "crewai crew": (
        of("crewai.crews", "CrewOutput", raw="done", tasks_output=[TASK], token_usage=CREWAI_USAGE),
        (11, 3),
    ),
    "adk events": (
        [
            adk_event({"function_call": {"id": "c1", "name": "find", "args": {"n": 1}}}),
            adk_event({"function_response": {"id": "c1", "name": "find", "response": {"result": "found"}}}),
            adk_event({"text": "do"}, partial=True),
            adk_event({"text": "done"}, usage=ADK_USAGE),
        ],
        (11, 3),
    ),
    "llama-index output": (
        of("llama_index.core", "AgentOutput", response=SimpleNamespace(content="done"), tool_calls=[LLAMA_CALL]),
        (0, 0),
    ),
}


async def played(value: Any, *, report: dict[str, Any] | None = None) -> duologue.ScenarioResult:
    class Returning(duologue.AgentAdapter):
        async def call(self, input: duologue.AgentInput) -> Any:
            if report is not None:
                input.report_usage(**report)
            return value

    script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
    return await duologue.arun("a", "b", [ScriptedUserAgent([]), Returning()], script=script, verbose=False)


@pytest.mark.parametrize("shape", WHOLE)
async def test_results_of_runs_are_read_with_their_tools_and_usage(shape):
    value, (read, written) = WHOLE[shape]
    result = await played(value)
    asked, answered, said = result.messages[1:]
    assert asked["tool_calls"][0]["function"]["name"] == "find"
    assert duologue.messages.arguments_of(asked["tool_calls"][0]) == {"n": 1}
    assert (answered["role"], answered["tool_call_id"], answered["content"]) == ("tool", "c1", "found")
    assert said["content"] == "done"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (read, written)


async def test_cost_and_model_of_a_result_are_taken_from_it():
    assert (await played(pydantic_ai_result())).cost == 0.25
    assert (await played(agents_result())).cost > 0


async def test_an_adapter_that_reports_usage_itself_is_not_counted_twice():
    result = await played(agents_result(), report={"input_tokens": 1, "output_tokens": 1})
    assert result.usage.total_tokens == 2
    result = await played(agents_result(), report={"response": agents_result()})
    assert result.usage.total_tokens == 14


async def test_report_usage_takes_what_a_model_answered():
    response = {"model": "gpt-5-mini", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    assert (await played("hi", report={"response": response})).usage.total_tokens == 9
    assert (await played("hi", report={"response": [response, response]})).usage.total_tokens == 18
    assert (await played("hi", report={"response": response, "cost": 0.5})).cost == 0.5
    with pytest.raises(duologue.errors.AgentError, match="does not say what it took"):
        await played("hi", report={"response": {"choices": []}})


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": "7", "completion_tokens": 2}, {"prompt_tokens": -1}, [], "x", None]
)
async def test_usage_that_cannot_be_read_is_no_error_of_the_agent(usage):
    result = await played({"role": "assistant", "content": "hi", "usage": usage})
    assert result.success
    assert result.usage.total_tokens == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            of("langgraph.graph.state", "CompiledStateGraph"),
            "an object of LangGraph .* duologue.integrations.LangGraph",
        ),
        (of("agents.agent", "Agent"), "returned a Agent.*OpenAI Agents SDK"),
        (of("crewai.agent", "Agent"), "duologue.integrations.CrewAI"),
        (of("my.agents", "Thing"), r"returned a Thing: .*\. Expected text"),
        ([HumanMessage(content="hi")], "the role of an agent's own messages"),
    ],
)
async def test_other_objects_are_named_with_what_to_do(value, expected):
    with pytest.raises(AgentReturnError, match=expected):
        await played(value)


def test_nothing_is_imported_for_the_integrations():
    code = (
        "import sys, duologue, duologue.integrations as i\n"
        "[getattr(i, name) for name in i.__all__]\n"
        "bad = {'langgraph', 'agents', 'pydantic_ai', 'crewai', 'google.adk', 'llama_index', 'openai', 'mcp'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_names_are_those_of_the_table():
    assert sorted(integrations.__all__) == sorted([*integrations._HOMES, "integration_of"])
    for name in integrations._HOMES:
        assert (
            getattr(integrations, name).__module__
            == importlib.import_module(f"duologue.integrations.{integrations._HOMES[name][1:]}").__name__
        )


@pytest.mark.parametrize("name", ["LangGraph", "OpenAIAgents", "PydanticAI", "CrewAI", "GoogleADK", "LlamaIndex"])
async def test_what_is_no_agent_and_a_missing_package_are_named(name):
    kind = getattr(integrations, name)
    with pytest.raises(ConfigurationError, match=rf"{name}\(str\): expected an? .*, or a function without parameters"):
        kind("no agent")
    if not integrations.base._is_installed(kind.package):
        script = [duologue.user("hi"), duologue.agent()]
        agents = [ScriptedUserAgent([]), kind(lambda: None)]
        with pytest.raises(duologue.errors.AgentError, match=f"needs the package '{kind.package}'"):
            await duologue.arun("a", "b", agents, script=script, verbose=False)


async def echo(messages):
    return {"role": "assistant", "content": f"{len(messages)} messages"}


async def test_a_function_of_the_messages_is_an_agent():
    script = [duologue.user("hi"), duologue.agent(), duologue.user("again"), duologue.agent(), duologue.succeed()]
    for play in (duologue.run, duologue.arun):
        for agent in (integrations.OpenAIChat(echo), integrations.OpenAIChat(lambda: echo)):
            agents = [ScriptedUserAgent([]), agent]
            result = await play("a", "b", agents, script=script, verbose=False)
            assert [m["content"] for m in result.messages if m["role"] == "assistant"] == ["1 messages", "3 messages"]


async def test_a_function_may_stream_and_its_usage_is_counted():
    async def streaming(messages):
        yield "Hel"
        yield "lo"
        yield {"model": "gpt-5-mini", "choices": [{"message": {"role": "assistant", "content": "Hello"}}],
               "usage": {"prompt_tokens": 7, "completion_tokens": 2}}  # fmt: skip

    agents = [ScriptedUserAgent([]), integrations.OpenAIChat(streaming)]
    script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
    chunks = [c async for c in duologue.stream("a", "b", agents, script=script, verbose=False)]
    assert [chunk.delta for chunk in chunks if chunk.delta] == ["Hel", "lo"]
    assert [m["content"] for m in chunks[-1].result.messages] == ["hi", "Hello"]
    assert chunks[-1].result.usage.total_tokens == 9


@pytest.mark.parametrize("play", [duologue.run, duologue.arun])
@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_what_a_factory_opens_is_closed_at_the_end_of_the_run_by_the_same_task(play, ends):
    import asyncio
    from contextlib import asynccontextmanager

    tasks = []

    @asynccontextmanager
    async def make():
        tasks.append(asyncio.current_task())

        async def answer(messages):
            if ends == "badly":
                raise KeyError("order")
            return "hi"

        try:
            yield answer
        finally:
            tasks.append(asyncio.current_task())

    agents = [ScriptedUserAgent([]), integrations.OpenAIChat(make)]
    script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
    try:
        await play("a", "b", agents, script=script, verbose=False)
    except duologue.errors.AgentError:
        assert ends == "badly"
    assert len(tasks) == 2
    assert tasks[0] is tasks[1]


async def test_a_factory_that_fails_is_an_error_of_the_agent():
    def broken():
        raise ValueError("no key")

    script = [duologue.user("hi"), duologue.agent()]
    for factory, expected in ((broken, "no key"), (lambda: 7, "made a int; expected a client")):
        agents = [ScriptedUserAgent([]), integrations.OpenAIChat(factory)]
        with pytest.raises(duologue.errors.AgentError, match=expected):
            await duologue.arun("a", "b", agents, script=script, verbose=False)


def test_an_agent_of_a_framework_is_a_target_of_a_suite_as_it_is():
    graph = of("langgraph.graph.state", "CompiledStateGraph", astream=None)
    agent = agent_maker(graph, "agent.py:graph", "support")()
    assert isinstance(agent, integrations.LangGraph)
    assert integrations.integration_of("text") is None
    builder = of("langgraph.graph.state", "StateGraph")
    with pytest.raises(TargetError, match="or an agent of a framework that duologue"):
        agent_maker(builder, "agent.py:builder", "support")


ISOLATED = """
from pydantic import BaseModel
import duologue

class AIMessage(BaseModel):
    content: str
    type: str = "ai"
    usage_metadata: dict = {"input_tokens": 5, "output_tokens": 2}

AIMessage.__module__ = "langchain_core.messages"

class Returning(duologue.AgentAdapter):
    async def call(self, input):
        return [AIMessage(content="hello")]

class Reporting(duologue.AgentAdapter):
    async def call(self, input):
        input.report_usage(model="gpt-5-mini", input_tokens=5, output_tokens=2)
        return AIMessage(content="hello")
"""


@pytest.mark.parametrize("name", ["Returning", "Reporting"])
async def test_agents_in_processes_of_their_own_report_usage_and_return_objects(tmp_path, name):
    (tmp_path / "agent.py").write_text(ISOLATED)
    agent = Agent(name="bot", target=f"agent.py:{name}", isolation="processes")
    scenario = Scenario(name="a", turns=[Turn(content="hi")])
    suite = Suite(name="s", agents=(agent,), scenarios=(scenario,)).within(tmp_path)
    async with Engine(suite=suite) as engine:
        execution = await engine.execute()
    [run] = execution.runs
    assert [item.message["content"] for item in run.messages] == ["hi", "hello"], run.error
    assert run.agent.usage.total_tokens == 7
