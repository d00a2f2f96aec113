"""The guide to runtimes: its table, its example of a runtime, and its contract are those of the code."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from own_runtimes import registered
from runtime_cases import args_for, texts
from runtime_peers import HttpPeer, served

from duologue.errors import AgentError
from duologue.runtimes import get_runtime, read_runtime_config, runtimes_for_platform
from duologue.runtimes.contract import read_contract
from duologue.runtimes.registry import config_of
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import validate

TEXT = (Path(__file__).parents[2] / "docs" / "guides" / "runtimes.md").read_text("utf-8")
SHARED = {
    *("kind", "retries", "max_answer_bytes", "allow_private_addresses"),
    *("answer_within", "silence", "longest_turn", "connect_within"),
}
KEY = {"api_key"}
PLATFORMS = (None, "retell", "vapi", "elevenlabs")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```(?:{kind}|{{\.{kind} )[^\n]*\n(.*?)```", TEXT, re.DOTALL)


def test_the_table_names_all_runtimes_and_their_fields() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`(?: \(default\))? \|.*\| ([^|]*) \|$", TEXT, re.MULTILINE))
    runtimes = {runtime.KIND: runtime for platform in PLATFORMS for runtime in runtimes_for_platform(platform)}
    assert set(rows) == {str(kind) for kind in runtimes}
    for kind, fields in rows.items():
        known = set(config_of(runtimes[kind]).model_fields) - SHARED - (KEY if kind != "retell" else set())
        told = set(re.findall(r"`(\w+)`", fields))
        assert told <= known
        assert known - told <= {"url", "headers", "method"}


async def test_the_first_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(blocks("json")[1])
    async with served(HttpPeer(lambda _: answer, {})) as peer:
        code = blocks("python")[0].replace(
            '"https://agent.example.com/chat"', f'"{peer.url}/chat", "allow_private_addresses": True'
        )
        code = code.replace("asyncio.run(runtime.run_test_case(config, args, None))", "None")
        code, _, shown = code.partition("for turn in")
        names: dict[str, Any] = {}
        exec(code, names)
        result = await names["runtime"].run_test_case(names["config"], names["args"], None)
        assert peer.received[0].body == json.loads(blocks("json")[0])
    exec(f"for turn in{shown}", {"result": result})
    assert re.fullmatch(r"user Where is P-77\? None\nassistant It arrives tomorrow\. \d+\n", capsys.readouterr().out)


def test_the_answer_follows_the_contract() -> None:
    assert read_contract(blocks("json")[1])[1] == [{"role": "assistant", "content": "It arrives tomorrow."}]


async def test_the_example_of_a_runtime_works(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shouting_runtime")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.__dict__["__name__"] = "shouting_runtime"
    exec(blocks("python title")[0], module.__dict__)
    runtime = module.ShoutingRuntime()
    model = config_of(runtime)
    result = await runtime.run_test_case(model(marks=2), args_for("hello", "you"), None)
    assert texts(result, "assistant") == ["HELLO!!", "YOU!!"]
    with pytest.raises(ValueError, match=r"runtime\.marks: expected 1 or more; found 0"):
        runtime.validate_config(model(marks=0), None, None)
    with pytest.raises(AgentError, match=r"it cannot be quiet; sent: 1 message, .*'quiet'; came back: '…'"):
        await runtime.run_test_case(model(), args_for("quiet"), None)
    assert re.search(r"shouting = \"shouting_runtime:ShoutingRuntime\"", blocks("toml")[0])


async def test_the_example_of_a_runtime_for_voice_works_in_a_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_voice_runtime")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.__dict__["__name__"] = "my_voice_runtime"
    exec(blocks("python title")[1], module.__dict__)
    agent = {"name": "hotline", "platform": "vapi", "platform_agent_id": "a-1"}
    scenario = {
        "name": "late",
        "description": "P-77 is late.",
        "checks": [{"type": "contains", "params": {"patterns": ["tomorrow"]}}],
    }
    with registered(module.MyVoiceRuntime):
        assert [item.KIND for item in runtimes_for_platform("vapi", "voice")] == ["vapi", "my_voice"]
        runtime = {"kind": "my_voice", "voice_id": "anna"}
        suite = Suite.model_validate({"name": "s", "agents": [{**agent, "runtime": runtime}], "scenarios": [scenario]})
        async with Engine(suite=suite) as engine:
            [run] = (await engine.execute()).runs
    assert run.verdict == "pass", run.reasoning
    assert [item.message["content"] for item in run.messages] == ["P-77 is late.", "It arrives tomorrow."]
    assert (run.agent_seconds, run.agent.cost) == (0.64, 0.002)


def test_the_suite_of_the_guide_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETELL_API_KEY", "key-0815-of-retell")
    monkeypatch.setenv("TOKEN", "t")
    head = "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: guide}\nspec:\n"
    prompt = "prompts: [{name: support, system_template: Help., allowed_tools: [look_up]}]\n"
    more = prompt + "tools: [{name: look_up, description: Looks up.}]\n"
    text = "".join(f"  {line}\n" for line in (blocks("yaml")[0] + more).splitlines())
    path = tmp_path / "suite.yaml"
    path.write_text(head + text)
    report = validate(path)
    assert [str(item) for item in report.problems if item.severity == "error"] == []


def test_native_is_the_default() -> None:
    assert get_runtime("text", "native").CONFIG is type(read_runtime_config(None))
