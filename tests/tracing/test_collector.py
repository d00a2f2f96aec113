"""What is kept of agents' spans, for whom, for how long, and how much of it."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from opentelemetry import trace

import duologue
from duologue.agents.judge import TraceSource, span_entries
from duologue.errors import JudgeError, ModelRejectedError
from duologue.testing import ScriptedJudge, ScriptedModel, ScriptedUserAgent
from duologue.tracing import collector as module
from duologue.tracing.collector import MAX_TEXT, SpanCollector, SpanRecord, plain_attributes
from duologue.tracing.setup import judge_span_collector, spans_of

LIBRARY = trace.get_tracer("somebodys.library")


class Counting(dict):
    """A dictionary that counts how often somebody goes through all of it."""

    scans = 0

    def __iter__(self):
        Counting.scans += 1
        return super().__iter__()

    def items(self):
        Counting.scans += 1
        return super().items()

    def values(self):
        Counting.scans += 1
        return super().values()

    def keys(self):
        Counting.scans += 1
        return super().keys()


class Working(duologue.AgentAdapter):
    async def call(self, input):
        with LIBRARY.start_as_current_span("lookup", attributes={"thread": input.thread_id}):
            await asyncio.sleep(0)
        return "hello"


class Reading(duologue.AgentAdapter):
    """A judge that looks at the traces before it passes the run."""

    role = duologue.AgentRole.JUDGE

    def __init__(self, source):
        self.source, self.seen, self.together = source, {}, 0

    async def call(self, input):
        with LIBRARY.start_as_current_span("judging"):
            self.seen[input.thread_id] = self.source.spans(input.thread_id)
        return duologue.ScenarioResult(success=True, verdict=duologue.Verdict.PASS, reasoning="seen")


def record(span_id="01", parent_id=None, **more):
    return SpanRecord(span_id=span_id, parent_id=parent_id, name=more.pop("name", "work"), **more)


def keep(collector, trace_id, found):
    return collector.keep(trace_id, lambda: found)


async def test_five_hundred_runs_at_once_see_their_own_spans_and_leave_nothing_and_no_run_scans(traced, monkeypatch):
    collector = traced.tracing.collector
    monkeypatch.setattr(collector, "_runs", Counting())
    monkeypatch.setattr(collector, "_traces", Counting())
    judge, together = Reading(collector), 0
    arrived = asyncio.Event()

    class Meeting(Working):
        async def call(self, input):
            nonlocal together
            answer = await super().call(input)
            together += 1
            if together == 500:
                assert collector.runs == 500
                arrived.set()
            await arrived.wait()
            return answer

    agents = [ScriptedUserAgent(["hi"], repeat=True), Meeting(), judge]
    await asyncio.gather(*(duologue.arun("n", "d", agents, verbose=False) for _ in range(500)))
    assert len(judge.seen) == 500
    for thread_id, spans in judge.seen.items():
        assert [span.attributes for span in spans] == [{"thread": thread_id}]
    assert (collector.runs, collector.size, len(collector._traces)) == (0, 0, 0)
    assert Counting.scans == 0


async def test_the_judge_is_shown_what_the_agent_did_and_not_what_user_and_judge_did(traced):
    class TracedUser(duologue.AgentAdapter):
        role = duologue.AgentRole.USER

        async def call(self, input):
            with LIBRARY.start_as_current_span("making it up"), LIBRARY.start_as_current_span("deeper"):
                return "hi"

    class Twice(Reading):
        async def call(self, input):
            result = await super().call(input)
            return result if len(input.messages) > 2 else []

    judge = Twice(judge_span_collector)
    await duologue.arun("n", "d", [TracedUser(), Working(), judge], verbose=False)
    [spans] = judge.seen.values()
    assert [span.name for span in spans] == ["lookup", "lookup"]
    assert 'span "lookup"' in span_entries(spans)[0].head


async def test_spans_can_be_had_by_run_id_while_the_run_goes_on_and_not_after_it(traced):
    seen = {}

    def look(state):
        run_id = state.executor.journal.run_id
        seen[run_id] = spans_of(run_id)

    script = [duologue.user("hi"), duologue.agent(), look, duologue.succeed()]
    result = await duologue.arun("n", "d", [Working()], script=script[1:], verbose=False)
    assert [span.name for span in seen[result.run_id]] == ["lookup"]
    assert spans_of(result.run_id) == []


async def test_a_run_that_is_begun_and_given_up_is_forgotten(traced):
    executor = duologue.prepare("n", "d", [Working()], verbose=False)
    assert executor.state.current_turn == 0
    assert traced.tracing.collector.runs == 1
    del executor
    gc.collect()
    assert traced.tracing.collector.runs == 0


async def test_without_tracing_there_are_no_spans():
    judge = Reading(judge_span_collector)
    await duologue.arun("n", "d", [ScriptedUserAgent(["hi"]), Working(), judge], verbose=False)
    assert list(judge.seen.values()) == [[]]


def test_the_collectors_are_sources_of_traces_for_judges():
    assert isinstance(SpanCollector(), TraceSource)
    assert isinstance(judge_span_collector, TraceSource)


async def test_a_judge_agent_reads_the_collected_spans(traced):
    model = ScriptedModel([ModelRejectedError("enough seen")])
    judge = duologue.JudgeAgent(criteria=["looks up"], model=model, span_collector=duologue.judge_span_collector)
    with pytest.raises(JudgeError, match="enough seen"):
        await duologue.arun("n", "d", [ScriptedUserAgent(["hi"]), Working(), judge], verbose=False)
    shown = str(model.requests[0].messages).partition("<traces>")[2]
    assert 'span "lookup"' in shown


def test_spans_of_no_run_are_counted_and_dropped():
    collector = SpanCollector()
    assert not keep(collector, 1, record())
    collector.begin(1, "run", "thread")
    assert keep(collector, 1, record())
    collector.end(1)
    collector.end(1)
    assert not keep(collector, 1, record())
    assert (collector.dropped, collector.size, collector.runs) == (2, 0, 0)


def test_a_run_keeps_no_more_than_its_share_and_all_no_more_than_theirs():
    collector = SpanCollector(max_bytes_per_run=5_000, max_bytes=8_000)
    for trace_id in (1, 2, 3):
        collector.begin(trace_id, f"run{trace_id}")
        kept = [keep(collector, trace_id, record(f"{n:x}", attributes={"text": "x" * 900})) for n in range(20)]
        assert sum(kept) == {1: 3, 2: 2, 3: 0}[trace_id]
        assert collector.size <= 8_000
    collector.link(3, "ff", None)
    for trace_id in (1, 2, 3):
        collector.end(trace_id)
    assert collector.size == 0


def test_a_span_that_is_sent_twice_is_kept_once():
    collector = SpanCollector()
    collector.begin(1, "run")
    assert keep(collector, 1, record("aa"))
    size = collector.size
    assert keep(collector, 1, record("aa"))
    assert len(collector.spans("run")) == 1
    assert collector.size == size


def test_parents_in_a_circle_and_parents_that_never_came_are_the_agents():
    collector = SpanCollector()
    collector.begin(1, "run")
    collector.call(1, "c0", of_agent=False)
    for found in (record("a", "b"), record("b", "a"), record("c", "unknown"), record("d", "c0"), record("e", "d")):
        keep(collector, 1, found)
    assert [span.span_id for span in collector.spans("run")] == ["a", "b", "c"]


def test_a_long_chain_of_spans_is_walked_once(monkeypatch):
    collector, looked = SpanCollector(max_bytes=10**9, max_bytes_per_run=10**9), 0
    collector.begin(1, "run")
    for number in range(3000):
        keep(collector, 1, record(f"{number}", f"{number + 1}"))

    class Parents(dict):
        def get(self, key):
            nonlocal looked
            looked += 1
            return super().get(key)

    inner = module._of_the_agent
    monkeypatch.setattr(module, "_of_the_agent", lambda spans, parents, calls: inner(spans, Parents(parents), calls))
    assert len(collector.spans("run")) == 3000
    assert looked <= 2 * 3000


def test_threads_share_a_collector():
    collector = SpanCollector()

    def work(number):
        for turn in range(200):
            trace_id = number * 1000 + turn
            collector.begin(trace_id, f"run{trace_id}")
            keep(collector, trace_id, record("aa"))
            assert len(collector.spans(f"run{trace_id}")) == 1
            collector.end(trace_id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (collector.runs, collector.size, collector.dropped) == (0, 0, 0)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, 2.5, True), [1, 2.5, True]),
        (b"\x00\x01", "[2 bytes]"),
        ({"a": {"b": ("c",)}}, {"a": {"b": ["c"]}}),
        (None, None),
        (object, "<class 'object'>"),
        ("x" * (MAX_TEXT + 1), "x" * MAX_TEXT + "…"),
    ],
)
def test_attributes_become_plain_data(value, plain):
    assert plain_attributes({"k": value}) == {"k": plain}


def test_attributes_within_themselves_end():
    endless: list = []
    endless.append(endless)
    assert "…" in str(plain_attributes({"k": endless}))


async def test_scripted_judges_still_decide_with_tracing_on(traced):
    agents = [ScriptedUserAgent(["hi"]), Working(), ScriptedJudge([False])]
    result = await duologue.arun("n", "d", agents, verbose=False)
    assert result.verdict is duologue.Verdict.FAIL
