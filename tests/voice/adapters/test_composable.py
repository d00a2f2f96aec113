"""A voice agent of this process, made of a recogniser, a model and a voice."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from speech_services import KEY, speech_service
from spoken_turns import Heard, alike, frames, voice_like
from waiting import until

from duologue.errors import ConfigurationError, MissingKeyError, ModelAnswerError, ModelError, UnknownModelError
from duologue.messages import Message, text_of
from duologue.models.scripted import ScriptedModel
from duologue.voice.activity import Loudness
from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters.composable import ComposableVoiceAgent, ElevenLabsVoiceAgent
from duologue.voice.audio import AudioChunk, seconds_of, silent_chunk
from duologue.voice.incoming import AgentTurnEnded, AgentWords, UserHeard, UserWords

HELLO = voice_like(0.6)
SECONDS_A_WORD = 0.3


@pytest.fixture(autouse=True)
def _by_loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tones are no speech to a model of speech."""
    monkeypatch.setattr("duologue.voice.activity.default_detector", Loudness)


@dataclass
class Ear:
    """Recognises what the test says."""

    understood: deque[str] = field(default_factory=deque)
    heard: list[bytes] = field(default_factory=list)

    async def transcribe(self, chunk: AudioChunk) -> str:
        self.heard.append(chunk.data)
        return self.understood.popleft() if self.understood else ""


async def mouth(text: str) -> AudioChunk:
    return AudioChunk(voice_like(SECONDS_A_WORD * len(text.split()), 440))


@dataclass
class Call:
    """A conversation in simulated time."""

    agent: ComposableVoiceAgent
    now: float = 0.0
    all: Heard = field(default_factory=Heard)
    times: list[float] = field(default_factory=list)

    async def play(self, pcm: bytes) -> Heard:
        """The user's sound, and what came meanwhile."""
        heard = Heard()
        for frame in frames(pcm):
            items = await self.agent.exchange(frame, self.now)
            self.now += frame.duration_seconds
            heard.items += items
            self.times += [self.now] * len(items)
        self.all.items += heard.items
        return heard

    async def silence(self, seconds: float) -> Heard:
        return await self.play(silent_chunk(seconds).data)

    def when(self, wanted: Any) -> float:
        """When something came."""
        return next(at for at, item in zip(self.times, self.all.items, strict=True) if item == wanted)


def says(*answers: str) -> tuple[list[list[str]], Any]:
    """A program in place of a model, and what it was asked."""
    asked: list[list[str]] = []
    left = deque(answers)

    def answer(messages: Sequence[Message]) -> str:
        asked.append([f"{message['role']}: {text_of(message)}" for message in messages])
        return left.popleft()

    return asked, answer


async def call_of(ear: Ear, llm: Any, **options: Any) -> Call:
    call = Call(ComposableVoiceAgent(ear, llm, mouth, **options))
    await call.agent.connect()
    return call


async def test_it_answers_when_the_user_has_finished() -> None:
    ear = Ear(deque(["Where is my order?", "Thanks"]))
    asked, llm = says("It is on its way.", "You are welcome!")
    call = await call_of(ear, llm, system_prompt="Be brief.")
    await call.silence(0.5)
    await call.play(HELLO)
    first = await call.silence(4)
    await call.play(HELLO)
    second = await call.silence(4)
    assert first.of(UserWords) == [UserWords(text="Where is my order?")]
    assert first.words == "It is on its way."
    assert seconds_of(len(first.sound)) == pytest.approx(5 * SECONDS_A_WORD)
    assert first.items[-1] == AgentTurnEnded()
    assert second.words == "You are welcome!"
    assert asked == [
        ["system: Be brief.", "user: Where is my order?"],
        ["system: Be brief.", "user: Where is my order?", "assistant: It is on its way.", "user: Thanks"],
    ]
    assert alike(ear.heard[0], HELLO) > 0.95
    # The end of the turn is 0.6 s of silence; then thinking takes no time on a simulated clock.
    assert call.when(UserWords(text="Where is my order?")) == pytest.approx(0.5 + 0.6 + 0.6, abs=0.1)
    await call.agent.disconnect()


