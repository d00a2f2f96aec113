"""Turning tracing on: once, with what is there, and nothing leaves the process unless an exporter was given."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from textwrap import dedent

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from waiting import LONG

import duologue
from duologue.conversation import observers as instrument
from duologue.conversation.executor import ScenarioExecutor
from duologue.errors import ConfigurationError
from duologue.settings import ScenarioConfig
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent
from duologue.tracing.setup import current_tracing, outgoing_headers, setup_from

LIBRARY = trace.get_tracer("somebodys.library")

PROBE = """
import asyncio, json, sys
seen = []
watched = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind", "socket.gethostbyname")
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(watched) else None)
import duologue
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent
def some(kind, value):
    return kind([value], repeat=True)
agents = [some(ScriptedUserAgent, "hi"), some(ScriptedAgent, "hello"), some(ScriptedJudge, True)]
def rehearse():
    return asyncio.run(duologue.arun("n", "d", agents, verbose=False))
"""


class Spanning(duologue.AgentAdapter):
    async def call(self, input):
        with LIBRARY.start_as_current_span("lookup"):
            return "hello"


class Instrumentor:
    given = None

    def instrument(self, **kwargs):
        self.given = kwargs


def probe(code, **environment):
    """What this prints in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE + dedent(code)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def rehearse(**more):
    agents = [ScriptedUserAgent(["hi"]), Spanning(), ScriptedJudge([True])]
    return await duologue.arun("n", "d", agents, verbose=False, **more)


@pytest.fixture
def memory():
    yield InMemorySpanExporter()
    if tracing := current_tracing():
        tracing.close()


def names(memory):
    return {span.name for span in memory.get_finished_spans()}


def test_a_run_without_tracing_loads_nothing_of_opentelemetry():
    found = probe("rehearse(); print(json.dumps([name for name in sys.modules if 'opentelemetry' in name]))")
    assert found == []


def test_nothing_is_exported_unless_an_exporter_was_given():
    code = "duologue.setup_scenario_tracing(); assert rehearse().success; print(json.dumps(seen))"
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "otlp"}
    assert probe(code, **endpoint) == []


