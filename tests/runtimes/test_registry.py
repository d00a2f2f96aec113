"""The registry: our own runtimes in their order, those of other packages, and configurations by kind."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from duologue.runtimes import (
    EvalRuntime,
    RunMode,
    TextRuntimeKind,
    default_runtime_for_platform,
    get_runtime,
    read_runtime_config,
    runtimes_for_platform,
)
from duologue.runtimes.registry import _own, config_of, runtime_config_adapter

MYVOICE = """\
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from duologue.runtimes import ConversationTurn, EvalRuntime, Platform, RunMode, RuntimeTestResult, TestCaseRunResult


class Kinds(StrEnum):
    MYVOICE = "myvoice"


class MyVoiceRuntimeConfig(BaseModel):
    kind: Literal[Kinds.MYVOICE] = Kinds.MYVOICE
    voice_id: str = Field(min_length=1, max_length=255)


class MyVoiceRuntime(EvalRuntime):
    MODE: ClassVar[RunMode] = RunMode.VOICE
    KIND: ClassVar[Kinds] = Kinds.MYVOICE
    LABEL: ClassVar[str] = "MyVoice"
    DESCRIPTION: ClassVar[str] = "Run evaluations on MyVoice"

    def supported_for_platform(self, platform):
        return platform == Platform.RETELL

    def validate_config(self, runtime_config, agent, session):
        if not isinstance(runtime_config, MyVoiceRuntimeConfig):
            raise ValueError("myvoice runtime requires a MyVoiceRuntimeConfig")

    async def test_connection(self, runtime_config, agent, session):
        return RuntimeTestResult(ok=True, message="reachable")

    async def run_test_case(self, runtime_config, args, session):
        said = ConversationTurn(role="assistant", content=f"{runtime_config.voice_id} says hello")
        return TestCaseRunResult(transcript=[said], agent_token_usage={}, platform_token_usage={})


class NoRuntime:
    pass
"""

PROGRAM = """\
import asyncio, json, logging
logging.basicConfig(level=logging.ERROR)
from duologue.runtimes import *
runtime = get_runtime("voice", "myvoice")
config = read_runtime_config({"kind": "myvoice", "voice_id": "anna"}, "voice")
agent = AgentSnapshot(agent_id="a")
runtime.validate_config(config, agent, None)
args = RuntimeRunArgs(test_case=CaseSnapshot(id="t"), agent_snapshot=agent, run_snapshot=RunSnapshot(run_id="r"))
result = asyncio.run(runtime.run_test_case(config, args, None))
try:
    get_runtime("text", "broken")
except KeyError as error:
    broken = error.args[0]

async def executed(folder):
    from duologue.runs import RunService
    from duologue.runs.processor import RunProcessor

    async with RunService.open(folder + "/d.db") as service:
        config = {"mode": "voice", "runtime": {"kind": "myvoice", "voice_id": "anna"}}
        agent = {"name": "caller", "platform": "retell", "runtime": config["runtime"], "runtime_mode": "voice"}
        saved = await service.create_agent({"agent": agent})
        await service.publish_agent(saved.id)
        says = {"type": "contains", "params": {"patterns": ["anna says hello"]}}
        scenario = await service.create_scenario(name="s", description="You call.", checks=[says])
        made = await service.create_eval(name="e", scenario_ids=[scenario.id], agent_id=saved.id, config=config)
        await service.create_runs(made.id)
        processor = RunProcessor(service.database)
        await processor.drain()
        await processor.stop()
        [run] = await service.list_runs()
        return {"outcome": run.outcome, "messages": run.messages, "error": run.error}

async def served(folder):
    import httpx

    from duologue.server import ServerSettings, create_app

    app = create_app(ServerSettings(store=folder + "/d.db", token_required=False))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/api/v1") as client:
            [saved] = (await client.get("/agents")).json()["data"]
            path = f"/agents/{saved['id']}/runtimes"
            return [(await client.get(path, params=mode)).json()["data"] for mode in ({}, {"mode": "voice"})]

