"""What an agent traces in this process reaches the judge without any set-up, each case in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest
from waiting import LONG

SCRIPT = """
import asyncio, json, sys
import duologue
from duologue.models.scripted import ScriptedModel
{imports}

class Agent(duologue.AgentAdapter):
    async def call(self, input):
        {work}
        return "done"

asked = []
def answer(request):
    asked.append(json.dumps([item.get("content") for item in request.messages]))
    return json.dumps({{"criteria": [{{"id": "c1", "reason": "r", "evidence": ["m2"], "decision": "true"}}],
                        "reasoning": "ok", "verdict": "pass"}})

def judge(**options):
    return duologue.JudgeAgent(criteria=["it is done"], model=ScriptedModel([answer], repeat=True), **options)

def run(judge, **more):
    asked.clear()
    user = duologue.ScriptedUser(["do it"])
    script = [duologue.user(), duologue.agent(), duologue.judge()]
    result = asyncio.run(duologue.run("n", "d", [user, Agent(), judge], script=script, verbose=False, **more))
    assert result.verdict == "pass", result.error or result.reasoning
    return "look_up_in_database" in "".join(asked)

found = {{}}
{body}
print(json.dumps(found))
"""
API = "from opentelemetry import trace\ntracer = trace.get_tracer('mine')"
WORK = "with tracer.start_as_current_span('look_up_in_database'): pass"
OWN = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
memory, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
trace.set_tracer_provider(provider)
"""


def found_in(body: str, imports: str = API, work: str = WORK) -> dict[str, object]:
    script = SCRIPT.format(imports=imports, work=work, body=dedent(body))
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", script],
        capture_output=True, text=True, timeout=LONG, check=False, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("imports", [API, API + OWN], ids=["the API only", "a provider of its own"])
def test_spans_reach_the_judge_without_set_up(imports: str) -> None:
    found = found_in(
        """
        found["seen"] = run(judge())
        found["again"] = run(judge())
        found["left out"] = run(judge(include_traces=False))
        found["provider"] = trace.get_tracer_provider() is globals().get("provider", trace.get_tracer_provider())
        from duologue.tracing.setup import current_tracing, outgoing_headers
        found["on"] = current_tracing() is not None or bool(outgoing_headers())
        """,
        imports,
    )
    assert found == {"seen": True, "again": True, "left out": False, "provider": True, "on": False}


def test_tracing_that_is_set_up_later_is_used_and_can_be_closed() -> None:
    found = found_in(
        """
        found["before"] = run(judge())
        tracing = duologue.setup_scenario_tracing()
        found["with"] = run(judge())
        tracing.close()
        found["after"] = run(judge())
        """
    )
    assert found == {"before": True, "with": True, "after": True}


def test_many_runs_at_once_see_their_own_spans() -> None:
    found = found_in(
        """
        async def all():
            return await asyncio.gather(*(one(number) for number in range(8)))
        async def one(number):
            told = []
            def answer(request):
                told.append(json.dumps([item.get("content") for item in request.messages]))
                return json.dumps({"criteria": [{"id": "c1", "reason": "r", "evidence": ["m2"], "decision": "true"}],
                                   "reasoning": "ok", "verdict": "pass"})
            class Numbered(duologue.AgentAdapter):
                async def call(self, input):
                    with tracer.start_as_current_span(f"span_{number}_"):
                        await asyncio.sleep(0)
                    return "done"
            one_judge = duologue.JudgeAgent(criteria=["it is done"], model=ScriptedModel([answer], repeat=True))
            agents = [duologue.ScriptedUser(["do it"]), Numbered(), one_judge]
            script = [duologue.user(), duologue.agent(), duologue.judge()]
            await duologue.arun("n", "d", agents, script=script, verbose=False)
            return [other for other in range(8) if f"span_{other}_" in "".join(told)] == [number]
        found["own"] = asyncio.run(all())
        """
    )
    assert found == {"own": [True] * 8}


def test_nothing_of_opentelemetry_is_loaded_for_an_agent_that_does_not_trace() -> None:
    found = found_in(
        """
        found["seen"] = run(judge())
        found["loaded"] = [name for name in sys.modules if name.startswith("opentelemetry")]
        """,
        imports="",
        work="pass",
    )
    assert found == {"seen": False, "loaded": []}


def test_without_the_sdk_and_with_a_foreign_provider_the_run_goes_on() -> None:
    foreign = "class Foreign(trace.TracerProvider):\n    def get_tracer(self, *a, **k): return trace.NoOpTracer()\n"
    assert found_in("found['seen'] = run(judge())", f"{API}\n{foreign}trace.set_tracer_provider(Foreign())") == {
        "seen": False
    }
    without = "import sys\nsys.modules['opentelemetry.sdk'] = None\n"
    assert found_in("found['seen'] = run(judge())", without + API) == {"seen": False}
