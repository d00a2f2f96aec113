"""Duplex scenarios of PromptKit: they are spoken, and mocks behave as its mock of a streaming provider does."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
from arena_files import PROMPT

from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import validate
from duologue.vocabulary import RunStatus, Verdict

DUPLEX = """\
  task_type: help
  duplex:
    timeout: 2m
    turn_detection: {mode: asm}
    resilience: {max_retries: 0, partial_success_min_turns: ENOUGH, ignore_last_turn_session_end: LAST}
  turns:
    - {role: user, parts: [{type: audio, media: {file_path: hello.wav, mime_type: audio/wav}}]}
    - role: user
      content: And then?
      assertions: [{type: content_includes, params: {patterns: [Friday]}}]
    - {role: user, content: Thank you.}
"""
PROVIDER = """\
apiVersion: promptkit.altairalabs.ai/v1alpha1
kind: Provider
metadata: {name: m}
spec:
  type: mock
  model: x
  additional_config: {CONFIG}
"""


def scenario(enough: int = 1, last: str = "true") -> str:
    return DUPLEX.replace("ENOUGH", str(enough)).replace("LAST", last)


@pytest.fixture
def played(arena, tmp_path: Path):
    """Plays the scenario with a mock that is configured like this; its only run."""

    async def play(config: str, scenario: str, turns: int = 3):
        with wave.open(str(tmp_path / "hello.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(b"\x00\x10\x00\xf0" * 8_000)
        provider = PROVIDER.replace("CONFIG", config)
        arena(m=provider, prompt=PROMPT, scenario=scenario)
        engine = Engine.from_file(".")
        async with engine:
            execution = await engine.execute(engine.generate_plan(), observers=[])
        [run] = execution.runs
        return run

    return play


def said(run) -> list[tuple[str, str]]:
    texts = []
    for item in run.messages:
        content = item.message["content"]
        if isinstance(content, list):
            content = " ".join(part.get("text", "") for part in content if part["type"] == "text")
        texts.append((item.message["role"], content))
    return texts


async def test_a_mock_responds_to_recorded_and_synthesized_turns(played) -> None:
    run = await played("auto_respond: true, response_text: It comes on Friday.", scenario())
    assert run.verdict is Verdict.PASS, run.reasoning
    assert [text for role, text in said(run) if role == "assistant"] == ["It comes on Friday."] * 3
    users = [item for item in run.voice.segments if item.speaker == "user"]
    assert users[0].end - users[0].start == pytest.approx(1.0, abs=0.05)
    assert len(users) == 3
    assert run.voice.figures["response_rate"] == 1
    assert any(item.message_id == "recording" for item in run.media) or run.voice.complete is not None


async def test_a_turn_that_was_interrupted_keeps_what_was_said(played) -> None:
    run = await played("response_text: It comes on Friday or so., interrupt_on_turn: 3", scenario())
    assert run.status is RunStatus.COMPLETED, run.reasoning
    answers = [text for role, text in said(run) if role == "assistant"]
    assert answers[0] == "It comes on Friday or so."
    assert answers[2] == "It comes on"


@pytest.mark.parametrize(
    ("config", "enough", "last", "outcome", "answers"),
    [
        ("close_after_turns: 2", 1, "true", "pass", 2),
        ("close_after_turns: 2", 3, "false", "error", 2),
        ("close_after_turns: 3, close_no_response: true", 3, "true", "pass", 2),
        ("close_after_turns: 3, close_no_response: true", 3, "false", "error", 2),
        ("close_after_turns: 1, close_no_response: true", 1, "true", "error", 0),
    ],
)
async def test_a_session_that_ends_early(played, config, enough, last, outcome, answers) -> None:
    run = await played(f"response_text: On Friday., {config}", scenario(enough, last))
    assert run.outcome == outcome, run.reasoning
    assert sum(role == "assistant" for role, _ in said(run)) == answers
    if outcome == "error":
        assert "has ended the call after" in run.reasoning


async def test_a_mock_that_does_not_respond_is_an_error_of_the_agent(played) -> None:
    run = await played(
        "auto_respond: false", scenario().replace("mode: asm}", "mode: vad, vad: {silence_threshold_ms: 700}}")
    )
    assert run.outcome == "error"
    assert "sent no sound within" in run.reasoning


async def test_an_option_of_the_wrong_type_is_named(played) -> None:
    run = await played("response_text: 7", scenario())
    assert run.outcome == "error"
    assert "its option response_text is 7; expected a text" in run.reasoning


def test_the_block_becomes_the_words_of_suites(arena, tmp_path: Path) -> None:
    (tmp_path / "hello.wav").write_bytes(b"RIFF")
    text = (
        scenario(2, "false")
        .replace("timeout: 2m", "timeout: 90s")
        .replace(
            "mode: asm}", "mode: vad, vad: {silence_threshold_ms: 800, min_speech_ms: 10, max_turn_duration_s: 20}}"
        )
    )
    [found] = arena(scenario=text).scenarios
    voice = found.voice
    assert voice is not None
    assert (voice.timeout, voice.end_of_turn, voice.silence, voice.longest_turn) == (90, "silence", 0.8, 20)
    assert (voice.retries, voice.enough_turns, voice.may_end_in_last_turn) == (0, 2, False)


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("turn_detection: {mode: vad, vad: {min_speech_ms: 300}}", "min_speech_ms"),
        ("resilience: {selfplay_inter_turn_delay_ms: 700}", "selfplay_inter_turn_delay_ms"),
    ],
)
def test_what_has_no_effect_is_warned_about(arena, tmp_path: Path, written: str, field: str) -> None:
    arena(scenario=f"  task_type: help\n  duplex: {{{written}}}\n  turns: [{{role: user, content: Hi}}]\n")
    [warning] = [str(item) for item in validate(".").warnings if field in str(item)]
    assert f"{field}: has no effect here" in warning
    assert "yaml:" in warning


async def test_the_time_limit_of_the_session_is_that_of_the_call(played) -> None:
    run = await played(f"response_text: {'well ' * 60}", scenario().replace("timeout: 2m", "timeout: 20s"))
    assert run.outcome == "error"
    assert "took longer than voice.timeout=20 s" in run.reasoning
