"""Conversations in voice: the engine, its script and a voice agent, on a simulated pace."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from voice_agents import AnsweringAgent, ObedientAgent, tone

import duologue
from duologue.conversation.result import ScenarioResult
from duologue.errors import AgentError, ConfigurationError
from duologue.journal.artifacts import open_beside
from duologue.journal.jsonl import read_journal
from duologue.voice.adapter import FirstChunkTimeoutError, VoiceConnectionError
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentToolCall, AgentToolResult, AgentTurnEnded, AgentWords, CallEnded, Incoming
from duologue.voice.messages import extract_audio, message_has_audio
from duologue.voice.notes import voice_run
from duologue.voice.port import why_unreachable
from duologue.voice.timeline import VoiceEvent


class Recogniser:
    """Understands the same of every sound."""

    def __init__(self) -> None:
        self.heard: list[AudioChunk] = []

    async def transcribe(self, chunk: AudioChunk) -> str:
        self.heard.append(chunk)
        return "recognised"


@pytest.fixture(autouse=True)
def speech() -> Iterator[Recogniser]:
    """A voice that says 60 ms of tone for each letter, and a recogniser."""

    async def say(text: str, voice: str) -> bytes:
        return tone(0.06 * len(text), 300 if voice == "low" else 900).data

    recogniser = Recogniser()
    duologue.register_tts_provider("test", say)
    duologue.register_tts_provider("local", say)
    duologue.set_stt_provider(recogniser)
    yield recogniser
    duologue.set_stt_provider(None)
    from duologue.voice import synthesis

    del synthesis._registered["test"], synthesis._registered["local"]


class Caller(duologue.ScriptedUser):
    voice = "test/low"


def texts(result: ScenarioResult) -> list[tuple[str, object]]:
    def text(content: object) -> object:
        if not isinstance(content, list):
            return content
        return next((part["text"] for part in content if part["type"] == "text"), "[sound]")

    return [(message["role"], text(message.get("content"))) for message in result.messages]


def cuts(result: ScenarioResult, executor: duologue.ScenarioExecutor) -> list[str | None]:
    return [record.cut for record in executor.conversation.view.records]


async def played(*script: duologue.ScriptStep, agent: AnsweringAgent | None = None, **more: object):
    executor = duologue.prepare(
        "call",
        "Somebody calls.",
        agents=[agent or AnsweringAgent(stops=True), Caller(["hello there", "and more"])],
        script=[*script, duologue.succeed()],
        verbose=False,
        seed=1,
        **more,  # type: ignore[arg-type]
    )
    return await executor.run(), executor


async def test_text_becomes_speech_and_speech_becomes_messages() -> None:
    agent = AnsweringAgent()
    result, _ = await played(duologue.user("hi"), duologue.agent(), duologue.user(), duologue.agent(), agent=agent)
    assert result.success
    assert texts(result) == [
        ("user", "hi"),
        ("assistant", "one two three four five"),
        ("user", "hello there"),
        ("assistant", "one two three four five"),
    ]
    answer = extract_audio(result.messages[1])
    assert answer is not None
    assert answer.duration_seconds == pytest.approx(2.0, abs=0.2)
    assert (agent.connects, agent.disconnects) == (1, 1)


@pytest.mark.parametrize("entry", [duologue.run, duologue.arun])
async def test_both_ways_to_run(entry: object) -> None:
    agent = AnsweringAgent()
    result = await entry(  # type: ignore[operator]
        "call", "d", agents=[agent, Caller(["hi"])], script=[duologue.proceed(turns=1), duologue.succeed()]
    )
    assert texts(result) == [("user", "hi"), ("assistant", "one two three four five")]


async def test_an_agent_that_reports_no_words_is_recognised(speech: Recogniser) -> None:
    result, _ = await played(duologue.user("hi"), duologue.agent(), agent=AnsweringAgent([[tone(1.0)]]))
    assert texts(result)[-1] == ("assistant", "recognised")
    assert speech.heard[0].duration_seconds == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("native", [True, False])
async def test_an_interruption_keeps_the_words_that_were_heard(native: bool) -> None:
    agent = ObedientAgent() if native else AnsweringAgent(stops=True)
    result, executor = await played(
        duologue.user("hi"), duologue.interrupt("stop it now", after_words=3), duologue.agent(), agent=agent
    )
    assert texts(result) == [
        ("user", "hi"),
        ("assistant", "one two three"),
        ("user", "stop it now"),
        ("assistant", "one two three four five"),
    ]
    assert cuts(result, executor) == [None, "interrupted", None, None]
    [event] = [event for event in executor.state.timeline if event.type == "user_interrupt"]
    assert event.metadata is not None
    assert event.metadata["native"] is native
    assert event.metadata["agent_was_speaking"] is True
    assert event.metadata["yielded_after"] == pytest.approx(0.0 if native else 0.2, abs=0.021)
    spoken = [event.time for event in executor.state.timeline if event.type == "user_start_speaking"]
    assert len(spoken) == 2, "the line was said once, as the interruption"
    assert spoken[1] == pytest.approx(event.time, abs=0.021)


async def test_an_interruption_without_words_of_the_agent_is_counted_in_time(speech: Recogniser) -> None:
    result, executor = await played(
        duologue.user("hi"), duologue.interrupt("stop", after_words=4), agent=AnsweringAgent([[tone(8.0)]], stops=True)
    )
    assert texts(result)[1:] == [("assistant", "recognised"), ("user", "stop")]
    assert cuts(result, executor)[1] == "interrupted"
    starts = {event.type: event.time for event in executor.state.timeline}
    assert starts["user_interrupt"] - starts["agent_start_speaking"] == pytest.approx(1.6, abs=0.1)


async def test_an_agent_that_cannot_be_interrupted_does_not_hang() -> None:
    agent = AnsweringAgent([[AgentWords(text="word " * 60), tone(20.0)], [AgentWords(text="well"), tone(0.5)]])
    result, executor = await played(
        duologue.user("hi"), duologue.interrupt("stop", after_words=3), duologue.agent(), agent=agent
    )
    [event] = [event for event in executor.state.timeline if event.type == "user_interrupt"]
    assert event.metadata is not None
    assert event.metadata["yielded_after"] is None
    assert texts(result)[-1] == ("assistant", "well")
    assert cuts(result, executor)[1] == "interrupted"


async def test_a_line_during_an_answer_in_the_background_cuts_in() -> None:
    result, executor = await played(
        duologue.user("hi"),
        duologue.agent(wait=False),
        duologue.sleep(1.5),
        duologue.user("wait"),
        duologue.agent(),
    )
    assert [role for role, _ in texts(result)] == ["user", "assistant", "user", "assistant"]
    assert cuts(result, executor)[1] == "interrupted"


async def test_a_line_after_an_answer_in_the_background_does_not() -> None:
    result, executor = await played(
        duologue.user("hi"), duologue.agent(wait=False), duologue.sleep(8), duologue.user("thanks"), duologue.agent()
    )
    assert cuts(result, executor) == [None] * 4
    assert not [event for event in executor.state.timeline if event.type == "user_interrupt"]


async def test_a_run_is_the_same_each_time() -> None:
    async def events() -> list[object]:
        _, executor = await played(
            duologue.proceed(turns=2, interruptions=duologue.InterruptionConfig(probability=1.0)),
            duologue.agent(wait=False),
            duologue.sleep(1.1),
            duologue.user("wait"),
            duologue.agent(),
        )
        return list(executor.state.timeline)

    first = await events()
    assert len(first) > 8
    assert await events() == first


async def test_interruptions_by_chance_are_seeded_and_leave_the_turn_limit_alone() -> None:
    config = duologue.InterruptionConfig(
        probability=1.0, delay_range=(0.3, 0.9), strategy="random_phrase", phrases=["hold on"]
    )
    result, executor = await played(duologue.proceed(turns=3, interruptions=config))
    said = texts(result)
    assert said[:4] == [
        ("user", "hello there"),
        ("assistant", said[1][1]),
        ("user", "hold on"),
        ("assistant", said[3][1]),
    ]
    assert cuts(result, executor)[1] == "interrupted"
    assert [event.type for event in executor.state.timeline].count("user_interrupt") >= 1


async def test_tool_calls_are_messages_and_on_the_timeline() -> None:
    answer: list[Incoming] = [
        AgentToolCall(call_id="a", name="lookup", arguments={"order": 7}),
        AgentToolResult(call_id="a", result={"state": "sent"}),
        AgentWords(text="it is sent"),
        tone(1.0),
        AgentTurnEnded(),
    ]
    result, executor = await played(duologue.user("where"), duologue.agent(), agent=ObedientAgent([answer]))
    roles = [message["role"] for message in result.messages]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert executor.state.has_tool_call("lookup")
    assert result.messages[2]["content"] == '{"state": "sent"}'
    tools = [(event.type, event.name) for event in executor.state.timeline if event.type.startswith("tool")]
    assert tools == [("tool_call", "lookup"), ("tool_result", "lookup")]


async def test_a_turn_of_tools_only_ends() -> None:
    answer: list[Incoming] = [AgentToolCall(call_id="", name="lookup", arguments={}), AgentTurnEnded()]
    result, _ = await played(duologue.user("where"), duologue.agent(), agent=ObedientAgent([answer]))
    assert [message["role"] for message in result.messages] == ["user", "assistant"]


async def test_an_agent_that_hangs_up_ends_the_conversation_and_is_judged() -> None:
    agent = AnsweringAgent([[AgentWords(text="bye"), tone(0.5), CallEnded(reason="all done")]])
    executor = duologue.prepare("call", "d", agents=[agent, Caller(["a", "b", "c"])], verbose=False)
    result = await executor.run()
    assert texts(result) == [("user", "a"), ("assistant", "bye")]
    assert result.termination is duologue.Termination.AGENT_DONE


@pytest.mark.parametrize("when", ["connect", "exchange"])
async def test_a_broken_agent_is_an_error_that_names_it(when: str, tmp_path: Path) -> None:
    class Broken(AnsweringAgent):
        async def connect(self) -> None:
            await super().connect()
            if when == "connect":
                raise OSError("no line")

        async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
            if at > 1.0:
                raise ConnectionResetError("cut")
            return await super().exchange(frame, at)

    agent = Broken()
    with pytest.raises(AgentError, match=r"Broken\W.*(no line|cut)") as caught:
        await played(duologue.user("hello there, who is it"), duologue.agent(), agent=agent, record=tmp_path)
    assert caught.value.result is not None
    assert agent.disconnects == 1
    if when == "exchange":  # what was heard until then is kept
        assert any(name.endswith(".wav") for _, _, names in os.walk(tmp_path) for name in names)


async def test_an_agent_that_never_speaks_is_an_error() -> None:
    agent = AnsweringAgent([[]])
    agent.response_timeout = 3.0
    with pytest.raises(FirstChunkTimeoutError, match="AnsweringAgent sent no sound within 3 s"):
        await played(duologue.user("hi"), duologue.agent(), agent=agent)
    assert agent.disconnects == 1


async def test_the_call_is_over_before_the_conversation_is_checked() -> None:
    agent = AnsweringAgent()
    seen: list[tuple[int, int]] = []

    async def checked(state: duologue.ScenarioState) -> None:  # such as a model that takes its time
        seen.append((agent.disconnects, len(agent.heard)))
        await asyncio.sleep(0)
        seen.append((agent.disconnects, len(agent.heard)))

    result, _ = await played(duologue.user("hi"), duologue.agent(), agent=agent, checks=[checked])
    assert result.success
    assert result.audio is not None
    [(hung_up, frames), after] = seen
    assert hung_up == 1
    assert after == (1, frames)
    assert frames * 0.02 == pytest.approx(result.audio.segments[-1].end_time, abs=1)


async def test_a_run_that_is_cancelled_hangs_up() -> None:
    class Waiting(AnsweringAgent):
        real_time = True

    agent = Waiting()
    task = asyncio.ensure_future(played(duologue.user("hi" * 100), duologue.agent(), agent=agent))
    while not agent.heard:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert agent.disconnects == 1


async def test_effects_of_the_line_the_run_and_the_user() -> None:
    heard: list[tuple[str, int]] = []

    def effect(name: str):
        def change(pcm: bytes) -> bytes:
            heard.append((name, len(pcm)))
            return pcm

        return change

    def set_effects(state: duologue.ScenarioState) -> None:
        state.set_effects([effect("run")])

    caller = Caller(["one"])
    caller.audio_effects = (effect("user"),)  # type: ignore[attr-defined]
    await duologue.arun(
        "call",
        "d",
        agents=[AnsweringAgent(), caller],
        script=[
            duologue.user("a"),
            duologue.agent(),
            duologue.user("b", audio_effects=[effect("line")]),
            duologue.agent(),
            set_effects,
            duologue.user("c"),
            duologue.agent(),
            duologue.succeed(),
        ],
    )
    assert [name for name, _ in heard] == ["user", "line", "run"]


async def test_recordings_keys_and_pauses(tmp_path: Path) -> None:
    class Keys(AnsweringAgent):
        pressed = ""

        async def send_dtmf(self, keys: str) -> None:
            self.pressed += keys

    agent = Keys()
    agent.capabilities = duologue.AdapterCapabilities(dtmf=True)  # type: ignore[misc]
    file = tmp_path / "a.wav"
    file.write_bytes(tone(0.7).wav())
    result, executor = await played(
        duologue.audio(file), duologue.agent(), duologue.dtmf("12#"), duologue.silence(1.0), agent=agent
    )
    assert message_has_audio(result.messages[0])
    assert texts(result)[1] == ("assistant", "one two three four five")
    assert agent.pressed == "12#"
    types = [event.type for event in executor.state.timeline]
    assert types.count("user_start_speaking") == 1
    assert types.count("dtmf") == 1


async def test_keys_are_sent_as_tones_where_that_is_wanted() -> None:
    with pytest.raises(ConfigurationError, match="AnsweringAgent has no 'dtmf'"):
        await played(duologue.dtmf("1"))
    _, executor = await played(duologue.dtmf("1", as_tones=True))
    assert [event.type for event in executor.state.timeline][:2] == ["dtmf", "user_start_speaking"]


async def test_the_steps_with_agents_in_text() -> None:
    class Echo(duologue.AgentAdapter):
        async def call(self, input: duologue.AgentInput) -> str:
            return "yes" if message_has_audio(input.new_messages[-1]) else "no"

    async def play(*script: duologue.ScriptStep) -> ScenarioResult:
        return await duologue.arun(
            "text", "d", agents=[Echo(), Caller(["a"])], script=[*script, duologue.succeed()], verbose=False
        )

    result = await play(duologue.audio(tone(0.1).wav()), duologue.agent(), duologue.sleep(0), duologue.silence(0))
    assert result.messages[-1]["content"] == "yes"
    with pytest.raises(ConfigurationError, match="none of the scenario's agents is a voice agent"):
        await play(duologue.dtmf("1"))


async def test_listeners_hear_what_happens_and_cannot_break_it() -> None:
    chunks: list[AudioChunk] = []
    events: list[duologue.VoiceEvent] = []

    def on_chunk(chunk: AudioChunk) -> None:
        chunks.append(chunk)
        raise ValueError("of the listener")

    result, executor = await played(
        duologue.user("hi"), duologue.agent(), on_audio_chunk=on_chunk, on_voice_event=events.append
    )
    assert result.success
    assert sum(chunk.duration_seconds for chunk in chunks) == pytest.approx(2.0, abs=0.05)
    assert sorted(events, key=lambda event: event.time) == executor.state.timeline


async def test_listeners_may_be_async() -> None:
    heard: list[str] = []

    async def on_voice_event(event: VoiceEvent) -> None:
        await asyncio.sleep(0)
        heard.append(event.type)

    async def fails(chunk: AudioChunk) -> None:
        raise ValueError("mine")

    await played(duologue.user("hello"), duologue.agent(), on_voice_event=on_voice_event, on_audio_chunk=fails)
    assert heard[:3] == ["user_start_speaking", "user_stop_speaking", "agent_start_speaking"]


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        [AgentWords("ding"), tone(0.3).data],
        (AgentWords("ding"), tone(0.3)),
        tone(0.3),
        tone(0.3).data,
        bytearray(tone(0.3).data),
    ],
    ids=["none", "empty", "words and bytes", "a tuple", "a chunk", "bytes", "a bytearray"],
)
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "not async"])
async def test_what_exchange_may_give(given: object, is_async: bool) -> None:
    class Given(AnsweringAgent):
        response_timeout = 3.0

        def exchange(self, frame: AudioChunk, at: float) -> Any:
            answer = given if round(at, 2) == 1.0 else None

            async def later() -> object:
                return answer

            return later() if is_async else answer

    play = played(duologue.user("hello"), duologue.agent(), agent=Given())
    if not given:
        with pytest.raises(FirstChunkTimeoutError):
            await play
        return
    result, _ = await play
    assert texts(result)[1][0] == "assistant"


@pytest.mark.parametrize(
    ("given", "found"), [(7, "int"), ("ding", "str"), ([7], "int"), ({"a": 1}, "dict"), ([[b"ab"]], "list")], ids=repr
)
async def test_what_exchange_may_not_give(given: object, found: str) -> None:
    class Given(AnsweringAgent):
        async def exchange(self, frame: AudioChunk, at: float) -> Any:
            return given

    with pytest.raises(AgentError, match=rf"Given.*expected sound \(an AudioChunk, or PCM16 as bytes\).*found {found}"):
        await played(duologue.user("hello"), duologue.agent(), agent=Given())


async def test_an_adapter_in_a_call_is_refused_to_another_run_and_its_call_goes_on() -> None:
    agent = AnsweringAgent()
    second: list[BaseException] = []

    async def another(state: duologue.ScenarioState) -> None:
        with pytest.raises(
            VoiceConnectionError, match=r"AnsweringAgent: it is in another call.*an adapter of its own"
        ) as no:
            await played(duologue.user("hello"), duologue.agent(), agent=agent)
        second.append(no.value)

    result, _ = await played(duologue.user("hello"), another, duologue.agent(), agent=agent)
    assert second
    assert texts(result)[1] == ("assistant", "one two three four five")
    assert (agent.connects, agent.disconnects) == (1, 1)
    await played(duologue.user("hello"), duologue.agent(), agent=agent)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: duologue.audio(7), "audio.*found int"),
        (lambda: duologue.audio(None), "audio.*found NoneType"),
        (lambda: duologue.silence("2"), "silence.*expected 0 to 3600 seconds"),
        (lambda: duologue.sleep(None), "sleep.*expected 0 to 3600 seconds"),
        (lambda: duologue.sleep(True), "sleep.*expected 0 to 3600 seconds"),
        (lambda: duologue.user("hi", audio_effects="cafe"), "user.*found 'cafe'"),
        (lambda: duologue.user("hi", audio_effects=["cafe"]), "user.*found 'cafe'"),
        (lambda: duologue.user("hi", audio_effects=7), "user.*found 7"),
        (lambda: duologue.UserSimulatorAgent(model="mock/echo", audio_effects=[None]), "audio_effects.*found None"),
        (lambda: duologue.proceed(interruptions=0.3), "proceed.*found 0.3; expected an InterruptionConfig"),
        (lambda: duologue.proceed(interruptions={}), "proceed.*found {}; expected an InterruptionConfig"),
        (lambda: duologue.InterruptionConfig(probability="often"), "probability='often'.*expected 0 to 1"),
        (lambda: duologue.InterruptionConfig(delay_range=2), "delay_range=2.*expected two numbers"),
        (lambda: duologue.InterruptionConfig(delay_range="12"), "delay_range='12'.*expected two numbers"),
        (lambda: duologue.InterruptionConfig(delay_range=(1, 2, 3)), "delay_range=.*expected two numbers"),
        (lambda: duologue.InterruptionConfig(delay_range=(2, 1)), "delay_range=.*expected two numbers"),
        (lambda: duologue.set_stt_provider("whisper"), "set_stt_provider: found 'whisper'; expected an object"),
        (lambda: duologue.set_stt_provider(Recogniser), "set_stt_provider: found .*; expected an object"),
    ],
)
def test_steps_that_make_no_sense_are_refused_where_they_are_written(made: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        made()


async def test_one_effect_needs_no_list_and_a_recording_may_be_a_chunk() -> None:
    def quiet(pcm: bytes) -> bytes:
        return bytes(len(pcm))

    result, executor = await played(
        duologue.user("hello", audio_effects=quiet), duologue.audio(tone(0.5)), duologue.agent()
    )
    assert message_has_audio(result.messages[1])
    assert [event.type for event in executor.state.timeline].count("user_start_speaking") == 2


async def test_a_call_of_an_adapter_can_follow_another() -> None:
    agent = AnsweringAgent()
    for _ in range(2):
        await played(duologue.user("hi"), duologue.agent(), agent=agent)
    assert (agent.connects, agent.disconnects) == (2, 2)


async def test_an_adapter_that_cannot_connect_is_named(tmp_path: Path) -> None:
    class Refusing(AnsweringAgent):
        async def connect(self) -> None:
            raise VoiceConnectionError(self.name, "refused")

    with pytest.raises(VoiceConnectionError, match="Refusing: refused"):
        await played(duologue.user("hi"), agent=Refusing())


@pytest.mark.parametrize("entry", [duologue.run, duologue.arun])
async def test_a_run_that_is_cancelled_while_it_connects_hangs_up(entry: Callable[..., Awaitable[object]]) -> None:
    class Slow(AnsweringAgent):
        async def connect(self) -> None:
            await super().connect()
            await asyncio.Event().wait()

    agent = Slow()
    task = asyncio.ensure_future(entry("call", "d", agents=[agent, Caller(["a"])], script=[duologue.user("hi")]))
    while not agent.connects:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while not agent.disconnects:
        await asyncio.sleep(0.01)
    assert (agent.connects, agent.disconnects) == (1, 1)


class NeverRecognises:
    """Waits until it is cancelled."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def transcribe(self, chunk: AudioChunk) -> str:
        self.asked.set()
        await asyncio.Event().wait()
        return ""