import sys
print(json.dumps({
    "run": asyncio.run(executed(sys.argv[1])),
    "same": runtime is get_runtime(RunMode.VOICE, "myvoice"),
    "retell": [item.KIND for item in runtimes_for_platform("retell")],
    "none": [item.KIND for item in runtimes_for_platform(None)],
    "said": result.transcript[0].content,
    "default": default_runtime_for_platform("retell", "voice").KIND,
    "broken": broken,
    "served": asyncio.run(served(sys.argv[1])),
}))
"""


def wheel(folder: Path) -> Path:
    """A package outside of this tree, with three entry points, one of which is good."""
    files = {
        "myvoice_runtime.py": MYVOICE,
        "myvoice-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: myvoice\nVersion: 1.0\n",
        "myvoice-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "myvoice-1.0.dist-info/entry_points.txt": "[duologue.runtimes]\nmyvoice = myvoice_runtime:MyVoiceRuntime\n"
        "broken = myvoice_runtime:Missing\nnone = myvoice_runtime:NoRuntime\n",
    }
    record = "myvoice-1.0.dist-info/RECORD"
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for name, text in files.items()
    }
    lines = [f"{name},sha256={digests[name]},{len(text.encode())}" for name, text in files.items()]
    path = folder / "myvoice-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, record: "\n".join([*lines, f"{record},,", ""])}.items():
            archive.writestr(name, text)
    return path


def test_runtime_of_another_package_is_found_once_it_is_installed(tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", *install, str(wheel(tmp_path))], check=True, timeout=120)
    path = os.pathsep.join([str(target), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["said"] == "anna says hello"
    assert found["run"]["outcome"] == "pass", found["run"]
    assert [item["content"] for item in found["run"]["messages"] if item["role"] == "assistant"] == ["anna says hello"]
    assert found["retell"][-1] == "myvoice"
    assert found["default"] == "retell_web_call"
    assert "myvoice" not in found["none"]
    assert "cannot be loaded" in found["broken"]
    assert "Missing" in found["broken"]
    shown = {"kind": "myvoice", "label": "MyVoice", "description": "Run evaluations on MyVoice", "is_default": False}
    every, voice = found["served"]
    assert every[-1] == shown
    assert [item["kind"] for item in every if item["is_default"]] == ["native"]
    assert [item["kind"] for item in voice] == ["retell_web_call", "myvoice"]
    assert [item["is_default"] for item in voice] == [True, False]


def test_own_runtimes_have_one_order_one_instance_and_all_that_people_are_shown() -> None:
    kinds = [runtime.KIND for runtime in runtimes_for_platform(None)]
    assert kinds == [runtime.KIND for runtime in runtimes_for_platform(None)]
    text = [runtime.KIND for runtime in runtimes_for_platform(None, "text")]
    assert text == [kind for kind in TextRuntimeKind if kind in text]
    voice = [runtime.KIND for runtime in runtimes_for_platform(None, "voice")]
    assert kinds == [*text, *voice]
    assert "websocket" in voice
    for own in _own():
        runtime = get_runtime(own.MODE, own.KIND)
        assert type(runtime) is own
        assert runtime is get_runtime(str(own.MODE), str(own.KIND))
        assert runtime.LABEL
        assert runtime.DESCRIPTION
        assert runtime.MODE is (RunMode.TEXT if runtime.KIND in set(TextRuntimeKind) else RunMode.VOICE)
        assert config_of(runtime).model_fields["kind"].default == runtime.KIND


@pytest.mark.parametrize(
    ("mode", "kind", "told"),
    [
        ("text", "custom_endpiont", "did you mean 'text/custom_endpoint'"),
        ("voice", "custom_endpoint", "there are text/"),
        ("mime", "http", "no runtime mime/http"),
    ],
)
def test_runtime_that_there_is_not_is_a_key_error_with_a_hint(mode: str, kind: str, told: str) -> None:
    with pytest.raises(KeyError, match=told):
        get_runtime(mode, kind)


def test_default_runtime_is_one_that_supports_the_platform() -> None:
    for platform in (None, "vapi"):
        assert default_runtime_for_platform(platform) in runtimes_for_platform(platform)
        assert default_runtime_for_platform(platform, "voice") in runtimes_for_platform(platform, "voice")
    with pytest.raises(KeyError, match="no voice runtime"):
        default_runtime_for_platform("myplatform", "voice")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "runtime.kind: expected one of .*; it is missing"),
        ({"kind": "htttp"}, "runtime.kind: expected .*; found 'htttp'.*did you mean 'http'"),
        ({"kind": None}, "runtime.kind: "),
        ({"kind": "websockt"}, "runtime.kind: expected .*websocket.*; found 'websockt'; did you mean 'websocket'"),
        ({"kind": "twillio"}, "runtime.kind: expected .*twilio.*; found 'twillio'; did you mean 'twilio'"),
        ({"kind": "http", "url": 5}, r"runtime\.url: .*found int"),
        ({"kind": "http", "urll": "http://x"}, r"runtime\.urll: "),
        ({"kind": "http", "headers": {"A": 1}}, r"runtime\.headers\.A: "),
        ({"kind": "http", "answer": "a["}, r"runtime\.answer: "),
        ({"kind": "custom_endpoint", "url": "x" * 2049}, r"runtime\.url: "),
        ({"kind": "custom_endpoint", "url": ""}, r"runtime\.url: "),
    ],
)
def test_configuration_that_is_not_valid_names_the_field(data: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_runtime_config(data)


def test_configurations_are_a_union_by_kind() -> None:
    for mode in RunMode:
        schema = runtime_config_adapter(mode).json_schema()
        mapping = schema["discriminator"]["mapping"]
        assert set(mapping) == {str(own.KIND) for own in _own() if mode == own.MODE}


def test_classes_that_lack_something_cannot_be_made() -> None:
    class Half(EvalRuntime):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