async def test_its_words_come_as_they_are_said() -> None:
    ear = Ear(deque(["Hello"]))
    _, llm = says("One two three four. Five six seven eight.")
    call = await call_of(ear, llm)
    await call.play(HELLO)
    await call.silence(4)
    words = [item for item in call.all.items if isinstance(item, AgentWords)]
    assert [word.text for word in words] == ["One", " two", " three", " four.", " Five", " six", " seven", " eight."]
    times = [call.when(word) for word in words]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(7 * SECONDS_A_WORD, abs=0.3)


async def test_a_pause_within_a_turn_does_not_end_it() -> None:
    ear = Ear(deque(["My number is four eight two"]))
    _, llm = says("Thank you.")
    call = await call_of(ear, llm)
    await call.play(HELLO + silent_chunk(0.4).data + HELLO)
    heard = await call.silence(3)
    assert heard.words == "Thank you."
    assert len(ear.heard) == 1
    assert seconds_of(len(ear.heard[0])) > 1.6


async def test_it_yields_to_a_user_who_speaks_over_it_and_knows_what_it_has_said() -> None:
    ear = Ear(deque(["Hello", "Stop"]))
    asked, llm = says("One two three four five six seven eight nine ten.", "Yes?")
    call = await call_of(ear, llm)
    await call.play(HELLO)
    await call.silence(1.8)
    began = call.now
    cut = await call.play(voice_like(1.0))
    assert cut.of(UserHeard, AgentTurnEnded) == [UserHeard(), AgentTurnEnded(interrupted=True)]
    assert call.when(UserHeard()) - began == pytest.approx(0.5, abs=0.15)
    assert cut.items[-1] == AgentTurnEnded(interrupted=True)
    assert (await call.silence(3)).words == "Yes?"
    assert asked[1][1].startswith("assistant: One two three")
    assert asked[1][1].endswith(" …")
    assert "ten" not in asked[1][1]


async def test_it_speaks_on_through_a_sign_of_listening() -> None:
    ear = Ear(deque(["Hello"]))
    _, llm = says("One two three four five six seven eight nine ten.")
    call = await call_of(ear, llm)
    await call.play(HELLO)
    await call.silence(1.5)
    await call.play(voice_like(0.2))
    await call.silence(4)
    assert call.all.words == "One two three four five six seven eight nine ten."
    assert call.all.of(AgentTurnEnded) == [AgentTurnEnded()]
    assert len(ear.heard) == 1


@pytest.mark.parametrize("said", ["", "  "])
async def test_what_is_no_speech_is_not_answered(said: str) -> None:
    ear = Ear(deque([said, "Hello"]))
    asked, llm = says("Hi.")
    call = await call_of(ear, llm)
    await call.play(HELLO)
    assert (await call.silence(2)).items == []
    await call.play(HELLO)
    assert (await call.silence(2)).words == "Hi."
    assert len(asked) == 1


async def test_it_may_greet() -> None:
    asked, llm = says("Fine.")
    ear = Ear(deque(["How are you?"]))
    call = await call_of(ear, llm, greeting="Good morning.")
    assert (await call.silence(2)).words == "Good morning."
    await call.play(HELLO)
    await call.silence(2)
    assert asked == [["assistant: Good morning.", "user: How are you?"]]


async def test_an_answer_of_nothing_is_a_turn_of_nothing() -> None:
    _, llm = says("")
    call = await call_of(Ear(deque(["Hello"])), llm)
    await call.play(HELLO)
    assert (await call.silence(2)).items[-1] == AgentTurnEnded()


@pytest.mark.parametrize("llm", ["mock/fixed:Certainly.", ScriptedModel(["Certainly."])])
async def test_any_model_may_answer(llm: Any) -> None:
    call = await call_of(Ear(deque(["Hello"])), llm)
    await call.play(HELLO)
    assert (await call.silence(2)).words == "Certainly."


