"""A voice agent that a mock model plays: what is written is said, in a voice that needs nothing to be installed.

Time is simulated, so that a conversation takes no longer than its frames do. The options of the model are those of
PromptKit's mock of a streaming provider.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np

from duologue.conversation.adapter import AgentAdapter, AgentDone, AgentInput, AttributedMessage
from duologue.errors import ConfigurationError
from duologue.messages import Message, arguments_of, assistant_message, text_of, tool_calls_of
from duologue.voice.adapter import AdapterCapabilities, InProcessVoiceAgent
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.incoming import (
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
)

_WORD_SECONDS = 0.3
_PITCH = 140.0
_LEVEL = 6_000
_OPTIONS = {
    "auto_respond": bool,
    "response_text": str,
    "interrupt_on_turn": int,
    "close_after_turns": int,
    "close_no_response": bool,
}


@dataclass(frozen=True, kw_only=True)
class MockedCall:
    """How the mock behaves.

    Attributes:
        auto_respond: it answers each turn; otherwise it never speaks.
        response_text: what it answers every time; None for what the model answers.
        interrupt_on_turn: number of the turn, from 1, in which it reports that it was interrupted; 0 for none.
        close_after_turns: turns after which it ends the call; 0 for never.
        close_no_response: it ends the call without an answer to the last of them.
    """

    auto_respond: bool = True
    response_text: str | None = None
    interrupt_on_turn: int = 0
    close_after_turns: int = 0
    close_no_response: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any], model: str) -> Self:
        """What the options of a model say; those of other sorts are passed over.

        Raises:
            ConfigurationError: an option has another type.
        """
        given: dict[str, Any] = {}
        for name, kind in _OPTIONS.items():
            if name not in options:
                continue
            value = options[name]
            if type(value) is not kind:
                raise ConfigurationError(
                    f"the model '{model}': its option {name} is {value!r}; expected a {_NAMES[kind]}"
                )
            given[name] = value
        return cls(**given)


_NAMES = {bool: "boolean, true or false", str: "text", int: "whole number"}


class MockedVoiceAgent(InProcessVoiceAgent):
    """Says what it is given to say.

    Args:
        call: how it behaves.
        text_agent: writes its answers.
    """

    capabilities = AdapterCapabilities(
        streaming_transcripts=True, native_vad=True, input_formats=("pcm16/24000",), output_formats=("pcm16/24000",)
    )
    ends_turns = True

    def __init__(self, call: MockedCall, text_agent: AgentAdapter) -> None:
        self._call, self._text_agent = call, text_agent
        self._waiting: deque[Incoming] = deque()
        self._turns = 0
        self._free_at = 0.0

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        """Say what there is to say."""
        items: list[Incoming] = []
        self._free_at = max(self._free_at, at)
        while self._waiting and self._free_at < at + frame.duration_seconds:
            item = self._waiting.popleft()
            items.append(item)
            if isinstance(item, AudioChunk):  # as a voice does: what is said later comes later
                self._free_at += item.duration_seconds
        return items

    async def begin_user_turn(self) -> None:
        """Stop: the user speaks."""
        if self._waiting:
            self._waiting.clear()
            self._waiting.append(AgentTurnEnded(interrupted=True))

    async def asked(self, input: AgentInput) -> None:
        """Answer what the user has said. Awaited on the event loop of the run."""
        call = self._call
        self._turns += 1
        if self._answers(self._turns):
            cut = self._turns == call.interrupt_on_turn
            for message in await self._written(input):
                self._put(message, cut=cut)
            self._waiting.append(AgentTurnEnded(interrupted=cut))
        if self._closes(self._turns):
            self._waiting.append(CallEnded(reason=f"the mock ends the call after {self._turns} turns"))

    async def _written(self, input: AgentInput) -> Sequence[Message]:
        if self._call.response_text is not None:
            return [assistant_message(self._call.response_text)]
        said = await self._text_agent.call(input)
        if isinstance(said, AgentDone):
            said = list(said.messages)
        if isinstance(said, str):
            return [assistant_message(said)]
        if not isinstance(said, list):
            raise ConfigurationError(f"the mock answers with a {type(said).__name__}; expected messages")
        return [item.message if isinstance(item, AttributedMessage) else item for item in said]

    def _closes(self, turn: int) -> bool:
        return 0 < self._call.close_after_turns <= turn

    def _answers(self, turn: int) -> bool:
        return self._call.auto_respond and not (self._closes(turn) and self._call.close_no_response)

    def _put(self, message: Message, *, cut: bool) -> None:
        if message.get("role") == "tool":
            result = text_of(message)
            self._waiting.append(AgentToolResult(call_id=str(message.get("tool_call_id")), result=result))
            return
        for called in tool_calls_of(message):
            name, arguments = called["function"]["name"], arguments_of(called)
            self._waiting.append(AgentToolCall(call_id=called["id"], name=name, arguments=arguments))
        words = text_of(message).split()
        for word in words[: max(1, len(words) // 2)] if cut else words:
            self._waiting.append(AgentWords(text=f"{word} "))
            self._waiting.append(AudioChunk(_hum(_WORD_SECONDS)))


async def hummed(text: str, voice: str) -> bytes:
    """The voice ``mock/hum``: as long as the text would be, and nothing to be understood."""
    return _hum(_WORD_SECONDS) * len(text.split())


@cache
def _hum(seconds: float) -> bytes:
    """A syllable of a voice that says nothing."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * _PITCH * harmonic * times) / harmonic for harmonic in range(1, 6))
    envelope = np.sin(np.pi * times / seconds) * 0.8 + 0.2
    return np.rint(_LEVEL * 0.4 * voice * envelope).astype("<i2").tobytes()
