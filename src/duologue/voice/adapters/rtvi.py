"""What Pipecat tells its clients about a call beside the sound: messages of RTVI, the standard of Pipecat's clients.

Source: Pipecat, *The RTVI Standard*: ``{"label": "rtvi-ai", "type": …, "data": …}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from duologue.voice.incoming import (
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserHeard,
    UserWords,
)

LABEL = "rtvi-ai"


class RtviEvents:
    """Reads the messages of one call. What they do not say, or say in another shape, is passed over."""

    def __init__(self) -> None:
        self._words_from = ""
        self._said = False

    def read(self, message: Mapping[str, Any]) -> Sequence[Incoming]:
        """What a message tells."""
        given, kind = _object(message.get("data")), _text(message, "type")
        if kind in {"bot-stopped-speaking", "user-started-speaking"}:
            self._said = False
        match kind:
            case "bot-tts-text" | "bot-output":
                return self._words(kind, given)
            case "llm-function-call" | "llm-function-call-in-progress":
                return _tool_call(given)
            case _:
                told = _told(kind, given)
                return [] if told is None else [told]

    def _words(self, kind: str, data: Mapping[str, Any]) -> Sequence[Incoming]:
        """Words as they are spoken. Newer bots report them twice, under both names: the first that comes counts."""
        text = _text(data, "text").strip()
        if not text or (kind == "bot-output" and not data.get("spoken")):
            return []
        self._words_from = self._words_from or kind
        if kind != self._words_from:
            return []
        words = f" {text}" if self._said else text
        self._said = True
        return [AgentWords(text=words)]


def _told(kind: str, data: Mapping[str, Any]) -> Incoming | None:
    told: Incoming | None = None
    match kind:
        case "bot-stopped-speaking":
            told = AgentTurnEnded()
        case "user-started-speaking":
            told = UserHeard()
        case "user-transcription" if data.get("final") and _text(data, "text"):
            told = UserWords(text=_text(data, "text"))
        case "llm-function-call-stopped" if "result" in data:
            told = AgentToolResult(call_id=_text(data, "tool_call_id"), result=data["result"])
        case "error" if data.get("fatal"):
            told = CallEnded(reason=f"the bot reports an error: {_text(data, 'error') or _text(data, 'message')}")
        case _:
            pass
    return told


def _tool_call(data: Mapping[str, Any]) -> Sequence[Incoming]:
    name, arguments = _text(data, "function_name"), _object(data.get("args", data.get("arguments")))
    return [AgentToolCall(call_id=_text(data, "tool_call_id"), name=name, arguments=arguments)] if name else []


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""
