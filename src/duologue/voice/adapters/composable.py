"""A voice agent of this process, made of a recogniser, a language model and a voice.

It hears frames, finds where the user has finished, and answers sentence by sentence. Where frames follow the wall
clock it thinks beside them; otherwise the time of the conversation stands still while it thinks.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from duologue.conversation.adapter import AgentSession
from duologue.errors import ConfigurationError, ModelAnswerError
from duologue.messages import Message, ToolCall, arguments_of, assistant_message, tool_calls_of, tool_message
from duologue.models.ask import ask
from duologue.models.base import Model, ModelAnswer, ModelRequest, ToolSpec
from duologue.models.resolve import resolve
from duologue.models.scope import RunScope
from duologue.settings import ModelConfig
from duologue.voice.activity import SpeechDetector, SpeechEdge
from duologue.voice.adapter import AdapterCapabilities, InProcessVoiceAgent, VoiceConnectionError
from duologue.voice.adapters.tools import ToolDefinition, ToolHandler, answered, function_of, written_result
from duologue.voice.audio import SAMPLE_WIDTH, AudioChunk, bytes_of
from duologue.voice.incoming import (
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    Incoming,
    UserHeard,
    UserWords,
)
from duologue.voice.recognition import STTProvider, stt_provider, transcribe
from duologue.voice.synthesis import synthesize
from duologue.voice.user_code import called

if TYPE_CHECKING:
    from pydantic_ai.models import Model as PydanticAIModel

Answerer = Callable[[Sequence[Message]], str | Awaitable[str]]
"""From the conversation so far to what the agent says: a program in place of a language model."""
Voice = Callable[[str], Awaitable[AudioChunk | bytes] | AudioChunk | bytes]
"""From a text to its sound: a chunk, or PCM16, mono, 24 kHz."""

_BEFORE = bytes_of(0.4)
"""Bytes of sound that are kept from before speech was noticed."""
_PAUSE = 0.16
"""Seconds of silence after which the user is not speaking now; the turn may go on."""
_QUIET = 1.0
"""Seconds of a line without any sound after which the detector is not asked any more."""
_MOST_ROUNDS = 10
"""Of calls of tools in one answer."""
_SHORT = 24
"""Characters: a shorter sentence is said together with the next one."""
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|\n+")
_MARKUP = re.compile(r"[*`]+|^#+\s+", re.MULTILINE)
_SPOKEN_WORD = re.compile(r"\s*\S+")


@dataclass
class _Speech:
    """A sentence, as far as it was said.

    Attributes:
        words: that are not said yet, each with the byte at which it begins.
    """

    pcm: bytes
    words: deque[tuple[int, str]]
    at: int = 0


class ComposableVoiceAgent(InProcessVoiceAgent):
    """A voice agent made of speech to text, a language model and text to speech.

    Args:
        stt: what recognises speech: a provider, or its name, such as ``local`` or ``openai/gpt-4o-transcribe``; None
            for the usual one.
        llm: what answers: the name of a model, such as ``openai/gpt-5-mini``, ``local`` or ``mock/echo``, a model, or
            a function from the conversation to a text.
        tts: its voice, such as ``local/heart`` or ``openai/alloy``, or a function from a text to a sound.
        system_prompt: what the model is told first; None for nothing.
        greeting: what it says before the user does; None for nothing.
        tools: functions that the model may call, as chat completions define them; not for a function as ``llm``.
        tool_handlers: what answers each tool, by its name: a function of its arguments, async or not. A call without
            one is answered with an error.
        turn_silence: seconds of silence after which the user has finished.
        yields_after: seconds that the user speaks over it until it stops. What is shorter is a sign of listening.
    """

    capabilities = AdapterCapabilities(
        streaming_transcripts=True, native_vad=True, input_formats=("pcm16/24000",), output_formats=("pcm16/24000",)
    )
    ends_turns = True

    def __init__(
        self,
        stt: STTProvider | str | None,
        llm: str | ModelConfig | Model | PydanticAIModel | Answerer,
        tts: str | Voice,
        *,
        system_prompt: str | None = None,
        greeting: str | None = None,
        tools: Sequence[ToolDefinition] = (),
        tool_handlers: Mapping[str, ToolHandler] | None = None,
        turn_silence: float = 0.6,
        yields_after: float = 0.5,
    ) -> None:
        for name, seconds in (("turn_silence", turn_silence), ("yields_after", yields_after)):
            if not 0.05 <= seconds <= 60:
                raise ConfigurationError(f"{self.name}: {name} is {seconds}; expected 0.05 to 60 seconds")
        self._stt = stt_provider(stt) if isinstance(stt, str) else stt
        self._llm = llm
        self._tts = tts
        if tools and _program(llm) is not None:
            raise ConfigurationError(f"{self.name}: tools are for models, and llm is a function, which calls its own")
        self._tools = tuple(_tool_spec(tool, self.name) for tool in tools)
        self._handlers = dict(tool_handlers or {})
        self.system_prompt, self.greeting = system_prompt, greeting
        self.turn_silence, self.yields_after = turn_silence, yields_after
        self._scope = RunScope()
        self._home: asyncio.AbstractEventLoop | None = None
        self._thinking: asyncio.Task[None] | None = None
        self._answerer: Answerer | None = None
        self._model: Model | None = None
        self._reset()

    def _reset(self) -> None:
        self._detector: SpeechDetector | None = None
        self._heard = self._quiet = self._unheard = 0.0
        self._recent = bytearray()
        self._turn = bytearray()
        self._last_turn = b""
        self._speaking_since: float | None = None
        self._silent_since: float | None = None
        self._messages: list[Message] = (
            [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        )
        self._outbox: deque[Incoming] = deque()
        self._speech: deque[_Speech] = deque()
        self._said = ""
        self._is_answering = False
        self._is_complete = False

    def describe(self) -> dict[str, Any]:
        """What the journal's snapshot keeps about it."""
        return {
            "stt": type(self._stt).__name__ if self._stt is not None else "usual",
            "llm": _name_of(self._llm),
            "tts": self._tts if isinstance(self._tts, str) else _name_of(self._tts),
            "system_prompt": self.system_prompt,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()['llm']!r}, {self.describe()['tts']!r})"

    # The call

    async def open(self, run: RunScope) -> AgentSession | None:
        """Take part in a run: its model is asked on the event loop of the run, and what it says is in the journal."""
        self._scope, self._home = run, asyncio.get_running_loop()
        return await super().open(run)

    async def connect(self) -> None:
        """Begin a conversation.

        Raises:
            ConfigurationError: there is no such model.
            VoiceConnectionError: it takes part in another conversation, which is not over.
        """
        if self._detector is not None:
            raise VoiceConnectionError(
                self.name, "it takes part in another conversation: disconnect it first, or give each run its own agent"
            )
        self._reset()
        self._answerer = _program(self._llm)
        self._model = None if self._answerer else resolve(cast("str | ModelConfig | Model", self._llm))
        self._detector = SpeechDetector(ends=_PAUSE)
        if self.greeting:
            await self._start(self._prepare(self.greeting))

    async def disconnect(self) -> None:
        """End the conversation; harmless if there is none."""
        self._detector = None
        self._speech.clear()
        await self._stop_thinking()

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        """Hear 20 ms of the user, and say what there is to say.

        Raises:
            ModelError: what recognises, answers or speaks has failed.
        """
        thinking = self._thinking
        if thinking is not None and thinking.done():
            self._thinking = None
            thinking.result()
        await self._listen(frame)
        self._speak(len(frame.data))
        items = [*self._outbox]
        self._outbox.clear()
        return items

    # What it hears

    async def _listen(self, frame: AudioChunk) -> None:
        if self._detector is None:
            raise ConfigurationError(f"{self.name}: connect before frames are exchanged")
        self._heard += frame.duration_seconds
        self._quiet = 0.0 if frame.data.strip(b"\0") else self._quiet + frame.duration_seconds
        if self._quiet > _QUIET and not self._detector.is_speaking:
            self._unheard += frame.duration_seconds  # nobody can be speaking: not worth the detector's time
        else:
            for change in self._detector.process(frame.data):
                at = change.at + self._unheard
                if change.edge is SpeechEdge.BEGAN:
                    await self._user_begins(at)
                else:
                    self._silent_since, self._speaking_since = at, None
        if self._turn:
            self._turn += frame.data
        self._recent = (self._recent + frame.data)[-_BEFORE:]
        if self._speaking_since is not None and self._is_answering:
            if self._heard - self._speaking_since >= self.yields_after:
                await self._yield()
        elif self._turn and self._silent_since is not None and self._heard - self._silent_since >= self.turn_silence:
            await self._user_has_finished()

    async def _user_begins(self, at: float) -> None:
        self._speaking_since, self._silent_since = at, None
        if not self._turn:
            self._turn += self._recent
        if self._is_answering and not self._said:
            # The user had only paused: what was said and what follows is one turn.
            await self._stop_thinking()
            self._end_answer()
            self._turn[:0] = self._last_turn

    async def _yield(self) -> None:
        """The user speaks over it: it stops, and knows what it has said."""
        await self._stop_thinking()
        if self._said:
            self._messages.append(assistant_message(f"{self._said.strip()} …"))
        self._end_answer()
        self._outbox += [UserHeard(), AgentTurnEnded(interrupted=True)]

    async def _user_has_finished(self) -> None:
        sound, self._silent_since = bytes(self._turn), None
        self._turn.clear()
        if self._is_answering:
            return  # a sign of listening, while it speaks
        self._last_turn = sound
        await self._start(self._answer(AudioChunk(sound)))

    # What it answers

    async def _start(self, job: Any) -> None:
        self._is_answering, self._is_complete, self._said = True, False, ""
        self._thinking = asyncio.create_task(job, name=f"{self.name} thinks")
        if not self.real_time:
            try:
                await asyncio.wait({self._thinking})
            except asyncio.CancelledError:
                await self._stop_thinking()
                raise

    async def _stop_thinking(self) -> None:
        thinking, self._thinking = self._thinking, None
        if thinking is not None and not thinking.done():
            thinking.cancel()
            await asyncio.wait({thinking})

    def _end_answer(self) -> None:
        self._speech.clear()
        self._is_answering, self._is_complete, self._said = False, False, ""

    async def _answer(self, sound: AudioChunk) -> None:
        said = await transcribe(sound, self._stt)
        if not said:
            self._end_answer()
            return
        self._outbox.append(UserWords(text=said))
        messages: list[Message] = [*self._messages, {"role": "user", "content": said}]
        answer = await self._reply(messages)
        self._messages = messages
        await self._prepare(answer)

    async def _prepare(self, text: str) -> None:
        """Have a text spoken, sentence by sentence, so that the first is heard while the next are made."""
        first = True
        for sentence in _sentences(text):
            pcm = await self._voiced(sentence)
            if pcm:
                self._speech.append(_Speech(pcm, _timed(sentence, len(pcm), first=first)))
                first = False
        self._is_complete = True

    async def _voiced(self, text: str) -> bytes:
        if isinstance(self._tts, str):
            return (await synthesize(text, self._tts)).data
        found = cast("object", await called(self._tts, text))
        pcm = found.data if isinstance(found, AudioChunk) else found
        if not isinstance(pcm, bytes) or len(pcm) % SAMPLE_WIDTH:
            told = f"{self.name}: tts: expected an AudioChunk, or PCM16 as bytes; found {type(pcm).__name__}"
            raise ModelAnswerError(told, model="tts")
        return pcm

    async def _reply(self, messages: list[Message]) -> str:
        """What it says next. Its calls of tools, and what answers them, are added to the messages."""
        if self._answerer is not None:
            found = cast("object", await called(self._answerer, messages))
            if not isinstance(found, str):
                raise ModelAnswerError(f"{self.name}: llm: expected a text; found {type(found).__name__}", model="llm")
            return found
        for _ in range(_MOST_ROUNDS):
            answer = await self._asked(messages)
            calls = tool_calls_of(answer.message)
            if not calls:
                return answer.text
            messages.append(answer.message)
            messages += [await self._tool_result(call) for call in calls]
        raise ModelAnswerError(f"{self.name}: llm: it still calls tools after {_MOST_ROUNDS} rounds", model="llm")

    async def _asked(self, messages: Sequence[Message]) -> ModelAnswer:
        assert self._model is not None
        asked = ask(self._model, ModelRequest(messages=tuple(messages), tools=self._tools), self._scope)
        home = self._home
        if home is None or home is asyncio.get_running_loop():
            return await asked
        # The journal, the budget and the tapes of a run belong to its own event loop.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, home))

    async def _tool_result(self, call: ToolCall) -> Message:
        """What answers a call of a tool; both are on the timeline."""
        name, arguments = call["function"]["name"], arguments_of(call)
        self._outbox.append(AgentToolCall(call_id=call["id"], name=name, arguments=arguments))
        result, _ = await answered(self._handlers, name, arguments, self.name)
        self._outbox.append(AgentToolResult(call_id=call["id"], result=result))
        return tool_message(call["id"], written_result(result))

    # What it says

    def _speak(self, size: int) -> None:
        """The next piece of the answer, as long as the frame that was heard, and the words that begin in it."""
        if not self._is_answering:
            return
        if not self._speech:
            if self._is_complete:
                if self._said:
                    self._messages.append(assistant_message(self._said.strip()))
                self._end_answer()
                self._outbox.append(AgentTurnEnded())
            return
        speech = self._speech[0]
        while speech.words and speech.words[0][0] < speech.at + size:
            _, word = speech.words.popleft()
            self._said += word
            self._outbox.append(AgentWords(text=word))
        self._outbox.append(AudioChunk(speech.pcm[speech.at : speech.at + size].ljust(size, b"\0")))
        speech.at += size
        if speech.at >= len(speech.pcm):
            self._speech.popleft()