async def test_parts_that_are_not_async_do_not_make_other_calls_wait() -> None:
    threads: list[threading.Thread] = []

    class BlockingEar:
        def transcribe(self, chunk: AudioChunk) -> str:
            threads.append(threading.current_thread())
            return "Hello"

    def answer(messages: Sequence[Message]) -> str:
        threads.append(threading.current_thread())
        return "Certainly."

    def blocking_mouth(text: str) -> bytes:
        threads.append(threading.current_thread())
        return HELLO

    call = Call(ComposableVoiceAgent(BlockingEar(), answer, blocking_mouth))  # type: ignore[arg-type]
    await call.agent.connect()
    await call.play(HELLO)
    assert (await call.silence(2)).words == "Certainly."
    assert len(threads) == 3
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("part", ["llm", "tts"])
@pytest.mark.parametrize("given", [None, 7, b"odd"], ids=repr)
async def test_parts_that_give_something_else_are_named(part: str, given: Any) -> None:
    def gives(*_: object) -> Any:
        return given

    agent = ComposableVoiceAgent(
        Ear(deque(["Hello"])), gives if part == "llm" else says("Hi.")[1], gives if part == "tts" else mouth
    )
    await agent.connect()
    with pytest.raises(
        ModelAnswerError, match=f"ComposableVoiceAgent: {part}: expected .*found {type(given).__name__}"
    ):
        await Call(agent).play(HELLO + silent_chunk(2.0).data)


async def test_markup_is_not_said() -> None:
    _, llm = says("## Steps\n**One**: turn it `off`.")
    call = await call_of(Ear(deque(["Hello"])), llm)
    await call.play(HELLO)
    assert (await call.silence(3)).words == "Steps One: turn it off."


async def test_a_second_conversation_knows_nothing_of_the_first() -> None:
    asked, llm = says("Hi.", "Hi.")
    ear = Ear(deque(["Hello", "Hello"]))
    call = await call_of(ear, llm)
    with pytest.raises(VoiceConnectionError, match="takes part in another conversation"):
        await call.agent.connect()
    for _ in range(2):
        await call.play(HELLO)
        await call.silence(1)
        await call.agent.disconnect()
        await call.agent.disconnect()
        await call.agent.connect()
    assert asked == [["user: Hello"], ["user: Hello"]]


# In real time