async def test_a_run_whose_cut_off_words_are_not_waited_for_keeps_its_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.conversation.lifecycle.CONCLUDE_GRACE", 0.2)
    duologue.set_stt_provider(NeverRecognises())
    agent = AnsweringAgent([[AgentWords(text="one two three four five"), tone(20.0)]])

    async def fails(state: object) -> None:
        raise AgentError("it has broken", who="agent")

    steps = [duologue.user("Hello."), duologue.agent(wait=False), duologue.interrupt("Stop.", after_words=2), fails]
    user = duologue.testing.ScriptedUserAgent([])
    async with asyncio.timeout(60):
        with pytest.raises(AgentError, match="it has broken"):
            await duologue.arun("a", "b", [user, agent], script=steps, record=tmp_path / "run.jsonl")
    heard = voice_run(read_journal(tmp_path / "run.jsonl").view, partial(open_beside, tmp_path / "run.jsonl"))
    assert heard is not None
    assert heard.kept is not None
    assert heard.sound is not None
    assert heard.sound.duration > 1.0


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ws://127.0.0.1:{port}/call", "nothing listens there. Start the agent first, or correct the address"),
        ("ws://localhost:{port}/call", "nothing listens there. Start the agent first, or correct the address"),
    ],
)
async def test_an_agent_that_was_not_started_is_said_to_be(url: str, told: str) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        agent = duologue.WebSocketAgentAdapter(url.format(port=taken.getsockname()[1]))
        with pytest.raises(VoiceConnectionError, match=told):
            await duologue.arun("call", "d", agents=[agent, Caller(["hi"])], script=[duologue.user(), duologue.agent()])


def test_a_name_of_a_host_that_is_not_known_is_said_to_be() -> None:
    error = socket.gaierror(-2, "Name or service not known")
    assert why_unreachable(error).endswith("the name of the host is not known. Correct the address")
    assert why_unreachable(OSError(113, "No route to host")) == "[Errno 113] No route to host"