class ElevenLabsVoiceAgent(ComposableVoiceAgent):
    """A voice agent that hears and speaks with ElevenLabs, and thinks with a language model.

    Args:
        api_key: None for ``ELEVENLABS_API_KEY``.
        llm: what answers; see :class:`ComposableVoiceAgent`.
        voice: id of a voice of ElevenLabs.
        stt: what recognises speech; None for ElevenLabs' Scribe.
        system_prompt: what the model is told first; None for nothing.
        greeting: what it says before the user does; None for nothing.
        tools, tool_handlers: that the model may call; see :class:`ComposableVoiceAgent`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        llm: str | ModelConfig | Model | PydanticAIModel | Answerer,
        voice: str,
        stt: STTProvider | str | None = None,
        system_prompt: str | None = None,
        greeting: str | None = None,
        tools: Sequence[ToolDefinition] = (),
        tool_handlers: Mapping[str, ToolHandler] | None = None,
    ) -> None:
        from duologue.voice.hosted_speech import ElevenLabsSTTProvider, elevenlabs_voice

        super().__init__(
            stt if stt is not None else ElevenLabsSTTProvider(api_key),
            llm,
            elevenlabs_voice(voice.removeprefix("elevenlabs/"), api_key),
            system_prompt=system_prompt,
            greeting=greeting,
            tools=tools,
            tool_handlers=tool_handlers,
        )
        self.voice = voice.removeprefix("elevenlabs/")

    def describe(self) -> dict[str, Any]:
        """What the journal's snapshot keeps about it."""
        return {**super().describe(), "tts": f"elevenlabs/{self.voice}"}


