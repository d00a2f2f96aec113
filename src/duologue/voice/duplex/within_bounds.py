"""What an agent sends besides sound, before anything is made of it: text that can be stored, and never without end.

Sound is bounded by the time in which it is heard. Words, tools and the other things are bounded here: in their number
and their length, each by what it may be at once and by how much more for each second of the call.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, cast

from duologue.config.json_text import NoJsonError, json_value
from duologue.frozen import changed
from duologue.messages import JsonValue, mended
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import (
    AgentKeys,
    AgentToolCall,
    AgentToolResult,
    AgentWords,
    CallEnded,
    Incoming,
    UserWords,
)
from duologue.voice.port import VoiceConnectionError

MOST_ITEMS, ITEMS_A_SECOND = 5_000, 200
"""Things of all sorts besides sound."""
MOST_TEXT, TEXT_A_SECOND = 1_000_000, 10_000
"""Characters of words, names and keys."""
MOST_JSON, JSON_A_SECOND = 16_000_000, 100_000
"""Characters of what tools are given and answer."""
_MOST_REASON = 500
"""Characters of the reason for which a call has ended."""


class WithinBounds:
    """Of one call.

    Args:
        name: of the adapter, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._items = self._text = self._json = 0

    def item(self, item: Incoming, now: float) -> Incoming:
        """One more thing has come: the same, with text that can be stored.

        Half of a surrogate pair, which has no UTF-8, is U+FFFD in it.

        Args:
            item: what has come.
            now: seconds since the conversation began.

        Raises:
            VoiceConnectionError: the agent sends without measure, or what is no JSON where JSON has to be.
        """
        if isinstance(item, AudioChunk):
            return item if item.transcript is None else changed(item, transcript=self._said(item.transcript, now))
        self._items += 1
        if self._items > MOST_ITEMS + ITEMS_A_SECOND * now:
            raise self._too_much(now, f"{self._items:,} events")
        match item:
            case AgentWords() | UserWords():
                return changed(item, text=self._said(item.text, now))
            case AgentKeys():
                return changed(item, keys=self._said(item.keys, now))
            case CallEnded():
                short = item.reason if len(item.reason) <= _MOST_REASON else f"{item.reason[:_MOST_REASON]}…"
                return changed(item, reason=mended(short))
            case AgentToolCall() | AgentToolResult():
                return self._tool(item, now)
            case _:
                return item

    def _tool(self, item: AgentToolCall | AgentToolResult, now: float) -> Incoming:
        call_id = self._said(item.call_id, now)
        if isinstance(item, AgentToolResult):
            return AgentToolResult(call_id=call_id, result=self._plain(item.result, now, "what a tool has answered"))
        arguments = cast("dict[str, Any]", self._plain(item.arguments, now, "what a tool is called with"))
        return AgentToolCall(call_id=call_id, name=self._said(item.name, now), arguments=arguments)

    def _said(self, text: str, now: float) -> str:
        self._text += len(text)
        if self._text > MOST_TEXT + TEXT_A_SECOND * now:
            raise self._too_much(now, f"{self._text:,} characters of text")
        return text if text.isascii() else mended(text)

    def _plain(self, value: object, now: float, what: str) -> JsonValue:
        try:
            text = json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise VoiceConnectionError(self._name, f"{what} cannot be written as JSON: {_reason(error)}") from error
        self._json += len(text)
        if self._json > MOST_JSON + JSON_A_SECOND * now:
            raise self._too_much(now, f"{self._json:,} characters of what tools are given and answer")
        try:
            value = json_value(text, constants=True)
        except NoJsonError as error:
            raise VoiceConnectionError(self._name, f"{what} cannot be used: {error}") from error
        return _finite(value) if "NaN" in text or "Infinity" in text else value

    def _too_much(self, now: float, what: str) -> VoiceConnectionError:
        return VoiceConnectionError(
            self._name, f"the agent sends without measure: {what} besides its sound within {now:.0f} s of the call"
        )


def _finite(value: JsonValue) -> JsonValue:
    """The value without numbers that JSON does not have, as journals write them: as null."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in cast("dict[str, JsonValue]", value).items()}
    return [_finite(item) for item in cast("list[JsonValue]", value)] if isinstance(value, list) else value


def _reason(error: Exception) -> str:
    return "it is too deep, or contains itself" if isinstance(error, RecursionError) else str(error)
