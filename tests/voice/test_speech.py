"""Text to speech and back: providers over HTTP, those of one's own, and the models on this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from speech_services import KEY, SpeechService, speech_service

from duologue.errors import (
    ConfigurationError,
    MissingKeyError,
    ModelAnswerError,
    ModelError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.voice import effects, hosted_speech, synthesis
from duologue.voice.activity import Loudness, SpeechDetector, silero
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.embedded_speech import WhisperSTTProvider
from duologue.voice.hosted_speech import DeepgramSTTProvider, ElevenLabsSTTProvider, OpenAISTTProvider
from duologue.voice.recognition import get_stt_provider, set_stt_provider, transcribe
from duologue.voice.synthesis import forget_speech, register_tts_provider, synthesize

VOICES = [
    "openai/alloy",
    "elevenlabs/Rachel",
    "google/en-US-Neural2-C",
    "cartesia/abc-123",
    "deepgram/aura-2-thalia-en",
]
RECOGNIZERS = [OpenAISTTProvider, ElevenLabsSTTProvider, DeepgramSTTProvider]
ADDRESSES = ("OPENAI_BASE_URL", "ELEVENLABS_BASE_URL", "GOOGLE_TTS_BASE_URL", "CARTESIA_BASE_URL", "DEEPGRAM_BASE_URL")
KEYS = ("OPENAI_API_KEY", "ELEVENLABS_API_KEY", "GOOGLE_API_KEY", "CARTESIA_API_KEY", "DEEPGRAM_API_KEY")
SOUND = AudioChunk(b"\x02\x00" * 24_000)


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    registered = dict(synthesis._registered)
    forget_speech()
    yield
    forget_speech()
    set_stt_provider(None)
    synthesis._registered.clear()
    synthesis._registered.update(registered)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SpeechService]:
    with speech_service() as found:
        for name in ADDRESSES:
            monkeypatch.setenv(name, found.url)
        for name in KEYS:
            monkeypatch.setenv(name, KEY)
        yield found


@pytest.mark.parametrize("voice", VOICES)
async def test_every_provider_says_a_text(voice: str, service: SpeechService):
    chunk = await synthesize("Where is my order?", voice)
    assert chunk == AudioChunk(service.sound, transcript="Where is my order?")
    assert voice.partition("/")[2].encode() in repr(service.asked).encode()


@pytest.mark.parametrize("recognizer", RECOGNIZERS)
async def test_every_provider_recognises_a_sound(recognizer, service: SpeechService):
    assert await transcribe(SOUND, recognizer()) == service.said
    assert service.asked[0]["body"].count(SOUND.data) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_passes_is_tried_again(status: int, service: SpeechService):
    service.failures = [status]
    assert (await synthesize("again", VOICES[0])).data == service.sound
    assert len(service.asked) == 2


@pytest.mark.parametrize("voice", VOICES)
async def test_refusals_name_the_provider_and_no_key(
    voice: str, service: SpeechService, monkeypatch: pytest.MonkeyPatch
):
    service.failures = [400]
    with pytest.raises(ModelRejectedError, match="answered 400: try later") as caught:
        await synthesize("refused", voice)
    assert KEY not in str(caught.value)
    for name in KEYS:
        monkeypatch.setenv(name, "sk-wrong-0987654321")
    with pytest.raises(ModelRejectedError, match=r"is [A-Z]+_API_KEY right") as caught:
        await synthesize("refused", voice)
    assert "sk-wrong-0987654321" not in str(caught.value)
    for name in KEYS:
        monkeypatch.delenv(name)
    with pytest.raises(MissingKeyError, match="set the environment variable"):
        await synthesize("refused", voice)


async def test_a_provider_that_stays_away_is_an_error(service: SpeechService):
    service.failures = [503] * 3
    with pytest.raises(ModelUnavailableError, match="OpenAI answered 503"):
        await synthesize("never", VOICES[0])
    assert len(service.asked) == 3


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b"{}", b'{"text": 5, "audioContent": "?"}', b'{"results": []}']
)
@pytest.mark.parametrize("recognizer", RECOGNIZERS)
async def test_answers_that_cannot_be_understood(recognizer, body: bytes, service: SpeechService):
    service.body = body
    with pytest.raises(ModelAnswerError, match="cannot be understood"):
        await transcribe(SOUND, recognizer())
    with pytest.raises(ModelAnswerError, match="cannot be understood"):
        await synthesize("hello", VOICES[2])


async def test_no_sound_is_no_answer(service: SpeechService):
    service.body = b""
    with pytest.raises(ModelAnswerError, match="expected PCM16"):
        await synthesize("hello", VOICES[0])


async def test_long_sounds_are_sent_in_parts(service: SpeechService, monkeypatch: pytest.MonkeyPatch):
    assert hosted_speech._LONGEST == 25 * 60, "seconds that OpenAI takes"
    monkeypatch.setattr(hosted_speech, "_LONGEST", 25.0)
    assert await OpenAISTTProvider().transcribe(silent_chunk(26)) == f"{service.said} {service.said}"
    assert len(service.asked) == 2


async def test_a_provider_of_ones_own_is_asked_once_for_each_text_and_voice():
    asked: list[tuple[str, str]] = []

    async def say(text: str, voice: str) -> bytes:
        asked.append((text, voice))
        return len(asked).to_bytes(2, "little") * 10

    register_tts_provider("mine", say)
    first = await synthesize("hello", "mine/a")
    assert await synthesize("hello", "mine/a") is first
    assert await synthesize("hello", "mine/b") != first
    assert await synthesize("hello!", "mine/a") != first
    assert await synthesize("  ", "mine/a") == AudioChunk(b"")
    register_tts_provider("mine", say)  # another provider of that name has other voices
    assert await synthesize("hello", "mine/a") != first
    assert asked == [("hello", "a"), ("hello", "b"), ("hello!", "a"), ("hello", "a")]


def _said_in_a_thread(text: str, voice: str) -> bytes:
    assert threading.current_thread() is not threading.main_thread()
    return b"ab"


async def _said(text: str, voice: str) -> AudioChunk:
    return AudioChunk(b"ab", transcript="something else")


class _Voice:
    async def __call__(self, text: str, voice: str) -> bytes:
        return b"ab"


@pytest.mark.parametrize("say", [_said_in_a_thread, _said, _Voice()], ids=["not async", "a chunk", "an object"])
async def test_a_provider_may_block_or_give_a_chunk(say: Any):
    register_tts_provider("mine", say)
    assert await synthesize("hello", "mine/a") == AudioChunk(b"ab", transcript="hello")


@pytest.mark.parametrize("made", [b"", b"odd", "text", None, AudioChunk(b"")])
async def test_a_provider_that_gives_no_sound_is_an_error(made: object):
    async def say(text: str, voice: str) -> object:
        return made

    register_tts_provider("mine", say)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ModelAnswerError, match="'mine/a': expected PCM16"):
        await synthesize("hello", "mine/a")


async def test_a_provider_that_fails_or_hangs_is_an_error():
    async def say(text: str, voice: str) -> bytes:
        if voice == "hangs":
            await asyncio.Event().wait()
        raise RuntimeError("no microphone")

    class Hangs:
        async def transcribe(self, chunk: AudioChunk) -> str:
            await asyncio.Event().wait()
            return ""

    register_tts_provider("mine", say)
    with pytest.raises(ModelError, match="'mine/fails': no microphone"):
        await synthesize("hello", "mine/fails")
    with pytest.raises(ModelTimeoutError, match=r"'mine/hangs': no answer within 0\.05 s"):
        await synthesize("hello", "mine/hangs", timeout=0.05)
    with pytest.raises(ModelTimeoutError, match=r"Hangs: no answer within 0\.05 s"):
        await transcribe(SOUND, Hangs(), timeout=0.05)


@pytest.mark.parametrize("voice", ["alloy", "/alloy", "openai/", ""])
async def test_voices_have_a_provider_and_a_name(voice: str):
    with pytest.raises(ValueError, match="a voice is written as provider/name"):
        await synthesize("hello", voice)


async def test_unknown_providers_are_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"no provider 'opanai' .*did you mean 'openai'"):
        await synthesize("hello", "opanai/alloy")
    with pytest.raises(ValueError, match="a name without a slash"):
        register_tts_provider("a/b", None)  # pyright: ignore[reportArgumentType]


async def test_what_is_known_is_not_asked_for(service: SpeechService):
    set_stt_provider(DeepgramSTTProvider())
    assert await transcribe(AudioChunk(b"\x00\x00", "I know")) == "I know"
    assert await transcribe(AudioChunk(b"")) == ""
    assert service.asked == []
    assert isinstance(get_stt_provider(), DeepgramSTTProvider)


def test_the_usual_provider(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DUOLOGUE_STT", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert isinstance(get_stt_provider(), WhisperSTTProvider), "a key alone sends no sound away"
    monkeypatch.setenv("DUOLOGUE_STT", "openai/whisper-1")
    assert isinstance(get_stt_provider(), OpenAISTTProvider)
    monkeypatch.setenv("DUOLOGUE_STT", "opanai")
    with pytest.raises(ConfigurationError, match="openai"):
        get_stt_provider()
    monkeypatch.delenv("DUOLOGUE_STT")
    monkeypatch.setattr("duologue.voice.recognition.find_spec", lambda name: None)
    assert isinstance(get_stt_provider(), OpenAISTTProvider)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigurationError, match="set_stt_provider"):
        get_stt_provider()


# On this machine


def word_errors(expected: str, found: str) -> float:
    before, after = (
        "".join(sign for sign in text.lower() if sign.isalnum() or sign == " ").split() for text in (expected, found)
    )
    row = list(range(len(after) + 1))
    for index, word in enumerate(before, 1):
        last, row[0] = row[0], index
        for place, other in enumerate(after, 1):
            last, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, last + (word != other))
    return row[-1] / len(before)


@pytest.mark.live
async def test_a_spoken_text_is_understood_on_this_machine_over_a_noisy_telephone():
    pytest.importorskip("hibari")
    pytest.importorskip("faster_whisper")
    said = "My order number is 48213 and the headphones arrived broken."
    chunk = await synthesize(said, "local/heart")
    assert 2 < chunk.duration_seconds < 8
    forget_speech()
    assert (await synthesize(said, "local/heart")).data == chunk.data
    line = effects.chain(effects.background_noise("cafe", snr=15), effects.phone_quality())
    heard = await transcribe(AudioChunk(line(chunk.data)), WhisperSTTProvider())
    print(f"heard: {heard!r}, word error rate {word_errors(said, heard):.3f}")
    assert "48213" in heard.replace(",", "").replace("-", "")
    with pytest.raises(ValueError, match="no voice 'local/emma' on this machine"):
        await synthesize(said, "local/emma")


@pytest.mark.live
@pytest.mark.parametrize("detector", [silero, Loudness])
@pytest.mark.parametrize("noise", [None, 20.0])
async def test_speech_is_found_where_it_is(detector, noise: float | None):
    pytest.importorskip("hibari")
    spoken = (await synthesize("I would like to book a table for four people.", "local/heart")).data
    begin = silent_chunk(1.0).data
    stream = begin + spoken + silent_chunk(1.5).data
    if noise is not None:
        stream = effects.background_noise("street", volume=0.05, seed=2)(stream)
    found = SpeechDetector(detector=detector())
    changes = [change for at in range(0, len(stream), 960) for change in found.process(stream[at : at + 960])]
    samples = np.abs(np.frombuffer(spoken, dtype="<i2").astype(float))
    loud = np.flatnonzero(samples > 1500) / 24_000
    assert [change.edge for change in changes][:1] == ["began"]
    assert changes[0].at == pytest.approx(1.0 + loud[0], abs=0.25)
    assert changes[-1].edge == "ended"
    assert changes[-1].at == pytest.approx(1.0 + loud[-1], abs=0.35)
    assert not found.is_speaking


@pytest.mark.parametrize("detector", [Loudness])
def test_silence_and_steady_noise_are_no_speech(detector):
    for stream in (bytes(48_000 * 3), effects.static(0.02)(bytes(48_000 * 3))):
        found = SpeechDetector(detector=detector())
        begun = [change for at in range(0, len(stream), 960) for change in found.process(stream[at : at + 960])]
        assert [change for change in begun if change.at > 0.5] == []
