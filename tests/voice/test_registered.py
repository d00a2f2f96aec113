"""What another package adds to voice, once it is installed: an adapter, a voice, a recogniser and an effect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from duologue.errors import ConfigurationError
from duologue.suites.manifests.loader import validate
from duologue.voice.hosted_speech import RECOGNISERS, VOICES
from duologue.voice.recognition import _BUILT_IN as RECOGNISER_NAMES
from duologue.voice.recognition import require_stt, stt_provider
from duologue.voice.registered import voice_adapter
from duologue.voice.synthesis import _BUILT_IN as VOICE_NAMES
from duologue.voice.synthesis import require_voice

ACME = '''
"""Voice of a company."""
import struct
from duologue.voice import AgentTurnEnded, AgentWords, AudioChunk, InProcessVoiceAgent

LOUD = struct.pack("<h", 8000) * 480

class AcmeAgent(InProcessVoiceAgent):
    """Agents of Acme, over their own protocol."""
    ends_turns = True

    def __init__(self, line: str, *, volume: float = 1.0, tags: list[str] = ()):
        if volume > 10:
            raise ValueError(f"volume is at most 10; found {volume}")
        self.line, self.volume, self.tags, self.asked = line, volume, tags, False

    async def end_user_turn(self):
        self.asked = True

    async def exchange(self, frame, at):
        asked, self.asked = self.asked, False
        return [AgentWords(text=self.line), AudioChunk(LOUD * 20), AgentTurnEnded()] if asked else []

def say(text, voice):
    if voice != "anna":
        raise ValueError(f"there is no voice 'acme/{voice}'")
    return LOUD * 10

class Ears:
    def __init__(self, model="small"):
        self.model = model
    async def transcribe(self, chunk):
        return f"heard by {self.model}"

def hush(level: float):
    return lambda pcm: b"".join(struct.pack("<h", int(value * level)) for (value,) in struct.iter_unpack("<h", pcm))

NOTHING = 3
'''
POINTS = """\
[duologue.voice_adapters]
acme = acme_voice:AcmeAgent
websocket = acme_voice:AcmeAgent
broken = acme_voice:Missing
number = acme_voice:NOTHING
[duologue.tts_providers]
acme = acme_voice:say
[duologue.stt_providers]
acme = acme_voice:Ears
[duologue.voice_effects]
hush = acme_voice:hush
"""
PROGRAM = """
import asyncio, json, sys
import duologue
from duologue.errors import DuologueError
from duologue.runtimes import get_runtime
from duologue.runtimes.registry import all_runtimes
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import validate
from duologue.voice import AudioChunk, voice_adapter
from duologue.voice.recognition import stt_provider, transcribe

class Caller(duologue.ScriptedUser):
    voice = "acme/anna"

def failing(call):
    try:
        return str(call())
    except DuologueError as error:
        return f"{type(error).__name__}: {error}"

async def main(path):
    engine = Engine.from_file(path)
    async with engine:
        execution = await engine.execute(engine.generate_plan(seed=1), observers=[])
    [run] = execution.runs
    heard = await transcribe(AudioChunk(bytes(960)), stt_provider("acme/large"))
    agent = voice_adapter("acme", line="hello")
    result = await duologue.arun("a", "b", [agent, Caller(["hi"])],
                                 script=[duologue.proceed(1), duologue.succeed()], verbose=False)
    return {
        "verdict": str(run.verdict), "reasoning": run.reasoning or str(run.error),
        "said": [str(item.message) for item in run.messages], "heard": heard,
        "library": [str(item) for item in result.messages],
    }

found = asyncio.run(main(sys.argv[1]))
found["kinds"] = [item.KIND for item in all_runtimes() if item.MODE == "voice"]
found["own"] = type(get_runtime("voice", "websocket")).__module__
found["unknown"] = failing(lambda: voice_adapter("acmee", line="x"))
found["refused"] = failing(lambda: voice_adapter("acme", line="x", volume=11))
found["other"] = failing(lambda: voice_adapter("acme", word="x"))
found["broken"] = failing(lambda: voice_adapter("broken"))
found["number"] = failing(lambda: voice_adapter("number"))
found["problems"] = [str(item) for item in validate(sys.argv[2]).errors]
print(json.dumps(found))
"""


def suite(runtime: str, voice: str = "{voice: acme/anna}") -> str:
    return f"""\
apiVersion: duologue/v1
kind: Suite
metadata: {{name: s}}
spec:
  agents: [{{name: bot, runtime: {runtime}}}]
  scenarios:
    - name: order
      voice: {voice}
      turns:
        - role: user
          content: Where is my order?
          checks: [{{type: contains, params: {{patterns: [On its way]}}}}]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed, as an installer leaves it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "acme_voice.py").write_text(ACME)
    info = folder / "acme_voice-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-voice\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (info / "RECORD").write_text("acme_voice.py,,\nacme_voice-1.0.dist-info/METADATA,,\n")
    return folder