def test_the_audit_hook_would_see_an_export():
    code = """
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        exporter = OTLPSpanExporter(timeout=0.2)
        tracing = duologue.setup_scenario_tracing(trace_exporter=exporter)
        rehearse()
        import logging; logging.disable()
        tracing.close()
        print(json.dumps("socket.connect" in seen))
    """
    assert probe(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") is True


def test_an_existing_provider_is_used_and_keeps_its_processors():
    code = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        theirs, ours = InMemorySpanExporter(), InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(theirs))
        trace.set_tracer_provider(provider)
        tracing = duologue.setup_scenario_tracing(trace_exporter=ours)
        rehearse()
        tracing.close()
        rehearse()
        counts = [len(memory.get_finished_spans()) for memory in (theirs, ours)]
        print(json.dumps([tracing.provider is provider, *counts]))
    """
    assert probe(code) == [True, 5, 5]


def test_without_a_provider_one_is_made_and_named_unless_the_environment_names_it():
    code = """
        tracing = duologue.setup_scenario_tracing()
        from opentelemetry import trace
        name = tracing.provider.resource.attributes["service.name"]
        print(json.dumps([trace.get_tracer_provider() is tracing.provider, name]))
    """
    assert probe(code) == [True, "duologue"]
    assert probe(code, OTEL_SERVICE_NAME="mine") == [True, "mine"]


def test_a_provider_that_takes_no_processors_is_an_error():
    code = """
        from opentelemetry import trace
        trace.set_tracer_provider(trace.NoOpTracerProvider())
        try:
            duologue.setup_scenario_tracing()
        except duologue.errors.ConfigurationError as error:
            print(json.dumps(str(error)))
    """
    assert "NoOpTracerProvider" in probe("import duologue.errors\n" + dedent(code))


def test_without_the_sdk_the_error_says_what_to_install():
    code = """
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.startswith(("opentelemetry.sdk", "opentelemetry.proto")):
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, Missing())
        found = []
        for start in (duologue.setup_scenario_tracing, duologue.OtlpReceiver):
            try:
                start()
            except duologue.errors.MissingExtraError as error:
                found.append(str(error))
        print(json.dumps(found))
    """
    found = probe("import duologue.errors\n" + dedent(code))
    assert len(found) == 2
    assert all("pip install 'duologue[otel]'" in text for text in found)


async def test_the_first_set_up_counts_and_a_different_second_one_is_warned_of(memory, caplog):
    first = duologue.setup_scenario_tracing(span_processors=[SimpleSpanProcessor(memory)])
    other = InMemorySpanExporter()
    with caplog.at_level(logging.WARNING, "duologue.tracing"):
        assert duologue.setup_scenario_tracing() is first
        assert not caplog.records
        assert duologue.setup_scenario_tracing(trace_exporter=other) is first
    assert "on already" in caplog.text
    await rehearse()
    assert len(memory.get_finished_spans()) == 6
    assert other.get_finished_spans() == ()


async def test_the_filters_choose_what_is_exported_and_not_what_is_collected(memory):
    processors = [SimpleSpanProcessor(memory)]
    with_all = InMemorySpanExporter()
    tracing = duologue.setup_scenario_tracing(span_processors=processors, span_filter=duologue.scenario_only)
    await rehearse()
    assert "lookup" not in names(memory)
    assert "run n" in names(memory)
    tracing.close()
    tracing = duologue.setup_scenario_tracing(
        trace_exporter=with_all, span_filter=duologue.with_custom_scopes("somebodys.library")
    )
    await rehearse()
    with trace.get_tracer("another").start_as_current_span("apart"):
        pass
    assert tracing.flush()
    assert names(with_all) >= {"lookup", "run n"}
    assert "apart" not in names(with_all)


async def test_closed_tracing_makes_no_more_spans_and_can_be_set_up_again(memory):
    first = duologue.setup_scenario_tracing(span_processors=[SimpleSpanProcessor(InMemorySpanExporter())])
    first.close()
    assert not instrument.installed()
    await rehearse()
    second = duologue.setup_scenario_tracing(span_processors=[SimpleSpanProcessor(memory)])
    assert second is not first
    first.close()
    await rehearse()
    assert len([span for span in memory.get_finished_spans() if span.name == "run n"]) == 1


async def test_a_processor_or_filter_that_breaks_is_left_out_and_the_run_goes_on(memory, caplog):
    class Broken(SpanProcessor):
        def on_start(self, span, parent_context=None):
            raise RuntimeError("cannot look")

    def picky(span):
        raise RuntimeError("cannot choose")

    processors = [Broken(), SimpleSpanProcessor(memory)]
    tracing = duologue.setup_scenario_tracing(span_processors=processors)
    assert (await rehearse()).success
    assert "run n" in names(memory)
    assert len([entry for entry in caplog.records if "left out" in entry.message]) == 1
    tracing.close()
    duologue.setup_scenario_tracing(span_processors=[SimpleSpanProcessor(InMemorySpanExporter())], span_filter=picky)
    assert (await rehearse()).success


async def test_no_header_goes_out_while_tracing_is_off_even_inside_a_span(memory):
    with LIBRARY.start_as_current_span("theirs"):
        assert outgoing_headers() == {}
    duologue.setup_scenario_tracing()
    with LIBRARY.start_as_current_span("theirs") as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        assert trace_id in outgoing_headers()["traceparent"]


async def test_an_instrumentor_that_breaks_leaves_tracing_off(memory):
    class Broken:
        def instrument(self, **kwargs):
            raise RuntimeError("no such library")

    with pytest.raises(RuntimeError, match="no such library"):
        duologue.setup_scenario_tracing(instrumentors=[Broken()], span_processors=[SimpleSpanProcessor(memory)])
    assert current_tracing() is None
    await rehearse()
    assert not memory.get_finished_spans()


async def test_instrumentors_are_given_the_provider(memory):
    mine = Instrumentor()
    tracing = duologue.setup_scenario_tracing(instrumentors=[mine])
    assert mine.given == {"tracer_provider": tracing.provider}


async def test_observability_of_the_configuration_turns_tracing_on(memory, monkeypatch, caplog):
    monkeypatch.setattr(ScenarioConfig, "default_config", None)
    duologue.configure(observability={"span_processors": [SimpleSpanProcessor(memory)]})
    assert not instrument.installed()
    await rehearse()
    await rehearse()
    assert len([span for span in memory.get_finished_spans() if span.name == "run n"]) == 2
    assert not caplog.records


async def test_observability_of_one_run(memory):
    config = ScenarioConfig(observability={"span_processors": [SimpleSpanProcessor(memory)]}, verbose=False)
    agents = [ScriptedUserAgent(["hi"]), ScriptedAgent(["hello"]), ScriptedJudge([True])]
    await ScenarioExecutor("n", "d", agents, config=config).run()
    assert "run n" in names(memory)


def test_an_unknown_option_of_observability_is_an_error():
    with pytest.raises(ConfigurationError, match=r"unknown option exporter; expected span_filter"):
        setup_from({"exporter": 1})
    assert current_tracing() is None
