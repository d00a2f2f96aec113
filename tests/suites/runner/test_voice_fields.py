"""Each field of the ``voice`` block and of runtimes in voice is read where the call is made: none is only accepted."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel, ValidationError

from duologue.runtimes.base import EvalRuntime, RunMode
from duologue.runtimes.config import RuntimeConfig
from duologue.runtimes.registry import all_runtimes, config_of
from duologue.runtimes.voice import base
from duologue.specs.voice import Interruptions, SoundEffect, UserVoice, VoiceCall
from duologue.suites.manifests.loader import validate
from duologue.suites.manifests.validate import effects
from duologue.suites.runner import user_voice, voice_agents
from duologue.voice.adapter import VoiceAgentAdapter

READ_IN: dict[type[BaseModel], dict[str, ModuleType]] = {
    SoundEffect: {"name": effects, "params": effects},
    Interruptions: {"probability": user_voice, "delay": user_voice, "phrases": user_voice},
    UserVoice: {
        "voice": user_voice,
        "effects": user_voice,
        "interruptions": user_voice,
        "backchannels": voice_agents,
        "vocal_tics": voice_agents,
        "non_directed": voice_agents,
        "patience": voice_agents,
        "hang_up_after": voice_agents,
    },
    VoiceCall: {
        "timeout": voice_agents,
        "end_of_turn": voice_agents,
        "silence": voice_agents,
        "longest_turn": voice_agents,
        "answer_within": voice_agents,
        "pause": voice_agents,
        "retries": voice_agents,
        "retry_delay": voice_agents,
        "enough_turns": voice_agents,
        "may_end_in_last_turn": voice_agents,
    },
}


def read_in(module: ModuleType) -> set[str]:
    """Attributes that the code of a module reads."""
    tree = ast.parse(inspect.getsource(module))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


@pytest.mark.parametrize("spec", READ_IN, ids=lambda spec: spec.__name__)
def test_each_field_of_a_voice_block_is_read(spec: type[BaseModel]) -> None:
    inherited = UserVoice.model_fields if spec is VoiceCall else {}
    limits = base._LIMITS.keys()  # pyright: ignore[reportPrivateUsage] - read by set_limits
    assert READ_IN[spec].keys() == spec.model_fields.keys() - inherited.keys()
    for field, module in READ_IN[spec].items():
        assert field in read_in(module) | limits, f"{field} is not read in {module.__name__}"


RUNTIMES = [item for item in all_runtimes() if item.MODE is RunMode.VOICE]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda item: item.KIND)
def test_each_field_of_a_runtime_in_voice_is_read(runtime: EvalRuntime) -> None:
    own = sys.modules[type(runtime).__module__]
    of_all = base.KeyedVoiceConfig.model_fields.keys()
    for field in config_of(runtime).model_fields.keys() - of_all - {"kind"}:
        assert field in read_in(own), f"{field} of {runtime.KIND} is not read in {own.__name__}"


def test_each_field_that_all_runtimes_in_voice_have_is_read() -> None:
    limits = base._LIMITS  # pyright: ignore[reportPrivateUsage]
    inherited = RuntimeConfig.model_fields.keys()
    assert limits.keys() == base.VoiceRuntimeConfig.model_fields.keys() - inherited
    assert all(hasattr(VoiceAgentAdapter, attribute) for attribute in limits.values())
    assert "api_key" in read_in(base)


SECONDS = ("timeout", "silence", "longest_turn", "answer_within", "pause", "retry_delay", "patience")
SHARES = ("backchannels", "vocal_tics", "non_directed")
NUMBERS = ("retries", "hang_up_after")
OUT_OF_RANGE = (".nan", ".inf", "-.inf", "-1", "1e308", "1e12", "100000000000000000000000000", "true", "'5000000000h'")


@pytest.mark.parametrize("value", OUT_OF_RANGE)
@pytest.mark.parametrize("field", [*SECONDS, *SHARES, *NUMBERS, "probability", "delay"])
def test_a_number_out_of_range_is_found_when_the_suite_is_validated(field: str, value: str, tmp_path: Path) -> None:
    written = f"{field}: {value}"
    if field in {"probability", "delay"}:
        inner = f"[0, {value}]" if field == "delay" else value
        written = f"interruptions: {{{field}: {inner}}}"
    (tmp_path / "suite.yaml").write_text(
        f"""\
apiVersion: duologue/v1
kind: Suite
metadata: {{name: s}}
spec:
  models: [{{name: m, provider: mock, model: x}}]
  prompts: [{{name: help, task: help, system_template: You help.}}]
  agents: [{{name: bot, model: m, prompt: help}}]
  scenarios: [{{name: order, description: d, voice: {{{written}}}}}]
"""
    )
    [problem] = validate(tmp_path / "suite.yaml").errors
    assert f"voice.{'interruptions.' * (field in {'probability', 'delay'})}{field}" in str(problem)
    assert "found" in str(problem)
    assert "expected" in str(problem)


@pytest.mark.parametrize("value", ["1e308", "-1", ".nan", "'1000h'"])
@pytest.mark.parametrize("field", ["answer_within", "silence", "longest_turn", "connect_within"])
def test_a_number_out_of_range_is_found_in_a_runtime(field: str, value: str) -> None:
    for runtime in all_runtimes():
        if runtime.MODE is RunMode.VOICE and runtime.CONFIG is not None:
            with pytest.raises(ValidationError, match=field):
                runtime.CONFIG.model_validate({"kind": runtime.KIND, field: yaml_value(value)})


def yaml_value(text: str) -> object:
    return text.strip("'") if text.startswith("'") else float(text.replace(".nan", "nan"))
