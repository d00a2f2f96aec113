"""Models as agents that are spoken with: their address, key and tools are those of the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gemini_live_service as gemini
import openai_realtime_service as openai
import pytest
from openai_server import calls, openai_server, text
from spoken_turns import voice_like

from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import validate
from duologue.suites.results.run import RunResult
from duologue.voice.activity import Loudness
from duologue.voice.audio import AudioChunk

SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: s}
spec:
  models: [MODEL]
  tools:
    - {name: find_order, description: d, mode: mock, input_schema: {type: object}, mock_result: {status: shipped}}
  prompts: [{name: help, task: help, system_template: You help., allowed_tools: [find_order]}]
  agents: [{name: bot, model: m, prompt: help}]
  scenarios:
    - name: order
      voice: {voice: mock/hum}
      turns: [{role: user, content: Where is it?}]
      checks:
        - {type: tools_called, params: {tools: [find_order]}}
        - {type: content_includes, params: {patterns: [shipped]}}
"""
OPENAI = "{name: m, provider: openai, model: gpt-realtime, base_url: URL/v1, credential: {credential_env: SUITE_KEY}}"
GEMINI = "{name: m, provider: google, model: gemini-live, base_url: URL, credential: {credential_file: key.txt}}"


def fake(module: Any, url: str) -> Any:
    words, sound = "It was shipped.", voice_like(0.6, 440)
    if module is openai:
        service = openai.OpenAIRealtimeService()
        called = openai.Answer(calls=[("c1", "find_order", '{"number": "4"}')])
        service.answers += [called, openai.Answer(words, sound)]
        return service
    service = gemini.GeminiLiveService()
    service.answers += [gemini.Answer(words, sound, calls=[("c1", "find_order", {"number": "4"})])]
    return service


@pytest.mark.parametrize(("module", "model"), [(openai, OPENAI), (gemini, GEMINI)], ids=["openai", "google"])
async def test_address_key_and_tools_of_the_suite_reach_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, model: str
) -> None:
    for name in ("OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUITE_KEY", openai.KEY)
    (tmp_path / "key.txt").write_text(gemini.KEY)
    async with fake(module, model) as service:
        [run] = await played(
            tmp_path, SUITE.replace("MODEL", model.replace("URL", service.url.replace("ws:", "http:")))
        )
    assert run.outcome == "pass", run.reasoning
    results = [item.message["content"] for item in run.messages if item.message["role"] == "tool"]
    assert [str(item).replace(" ", "") for item in results] == ['{"status":"shipped"}']
    assert service.problems == []


class Ear:
    """Understands the same of every sound."""

    async def transcribe(self, chunk: AudioChunk) -> str:
        return "Where is it?"


async def _say(text: str, voice: str) -> bytes:
    return voice_like(0.06 * len(text))


async def test_a_model_without_a_realtime_api_calls_its_tools_when_it_is_spoken_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.voice.activity.default_detector", Loudness)
    monkeypatch.setattr("duologue.voice.synthesis._registered", {"tone": _say})
    monkeypatch.setattr("duologue.voice.recognition._chosen", [Ear()])
    async with openai_server() as service:
        service.replies += [calls(("find_order", {"number": "4"})), text("It was shipped.")]
        model = (
            f"{{name: m, provider: openai, model: gpt-5-mini, base_url: '{service.url}', "
            "credential: {api_key: none}, options: {voice: tone/a}}"
        )
        (tmp_path / "suite.yaml").write_text(SUITE.replace("MODEL", model))
        assert [str(item) for item in validate(tmp_path / "suite.yaml").warnings if "tools" in str(item)] == []
        [run] = await played(tmp_path, SUITE.replace("MODEL", model))
    assert run.outcome == "pass", run.reasoning
    [offered] = service.requests[0]["tools"]
    assert offered["function"]["name"] == "find_order"
    results = [item.message["content"] for item in run.messages if item.message["role"] == "tool"]
    assert [str(item).replace(" ", "") for item in results] == ['{"status":"shipped"}']


async def played(folder: Path, suite: str) -> list[RunResult]:
    (folder / "suite.yaml").write_text(suite)
    async with Engine.from_file(folder / "suite.yaml") as engine:
        return list((await engine.execute(engine.generate_plan(seed=1), observers=[])).runs)
