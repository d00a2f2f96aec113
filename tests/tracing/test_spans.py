"""The trace of a run: its spans, how they hang together, what they say."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

import duologue
from duologue.conversation.setup import CheckOutcome
from duologue.errors import AgentError
from duologue.models.ask import ask
from duologue.models.base import ModelRequest
from duologue.testing import (
    EPOCH,
    ScriptedAgent,
    ScriptedJudge,
    ScriptedModel,
    ScriptedUserAgent,
    VirtualClock,
    run_virtual,
)
from duologue.vocabulary import AgentRole, CheckStatus, Scope

LIBRARY = trace.get_tracer("somebodys.library")


class Tracer(duologue.AgentAdapter):
    """An agent that traces itself, one span within another."""

    async def call(self, input):
        with LIBRARY.start_as_current_span("plan"):
            await asyncio.sleep(0)
            with LIBRARY.start_as_current_span("lookup", attributes={"table": 12}):
                await asyncio.sleep(0)
        return "table 12"


class Asking(duologue.AgentAdapter):
    def __init__(self, model, role=AgentRole.AGENT):
        self.model, self.role = model, role

    async def call(self, input):
        answer = await ask(self.model, ModelRequest(messages=input.messages), input.scope)
        return answer.message["content"]


def user():
    return ScriptedUserAgent(["hi"], repeat=True)


async def test_one_trace_per_run_with_turns_and_calls_and_the_agents_own_spans_below_them(traced):
    agents = [user(), Tracer(), ScriptedJudge([None, True])]
    result = await duologue.arun("booking", "d", agents, set_id="nightly", batch_run_id="b1", seed=7, verbose=False)
    assert [traced.path(span) for span in traced.named("lookup")] == [
        ["run booking", f"turn {turn}", "invoke_agent Tracer", "plan", "lookup"] for turn in (0, 1)
    ]
    assert Counter(span.name for span in traced.spans) == {
        "run booking": 1,
        "turn 0": 1,
        "turn 1": 1,
        "invoke_agent ScriptedUserAgent": 2,
        "invoke_agent Tracer": 2,
        "invoke_agent ScriptedJudge": 2,
        "plan": 2,
        "lookup": 2,
    }
    assert len({span.context.trace_id for span in traced.spans}) == 1
    root = traced.one("run booking")
    assert dict(root.attributes) == {
        "duologue.run.id": result.run_id,
        "gen_ai.conversation.id": traced.named("invoke_agent Tracer")[0].attributes["gen_ai.conversation.id"],
        "duologue.scenario.name": "booking",
        "duologue.set.id": "nightly",
        "duologue.batch.id": "b1",
        "duologue.seed": 7,
        "test.case.name": "booking",
        "test.suite.name": "nightly",
        "duologue.run.status": "completed",
        "duologue.termination": "judged",
        "duologue.verdict": "pass",
        "test.case.result.status": "pass",
    }
    assert root.status.status_code is StatusCode.UNSET
    call = traced.named("invoke_agent Tracer")[1]
    assert call.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert call.attributes["gen_ai.agent.name"] == "Tracer"
    assert call.attributes["duologue.participant.role"] == "Agent"
    assert call.attributes["duologue.turn"] == 1
    assert call.attributes["gen_ai.conversation.id"].startswith("thread_")


async def test_run_in_worker_threads_traces_each_run_by_itself(traced):
    def rehearse(number):
        return duologue.run(f"s{number}", "d", [user(), Tracer(), ScriptedJudge([True])], verbose=False)

    results = await asyncio.gather(*(rehearse(number) for number in range(20)))
    assert all(result.success for result in results)
    for number in range(20):
        trace_id = traced.one(f"run s{number}").context.trace_id
        names = Counter(span.name for span in traced.spans if span.context.trace_id == trace_id)
        assert names["lookup"] == names["plan"] == names["invoke_agent Tracer"] == names["turn 0"] == 1
        assert sum(names.values()) == 7


async def test_model_calls_are_chat_spans_below_the_call_that_made_them(traced):
    model = ScriptedModel(["certainly"], name="openai/gpt-5-mini")
    agents = [Asking(ScriptedModel(["hello"]), AgentRole.USER), Asking(model), ScriptedJudge([True])]
    await duologue.arun("n", "d", agents, verbose=False)
    span = traced.one("chat gpt-5-mini")
    assert traced.path(span) == ["run n", "turn 0", "invoke_agent Asking", "chat gpt-5-mini"]
    assert span.kind is SpanKind.CLIENT
    attributes = dict(span.attributes)
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.request.model"] == "gpt-5-mini"
    assert attributes["duologue.model.asker"] == "Asking"
    assert isinstance(attributes["gen_ai.usage.input_tokens"], int)
    assert isinstance(attributes["gen_ai.usage.output_tokens"], int)
    assert "certainly" not in str(attributes)


async def test_model_call_within_a_span_of_the_agent_stands_below_that_span(traced):
    class Deep(Asking):
        async def call(self, input):
            with LIBRARY.start_as_current_span("think"):
                return await super().call(input)

    agents = [user(), Deep(ScriptedModel(["certainly"], name="m")), ScriptedJudge([True])]
    await duologue.arun("n", "d", agents, verbose=False)
    assert traced.path(traced.one("chat m")) == ["run n", "turn 0", "invoke_agent Deep", "think", "chat m"]


async def test_calls_of_an_agent_and_a_judge_of_the_same_name_are_told_apart(traced):
    class Strict(Asking):
        @property
        def name(self):
            return "strict"

    class StrictJudge(ScriptedJudge):
        @property
        def name(self):
            return "strict"

        async def call(self, input):
            await ask(ScriptedModel(["yes"], name="judge-model"), ModelRequest(messages=input.messages), input.scope)
            return await super().call(input)

    class StrictCheck:
        name, kind, scope = "strict", "python", Scope.CONVERSATION

        async def evaluate(self, input):
            await ask(ScriptedModel(["fine"], name="check-model"), ModelRequest(messages=()), input.scope)
            return CheckOutcome(status=CheckStatus.PASSED)

    agents = [user(), Strict(ScriptedModel(["hello"], name="agent-model")), StrictJudge([True])]
    await duologue.arun("n", "d", agents, checks=[StrictCheck()], verbose=False)
    told = [traced.one(f"chat {who}-model") for who in ("agent", "judge", "check")]
    roles = [span.attributes.get("duologue.participant.role") for span in told]
    assert roles == ["Agent", "Judge", None]
    assert [traced.path(span)[2:-1] for span in told] == [["invoke_agent strict"], ["invoke_agent strict"], []]
    calls = {span.context.span_id: span for span in traced.named("invoke_agent strict")}
    parents = [calls[span.parent.span_id].attributes["duologue.participant.role"] for span in told[:2]]
    assert parents == ["Agent", "Judge"]


async def test_tools_that_duologue_runs_are_execute_tool_spans(traced):
    from duologue.journal.events import ToolCalled

    class Tooled(duologue.AgentAdapter):
        async def call(self, input):
            event = ToolCalled(
                name="book",
                turn=0,
                call_id="c1",
                arguments={"secret": 1},
                error="KeyError: x",
                seconds=2,
                call=input.scope.next_call(),
                participant=input.scope.participant,
            )
            input.scope.journal.append(event)
            return "done"

    await duologue.arun("n", "d", [user(), Tooled(), ScriptedJudge([True])], verbose=False)
    span = traced.one("execute_tool book")
    assert traced.path(span)[2:] == ["invoke_agent Tooled", "execute_tool book"]
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "book",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.type": "function",
        "error.type": "KeyError",
        "duologue.participant.role": "Agent",
        "duologue.participant.index": 1,
    }
    assert span.status.status_code is StatusCode.ERROR
    assert span.end_time - span.start_time == pytest.approx(2e9, abs=2000)


async def test_checks_and_decisions_are_evaluation_events(traced):
    def polite(state):
        assert "hello" in str(state.messages)

    def short(state):
        return False

    script = [
        duologue.user("hi"),
        duologue.agent(),
        duologue.judge(criteria=["greets"]),
        duologue.judge(),
    ]
    judge = ScriptedJudge([True, True])
    agents = [user(), ScriptedAgent(["hello"]), judge]
    await duologue.arun("n", "d", agents, script=script, checks=[polite, short], verbose=False)
    turn, root = traced.one("turn 0"), traced.one("run n")
    assert {event.name for event in [*turn.events, *root.events]} == {"gen_ai.evaluation.result"}
    on_turn = [dict(event.attributes) for event in turn.events]
    assert on_turn[-1]["gen_ai.evaluation.name"] == "ScriptedJudge"
    assert on_turn[-1]["duologue.judge.kind"] == "checkpoint"
    assert on_turn[-1]["gen_ai.evaluation.score.label"] == "pass"
    labels = {
        event.attributes["gen_ai.evaluation.name"]: event.attributes["gen_ai.evaluation.score.label"]
        for event in root.events
    }
    assert labels == {"ScriptedJudge": "pass", "polite": "passed", "short": "failed"}
    assert root.attributes["duologue.verdict"] == root.attributes["test.case.result.status"] == "fail"
    assert root.status.status_code is StatusCode.UNSET


async def test_an_agent_that_breaks_marks_its_call_and_the_run(traced):
    class Broken(duologue.AgentAdapter):
        async def call(self, input):
            raise KeyError("table")

    with pytest.raises(AgentError):
        await duologue.arun("n", "d", [user(), Broken()], verbose=False)
    call, root = traced.one("invoke_agent Broken"), traced.one("run n")
    assert call.status.status_code is root.status.status_code is StatusCode.ERROR
    assert call.attributes["error.type"] == root.attributes["error.type"] == "AgentError"
    assert "table" in call.status.description
    assert root.attributes["duologue.run.status"] == "error"
    assert "duologue.verdict" not in root.attributes
    assert traced.tracing.collector.runs == 0


async def test_a_cancelled_run_ends_its_spans(traced):
    inside = asyncio.Event()

    class Waiting(duologue.AgentAdapter):
        async def call(self, input):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(duologue.arun("n", "d", [user(), Waiting()], verbose=False))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert traced.one("invoke_agent Waiting").attributes["error.type"] == "CancelledError"
    assert traced.one("run n").attributes["duologue.termination"] == "cancelled"
    assert traced.tracing.collector.runs == 0


async def test_a_run_within_a_span_has_a_trace_of_its_own_that_is_linked_to_it(traced):
    with LIBRARY.start_as_current_span("pytest") as outer:
        await duologue.arun(
            "n", "d", [user(), Asking(ScriptedModel(["a"], name="m")), ScriptedJudge([True])], verbose=False
        )
    root = traced.one("run n")
    assert root.parent is None
    assert root.context.trace_id != outer.get_span_context().trace_id
    assert [link.context.span_id for link in root.links] == [outer.get_span_context().span_id]


def test_times_are_those_of_the_run(traced):
    clock = VirtualClock()
    agents = [user(), ScriptedAgent(["hello"], seconds=30), ScriptedJudge([True])]
    run_virtual(duologue.arun("n", "d", agents, context=duologue.Context(clock=clock), agent_timeout=60, verbose=False))
    call = traced.one("invoke_agent ScriptedAgent")
    assert call.end_time - call.start_time == pytest.approx(30e9, abs=2000)
    assert traced.one("run n").start_time == EPOCH * 1e9


async def test_a_run_whose_beginning_could_not_be_traced_goes_on_without_a_trace(traced, monkeypatch, caplog):
    def broken(*args):
        raise RuntimeError("no trace today")

    monkeypatch.setattr(traced.tracing.collector, "begin", broken)
    result = await duologue.arun("n", "d", [user(), ScriptedAgent(["a"]), ScriptedJudge([True])], verbose=False)
    assert result.success
    assert "a listener of run" in caplog.text


async def test_agents_in_the_background_keep_their_own_span_current(traced):
    script = [duologue.user("a"), duologue.agent(wait=False), duologue.user("b"), duologue.succeed()]
    await duologue.arun("n", "d", [user(), Tracer()], script=script, verbose=False)
    assert traced.path(traced.one("lookup"))[-3:] == ["invoke_agent Tracer", "plan", "lookup"]