def _tool_spec(tool: ToolDefinition, whose: str) -> ToolSpec:
    found = function_of(tool, whose)
    if found is None:
        raise ConfigurationError(f"{whose}: a tool must be a function with a name; found {tool!r}")
    return ToolSpec(**found)


def _program(llm: object) -> Answerer | None:
    is_one = callable(llm) and not isinstance(llm, str | ModelConfig | Model)
    return cast("Answerer", llm) if is_one else None


def _name_of(thing: object) -> str:
    if isinstance(thing, str):
        return thing
    if isinstance(thing, ModelConfig):
        return thing.model
    found: object = getattr(thing, "name", None) or getattr(thing, "__name__", None)
    return found if isinstance(found, str) else type(thing).__name__


def _sentences(text: str) -> list[str]:
    """A text in pieces that are said one after the other."""
    found: list[str] = []
    for sentence in _SENTENCE.split(_MARKUP.sub("", text)):
        part = sentence.strip()
        if not part:
            continue
        if found and len(found[-1]) < _SHORT:
            found[-1] = f"{found[-1]} {part}"
        else:
            found.append(part)
    return found


def _timed(sentence: str, size: int, *, first: bool) -> deque[tuple[int, str]]:
    """The words of a sentence, each with the byte of its sound at which it begins, as if all letters took as long."""
    length = max(1, len(sentence))
    lead = "" if first else " "
    words = [(match.start(), match.group()) for match in _SPOKEN_WORD.finditer(sentence)]
    return deque(
        (at * size // length, f"{lead}{word}" if number == 0 else word) for number, (at, word) in enumerate(words)
    )