class Slow:
    """A model that answers when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, messages: Sequence[Message]) -> str:
        self.asked.append(text_of(messages[-1]))
        return await self.answers.get()


async def test_frames_go_on_while_it_thinks_in_real_time() -> None:
    llm = Slow()
    call = Call(ComposableVoiceAgent(Ear(deque(["Hello"])), llm, mouth))
    call.agent.real_time = True
    await call.agent.connect()
    await call.play(HELLO)
    heard = await call.silence(2)
    assert heard.words == ""
    await until(lambda: llm.asked == ["Hello"])
    assert (await call.silence(1)).of(AgentWords) == []
    llm.answers.put_nowait("Hi there.")
    agent = call.agent
    await until(lambda: agent._is_complete)  # pyright: ignore[reportPrivateUsage]
    assert (await call.silence(2)).words == "Hi there."
    await call.agent.disconnect()


async def test_a_user_who_goes_on_while_it_thinks_has_not_finished() -> None:
    llm = Slow()
    ear = Ear(deque(["My number is", "My number is four"]))
    call = Call(ComposableVoiceAgent(ear, llm, mouth))
    call.agent.real_time = True
    await call.agent.connect()
    await call.play(HELLO)
    await call.silence(1)
    await until(lambda: llm.asked == ["My number is"])
    await call.play(HELLO)
    await call.silence(1)
    await until(lambda: len(llm.asked) == 2)
    llm.answers.put_nowait("Got it.")
    agent = call.agent
    await until(lambda: agent._is_complete)  # pyright: ignore[reportPrivateUsage]
    assert (await call.silence(2)).words == "Got it."
    assert llm.asked == ["My number is", "My number is four"]
    assert len(ear.heard[1]) > len(ear.heard[0]) + len(HELLO)
    await call.agent.disconnect()


@pytest.mark.parametrize("real_time", [False, True])
async def test_hanging_up_while_it_thinks_leaves_nothing_running(real_time: bool) -> None:
    before = asyncio.all_tasks()
    call = Call(ComposableVoiceAgent(Ear(deque(["Hello"])), Slow(), mouth))
    call.agent.real_time = real_time
    await call.agent.connect()

    async def talk() -> None:
        await call.play(HELLO)
        await call.silence(2)

    talking = asyncio.create_task(talk())
    await until(lambda: call.agent._thinking is not None)  # pyright: ignore[reportPrivateUsage]
    talking.cancel()
    await asyncio.wait({talking})
    await asyncio.gather(call.agent.disconnect(), call.agent.disconnect())
    await until(lambda: asyncio.all_tasks() <= before)


# What goes wrong


@pytest.mark.parametrize("real_time", [False, True])
@pytest.mark.parametrize("part", ["stt", "llm", "tts"])
async def test_what_fails_is_an_error_of_the_call(part: str, real_time: bool) -> None:
    def fails(*_: object) -> Any:
        raise ModelError(f"{part} is out of order", model="m")

    ear = Ear(deque(["Hello"]))
    if part == "stt":
        ear.transcribe = fails
    agent = ComposableVoiceAgent(ear, fails if part == "llm" else says("Hi.")[1], fails if part == "tts" else mouth)
    agent.real_time = real_time
    call = Call(agent)
    await agent.connect()
    await call.play(HELLO)

    async def goes_on() -> None:
        while True:
            await call.silence(0.2)
            await asyncio.sleep(0)

    with pytest.raises(ModelError, match=f"{part} is out of order"):
        await goes_on()
    await agent.disconnect()


async def test_models_and_recognisers_that_do_not_exist_are_named() -> None:
    with pytest.raises(UnknownModelError, match="gtp-9"):
        await ComposableVoiceAgent(Ear(), "gtp-9", mouth).connect()
    with pytest.raises(ConfigurationError, match=r"no speech to text named 'opanai'.* did you mean 'openai'"):
        ComposableVoiceAgent("opanai", "mock/echo", mouth)
    with pytest.raises(ConfigurationError, match="turn_silence is 0"):
        ComposableVoiceAgent(Ear(), "mock/echo", mouth, turn_silence=0)
    with pytest.raises(ConfigurationError, match="connect before frames are exchanged"):
        await ComposableVoiceAgent(Ear(), "mock/echo", mouth).exchange(silent_chunk(0.02), 0)


def test_it_says_what_it_is_made_of() -> None:
    agent = ComposableVoiceAgent("openai/gpt-4o-transcribe", "openai/gpt-5-mini", "local/heart", system_prompt="Hi")
    assert agent.describe() == {
        "stt": "OpenAISTTProvider",
        "llm": "openai/gpt-5-mini",
        "tts": "local/heart",
        "system_prompt": "Hi",
    }
    assert repr(agent) == "ComposableVoiceAgent('openai/gpt-5-mini', 'local/heart')"


# ElevenLabs


async def test_the_preset_hears_and_speaks_with_elevenlabs_and_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    with speech_service() as service:
        monkeypatch.setenv("ELEVENLABS_BASE_URL", service.url)
        agent = ElevenLabsVoiceAgent(KEY, llm="mock/fixed:Certainly.", voice="elevenlabs/Rachel")
        call = Call(agent)
        await agent.connect()
        await call.play(HELLO)
        heard = await call.silence(1.5)
        assert heard.of(UserWords) == [UserWords(text=service.said)]
        assert heard.words == "Certainly."
        assert heard.sound[: len(service.sound)] == service.sound
        assert [each["path"] for each in service.asked] == ["/v1/speech-to-text", "/v1/text-to-speech/Rachel"]
        assert KEY not in f"{agent!r} {agent.describe()}"
        assert agent.describe()["tts"] == "elevenlabs/Rachel"
        other = Call(ElevenLabsVoiceAgent(llm="mock/echo", voice="Rachel", greeting="Hello"))
        await other.agent.connect()
        with pytest.raises(MissingKeyError, match="ELEVENLABS_API_KEY"):
            await other.silence(0.1)
