"""Each field of the ``voice`` block and of runtimes in voice is read where the call is made: none is only accepted."""

from __future__ import annotations

import ast
import inspect
import sys
from types import ModuleType

import pytest
from pydantic import BaseModel

from duologue.runtimes.base import EvalRuntime, RunMode
from duologue.runtimes.config import RuntimeConfig
from duologue.runtimes.registry import all_runtimes, config_of
from duologue.runtimes.voice import base
from duologue.specs.voice import Interruptions, SoundEffect, UserVoice, VoiceCall
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
    assert READ_IN[spec].keys() == spec.model_fields.keys() - inherited.keys()
    for field, module in READ_IN[spec].items():
        assert field in read_in(module), f"{field} is not read in {module.__name__}"


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
