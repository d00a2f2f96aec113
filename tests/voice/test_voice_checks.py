"""Checks of conversations in voice, on runs that were recorded, and on those in which there was nothing to hear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from spoken_agent import SpokenAgent

import duologue
import duologue.voice.checks  # registers them, also where the installed metadata is older
from duologue import checks
from duologue.errors import CheckError
from duologue.suites.results.voice import VoiceResult
from duologue.suites.results.voice_figures import voice_result
from duologue.testing import ScriptedAgent, ScriptedUserAgent, context
from duologue.vocabulary import CheckStatus, Scope
from duologue.voice import set_stt_provider
from duologue.voice.audio import AudioChunk
from duologue.voice.notes import SpeechRecognised

ALL: dict[str, dict[str, Any]] = {
    "voice_latency": {"max_p95": 1.0},
    "voice_response_rate": {},
    "voice_yield": {},
    "voice_interruptions": {},
    "voice_dead_air": {},
    "voice_overlap": {"max_seconds": 1},
    "voice_talk_ratio": {"min": 0.1},
    "voice_speech_rate": {"max": 500},
    "voice_selectivity": {},
    "voice_keys": {"user": "1"},
    "voice_accuracy": {"words": ["hello"]},
}


def made(kind: str, scope: Scope = Scope.CONVERSATION, **params: Any) -> Any:
    return checks.create(kind, {**ALL[kind], **params}, scope=scope)


async def played(agent: Any, *kinds: str, scope: Scope = Scope.CONVERSATION) -> dict[str, Any]:
    result = await duologue.arun(
        "a",
        "b",
        [ScriptedUserAgent(["Hello?", "Thanks."]), agent],
        script=[duologue.proceed(2), duologue.succeed()],
        checks=[made(kind, scope) for kind in kinds],
        verbose=False,
        context=context(),
    )
    return {check.kind: check for check in result.checks}


async def test_in_a_conversation_in_text_every_check_is_skipped():
    found = await played(ScriptedAgent(["Hello.", "Bye."]), *ALL)
    assert {kind: check.status for kind, check in found.items()} == dict.fromkeys(ALL, CheckStatus.SKIPPED)
    told = {check.explanation for kind, check in found.items() if kind != "voice_accuracy"}
    assert told == {"nothing was heard: the conversation is in text"}


async def test_what_did_not_take_place_is_skipped_and_no_pass():
    found = await played(SpokenAgent(["On its way.", "Bye."]), *ALL)
    skipped = {kind for kind, check in found.items() if check.status is CheckStatus.SKIPPED}
    assert skipped == {"voice_yield", "voice_selectivity", "voice_accuracy"}
    failed = {kind for kind, check in found.items() if check.status is CheckStatus.FAILED}
    assert failed == {"voice_keys"}
    assert found["voice_latency"].details["latencies"] == pytest.approx([0.4, 0.4])
    assert found["voice_latency"].explanation == "95 of 100 answers came after 0.40 s, at most 1 s allowed"


async def test_after_a_turn_they_look_at_what_was_heard_so_far():
    found = await played(SpokenAgent(["On its way.", "Bye."]), "voice_latency", scope=Scope.TURN)
    assert len(found["voice_latency"].details["latencies"]) == 2


@pytest.mark.parametrize(
    ("kind", "params", "late", "status"),
    [
        ("voice_latency", {"max_p95": 0.3}, 0.0, CheckStatus.FAILED),
        ("voice_latency", {"max_p95": 0.3}, 0.6, CheckStatus.ERROR),
        ("voice_latency", {"max_p95": 1.0}, 0.6, CheckStatus.PASSED),
        ("voice_latency", {"max_p95": 0.3, "max_first": 0.3}, 0.3, CheckStatus.ERROR),
        ("voice_latency", {"max_p95": 0.3}, 0.04, CheckStatus.FAILED),  # so little does not explain it
        ("voice_dead_air", {"max_seconds": 0.2}, 0.6, CheckStatus.ERROR),
        ("voice_dead_air", {"max_seconds": 0.2}, 0.0, CheckStatus.FAILED),
        ("voice_keys", {"user": "1"}, 0.6, CheckStatus.FAILED),  # no matter of time
        ("voice_speech_rate", {"min": 400}, 0.6, CheckStatus.FAILED),
    ],
)
async def test_a_machine_that_was_late_is_no_failure_of_the_agent(
    kind: str, params: dict[str, Any], late: float, status: CheckStatus
):
    executor = duologue.prepare(
        "a",
        "b",
        [ScriptedUserAgent(["Hello?", "Thanks."]), SpokenAgent(["On its way.", "Bye."], late=late)],
        script=[duologue.proceed(2), duologue.succeed()],
        checks=[checks.create(kind, params, scope=Scope.CONVERSATION)],
        verbose=False,
        context=context(),
    )
    with pytest.raises(CheckError) if status is CheckStatus.ERROR else nullcontext():
        await executor.run()
    [check] = executor.journal.view.checks
    assert check.status is status, check.explanation
    assert ("this machine could not keep up" in check.explanation) == (status is CheckStatus.ERROR)
    if status is CheckStatus.ERROR:
        assert check.details["own_lateness"] == late
        assert executor.journal.view.finished is not None
        assert executor.journal.view.finished.verdict is None
    found = voice_result(executor.journal.view)
    assert found is not None
    assert found[0].figures.get("own_lateness") == (late or None)


class Ears:
    def __init__(self) -> None:
        self.calls = 0

    async def transcribe(self, chunk: AudioChunk) -> str:
        assert chunk.transcript is None
        self.calls += 1
        return "Your odour is on its way."


@pytest.fixture
def ears() -> Iterator[Ears]:
    found = Ears()
    set_stt_provider(found)
    yield found
    set_stt_provider(None)


@pytest.mark.parametrize(
    ("params", "status", "told"),
    [
        ({"max_word_error_rate": 0.2, "words": None}, CheckStatus.PASSED, "word error rate 16.7%, at most 20.0%"),
        ({"max_word_error_rate": 0.1, "words": None}, CheckStatus.FAILED, "word error rate 16.7%, at most 10.0%"),
        ({"words": ["on its way", "ODOUR"]}, CheckStatus.PASSED, "heard: 'on its way' and 'ODOUR'"),
        ({"words": ["order"]}, CheckStatus.FAILED, "not heard: 'order'"),
        ({"words": ["way on its"]}, CheckStatus.FAILED, "not heard"),
    ],
)
async def test_what_is_heard_of_the_agent_is_compared_with_what_it_says(
    ears: Ears, params: dict[str, Any], status: CheckStatus, told: str
):
    agent = SpokenAgent(["Your order is on its way.", "Your order is on its way."], sound=True)
    executor = duologue.prepare(
        "a",
        "b",
        [ScriptedUserAgent(["Hello?", "Thanks."]), agent],
        script=[duologue.proceed(2), duologue.check(made("voice_accuracy", **params)), duologue.succeed()],
        verbose=False,
        context=context(),
    )
    result = await executor.run()
    [check] = result.checks
    assert (check.status, told in check.explanation) == (status, True), check.explanation
    assert ears.calls == 2
    assert check.details["word_error_rate"] == pytest.approx(1 / 6)
    noted = [item.note for item in executor.journal.view.notes if isinstance(item.note, SpeechRecognised)]
    assert [(item.message, item.provider) for item in noted] == [("m2", "Ears"), ("m4", "Ears")]
    assert run_of_entries(executor).figures["word_error_rate"] == pytest.approx(1 / 6, abs=1e-4)


def run_of_entries(executor: duologue.ScenarioExecutor) -> VoiceResult:
    found = voice_result(executor.journal.view)
    assert found is not None
    return found[0]