def test_a_package_adds_adapters_voices_recognisers_and_effects(site: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(
        suite(
            "{kind: acme, line: 'On its way, ${ACME_NAME}.', volume: 2}",
            "{voice: acme/anna, effects: [{hush: {level: 0.5}}]}",
        )
    )
    bad.write_text(suite("{kind: acme, volum: 2}", "{voice: acmee/anna, effects: [hush, hushh]}"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "ACME_NAME": "Anna"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(good), str(bad)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["verdict"] == "pass", found["reasoning"]
    assert "On its way, Anna." in found["said"][1]
    assert "hello" in found["library"][1]
    assert found["heard"] == "heard by large"
    assert "acme" in found["kinds"]
    assert found["own"] == "duologue.runtimes.voice.websocket", "a package does not take the place of our own"
    assert "there is no voice adapter 'acmee'; did you mean 'acme'?" in found["unknown"]
    assert "volume is at most 10; found 11" in found["refused"]
    assert "ConfigurationError: the voice adapter 'acme'" in found["other"]
    assert "cannot load 'broken'" in found["broken"]
    assert "expected a class that extends VoiceAgentAdapter" in found["number"]
    told = "\n".join(found["problems"])
    assert "unknown field 'volum'; did you mean 'volume'?" in told
    assert "there is no provider 'acmee' of voices; did you mean 'acme'?" in told
    assert "the effect 'hush': missing a required argument: 'level'" in told
    assert "there is no effect 'hushh'; did you mean 'hush'?" in told


def test_built_in_names_are_those_that_there_are() -> None:
    assert {*RECOGNISERS, "local"} == {*RECOGNISER_NAMES}
    assert {*VOICES, "local"} == {*VOICE_NAMES}


@pytest.mark.parametrize(
    ("place", "body", "told"),
    [
        ("voice.voice", "{voice: nope/heart}", "there is no provider 'nope' of voices"),
        ("voice.voice", "{voice: opnai/alloy}", "did you mean 'openai'?"),
        ("voice.voice", "{voice: local/hart}", "no voice 'local/hart' on this machine; expected local/heart"),
        ("voice.voice", "{voice: heart}", "'local/heart' or 'openai/alloy'"),
        ("voice.effects", "{effects: [phone_qualty]}", "did you mean 'phone_quality'?"),
    ],
)
@pytest.mark.parametrize("of", ["scenario", "persona"])
def test_a_voice_that_there_is_not_is_found_before_anything_is_run(
    of: str, place: str, body: str, told: str, tmp_path: Path
) -> None:
    persona, scenario = ("{}", body) if of == "scenario" else (body, "{}")
    (tmp_path / "suite.yaml").write_text(
        f"""\
apiVersion: duologue/v1
kind: Suite
metadata: {{name: s}}
spec:
  models: [{{name: m, provider: mock, model: x}}]
  prompts: [{{name: help, task: help, system_template: You help.}}]
  agents: [{{name: bot, model: m, prompt: help}}]
  personas: [{{name: p, lines: [Hello.], voice: {persona}}}]
  scenarios: [{{name: order, description: d, personas: [p], voice: {scenario}}}]
"""
    )
    [problem] = validate(tmp_path / "suite.yaml").errors
    assert place in str(problem)
    assert told in str(problem)


@pytest.mark.parametrize(
    ("runtime", "told"),
    [
        ("{kind: composable, model: mock/echo, tts: nope/heart}", "runtime.tts: there is no provider 'nope' of voices"),
        ("{kind: composable, model: mock/echo, tts: local/x}", "runtime.tts: there is no voice 'local/x'"),
        ("{kind: composable, model: mock/echo, tts: heart}", "runtime.tts: a voice is written as provider/name"),
        ("{kind: composable, model: mock/echo, stt: nope}", "runtime.stt: there is no speech to text named 'nope'"),
        ("{kind: composable, model: mock/echo, stt: opnai/x}", "did you mean 'openai'?"),
    ],
)
def test_speech_of_a_runtime_that_there_is_not_is_found_before_anything_is_run(
    runtime: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "suite.yaml").write_text(suite(runtime, "{voice: local/heart}"))
    [problem] = validate(tmp_path / "suite.yaml").errors
    assert told.partition(": ")[2] in str(problem)
    assert told.partition(": ")[0] in str(problem)


@pytest.mark.parametrize("voice", ["local/heart", "openai/a-voice-of-tomorrow", "elevenlabs/xyz"])
def test_voices_of_providers_are_not_guessed(voice: str) -> None:
    require_voice(voice)


def test_names_are_looked_up_without_keys_or_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    require_stt("openai/gpt-4o-transcribe")
    require_stt("local")
    with pytest.raises(ConfigurationError, match="there is no speech to text named"):
        stt_provider("nothing")
    with pytest.raises(ConfigurationError, match="there is no voice adapter 'nothing'"):
        voice_adapter("nothing")
