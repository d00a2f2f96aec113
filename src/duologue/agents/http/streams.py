"""Answers that come piece by piece, in the formats that agents stream: server-sent events and lines of JSON.

Each event says by its form whose it is: chunks of chat completions, events of the Responses API, of Anthropic, of
LangGraph and of the Vercel AI SDK, lines of Ollama, responses of Gemini. Agents with a format of their own send words
under a likely name, or nothing but words. What a stream took is said at its end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, cast

from duologue.agents.http.completions import (
    ContractError,
    fields_of,
    json_object,
    list_of,
    read_items,
    read_turn,
    refuse_error,
    words_of,
)
from duologue.agents.http.plain import at_path, last_turn, shown_calls, texts_in
from duologue.agents.http.usage import ReportedUsage, model_of, usage_of
from duologue.config.json_text import NoJsonError, json_value
from duologue.messages import Message, text_of

Json = dict[str, Any]
Pieces = Iterator[str | Message]

_SHOWN = 500
"""Characters of events without words that an error shows."""
_LEGACY = -1
"""Place of the one call that ``function_call`` makes."""
_DELTAS = ("delta", "textDelta", "text_delta", "token", "chunk")
_SPEAKS = (
    "text",
    "token",
    "delta",
    "message",
    "answer",
    "content",
    "chunk",
    "output",
    "reply",
    "response",
    "completion",
)
"""What is in the type of an event that carries words; others tell of the agent's work."""
_ENDS = frozenset("done end finish finished complete completed final stop close message_end workflow_finished".split())


class StreamReader:
    """Reads the events of a stream, one at a time, into pieces: text as it comes, other messages whole.

    Attributes:
        whole_turn: whether the stream shows everything that the agent does in its turn.
        finish_reason: why the answer ended, as far as it was said.
        thread: the id that the agent gave the conversation; '' for none.
    """

    def __init__(self, *, plain: bool = False, answer: str | None = None, thread_from: str | None = None) -> None:
        """Start with nothing.

        Args:
            plain: whether events may be of any form, and nothing but words.
            answer: path in an event to its words; None to look for them.
            thread_from: path in an event to the id of the conversation.
        """
        self.whole_turn = False
        self.finish_reason: str | None = None
        self.thread = ""
        self._plain = plain
        self._answer = answer
        self._thread_from = thread_from
        self._calls: dict[int, dict[str, str]] = {}
        self._said: list[str] = []
        self._said_something = False
        self._unread = ""
        self._finished = False
        self._has_an_end = not plain
        self._usage: ReportedUsage | None = None
        self._model = ""
        self._begun: Json = {}
        self._streamed: dict[str, str] = {}
        self._state: Json = {}

    @property
    def usage(self) -> ReportedUsage | None:
        """What the stream says that it took."""
        found = self._usage
        if found is None or found.model or not self._model:
            return found
        return found + ReportedUsage(model=self._model, split=found.split)

    @property
    def text(self) -> str:
        """The words so far."""
        return "".join(self._said)

    @property
    def shown(self) -> str:
        """What an error shows of the stream: the words so far, or the first events where none were found."""
        return self.text or self._unread

    def feed(self, data: str, event: str = "") -> Pieces:
        """The pieces in one event.

        Args:
            data: of the event.
            event: its name; '' or ``message`` where it has none.

        Raises:
            ContractError: the event reports an error, or is of no known form.
        """
        if data.strip() == "[DONE]":
            self._finished = True
            return
        if not self._said_something and len(self._unread) < _SHOWN:
            self._unread += f"{event}: {data}\n" if event else f"{data}\n"
        for piece in self._pieces(data, event):
            if piece:
                self._said_something = True
                if isinstance(piece, str):
                    self._said.append(piece)
                yield piece

    def end(self) -> Iterator[Message]:
        """What is left when the stream has ended: the tool calls that came in pieces.

        Raises:
            ContractError: the stream broke off, or nothing was said in it.
        """
        if not self._finished and self._has_an_end:
            raise ContractError("the stream broke off: it ended without [DONE] and without a finish_reason")
        if self._calls:
            yield from self._finished_calls()
        elif not self._said_something and self._state:
            yield from last_turn(list_of(self._state.get("messages")))[0]
        elif not self._said_something:
            raise ContractError(
                "the stream held neither content nor tool calls"
                + ("; set 'answer' to the path of the words in an event" if self._plain and self._unread else "")
            )

    def _pieces(self, data: str, event: str) -> Pieces:
        name = event.partition("|")[0]
        if self._plain:
            try:
                value: object = json_value(data, constants=True)
            except NoJsonError:
                yield from self._words(data, name)
                return
            if name in self._LANGGRAPH:
                yield from self._LANGGRAPH[name](self, value)
                return
            if not isinstance(value, dict):
                yield from self._words(value if isinstance(value, str) else data, name)
                return
            chunk = cast("Json", value)
        else:
            chunk = json_object(data, "an event of the stream")
        yield from self._chunk(chunk, name)

    def _chunk(self, chunk: Json, event: str) -> Pieces:
        kind = chunk.get("type")
        if kind == "error" and not chunk.get("error"):
            raise ContractError(f"the stream reports an error: {words_of(chunk.get('errorText') or chunk)}")
        refuse_error(chunk, "the stream")
        self._note(chunk)
        if isinstance(kind, str) and (known := self._TYPED.get(kind)) is not None:
            yield from known(self, chunk)
        elif isinstance(kind, str) and kind.startswith("response."):
            yield from self._response(kind, chunk)
        elif "candidates" in chunk:
            yield from self._candidates(chunk)
        elif "done" in chunk and ("message" in chunk or "response" in chunk) and self._answer is None:
            yield from self._line(chunk)
        elif not self._plain or isinstance(chunk.get("choices"), list):
            yield from self._completion(chunk)
        else:
            yield from self._any(chunk, event)

    def _note(self, chunk: Json) -> None:
        """What an event says besides words."""
        self._model = model_of(chunk) or self._model
        if "type" not in chunk and (usage := usage_of(chunk)) is not None:
            self._usage = usage  # the last one counts: streams add up what they took so far
        if self._thread_from is not None and self._plain:
            try:
                self.thread = str(at_path(chunk, self._thread_from) or "") or self.thread
            except ContractError:
                return

    # Chat completions

    def _completion(self, chunk: Json) -> Pieces:
        self._has_an_end = True
        if isinstance(turn := chunk.get("messages"), list):
            self._said_something = self.whole_turn = True
            yield from read_turn(cast("list[Any]", turn), complete=False)
        choices: object = chunk.get("choices") or []
        if not isinstance(choices, list):
            raise ContractError("expected 'choices' of a chunk to be a list")
        for choice in cast("list[Any]", choices)[:1]:
            yield from self._choice(fields_of(choice))

    def _choice(self, choice: Json) -> Iterator[str]:
        delta = fields_of(choice.get("delta"))
        yield from _words_in(delta)
        if isinstance(legacy := delta.get("function_call"), dict):
            self._add_to_call({"index": _LEGACY, "function": legacy})
        calls: object = delta.get("tool_calls") or []
        for piece in cast("list[Any]", calls) if isinstance(calls, list) else []:
            self._add_to_call(fields_of(piece))
        if choice.get("finish_reason"):
            self._end(choice["finish_reason"])

    def _add_to_call(self, piece: Json) -> None:
        index: object = piece.get("index", 0)
        function: object = piece.get("function") or {}
        if not isinstance(index, int) or not isinstance(function, dict):
            raise ContractError("a tool call in a chunk needs an 'index' and a 'function'")
        call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        call["id"] += str(piece.get("id") or "")
        fields = cast("Json", function)
        call["name"] += str(fields.get("name") or "")
        call["arguments"] += str(fields.get("arguments") or "")

    def _finished_calls(self) -> Iterator[Message]:
        calls = [
            {"id": call["id"] or None, "name": call["name"], "arguments": call["arguments"]}
            for _, call in sorted(self._calls.items())
        ]
        self._calls.clear()
        yield from read_items([{"role": "assistant", "tool_calls": calls}], "the stream")

    # The Responses API

    def _response(self, kind: str, event: Json) -> Pieces:
        self._has_an_end = True
        response = fields_of(event.get("response"))
        if kind.endswith(".delta") and kind in {"response.output_text.delta", "response.refusal.delta"}:
            self._streamed[str(event.get("item_id"))] = ""
            yield str(event.get("delta") or "")
        elif kind == "response.output_item.done":
            item = fields_of(event.get("item"))
            if item.get("type") != "message" or str(item.get("id")) not in self._streamed:
                yield from _spoken(read_items([item], "the stream"))
        elif kind == "response.failed":
            raise ContractError(f"the stream reports an error: {words_of(response.get('error'))}")
        elif kind in {"response.completed", "response.incomplete"}:
            refuse_error(response, "the stream")
            self._usage = usage_of(response)
            details = fields_of(response.get("incomplete_details"))
            self._end(details.get("reason") or response.get("status"))
            if not self._said_something:
                yield from _spoken(read_items(list_of(response.get("output")), "the stream"))
        if isinstance(given := response.get("id"), str):
            self.thread = given

    # Anthropic

    def _message_start(self, event: Json) -> Pieces:
        self._has_an_end, self._finished = True, False
        self._begun = dict(fields_of(fields_of(event.get("message")).get("usage")))
        yield from ()

    def _block_start(self, event: Json) -> Pieces:
        block = fields_of(event.get("content_block"))
        kind = str(block.get("type"))
        if kind == "text":
            yield str(block.get("text") or "")
        elif kind.endswith("tool_use"):
            given = block.get("input") or ""
            self._calls[_index(event)] = {
                "id": str(block.get("id") or ""),
                "name": str(block.get("name") or ""),
                "arguments": "" if not given else json.dumps(given, ensure_ascii=False),
            }
        elif kind.endswith("tool_result"):
            yield from read_items([{"role": "user", "content": [block]}], "the stream")

    def _block_delta(self, event: Json) -> Pieces:
        delta = fields_of(event.get("delta"))
        if delta.get("type") == "text_delta":
            yield str(delta.get("text") or "")
        elif delta.get("type") == "input_json_delta" and (call := self._calls.get(_index(event))) is not None:
            call["arguments"] += str(delta.get("partial_json") or "")

    def _block_stop(self, event: Json) -> Pieces:
        if (call := self._calls.pop(_index(event), None)) is not None:
            made = {"id": call["id"] or None, "name": call["name"], "arguments": call["arguments"]}
            yield from read_items([{"role": "assistant", "tool_calls": [made]}], "the stream")

    def _message_delta(self, event: Json) -> Pieces:
        told = fields_of(event.get("usage"))
        self._begun.update({key: value for key, value in told.items() if value is not None})
        if reason := fields_of(event.get("delta")).get("stop_reason"):
            self._end(reason)
        yield from ()

    def _message_stop(self, _: Json) -> Pieces:
        self._finished = True
        if (took := usage_of({"usage": self._begun})) is not None:
            self._usage = took if self._usage is None else self._usage + took
        self._begun = {}
        yield from ()

    # The Vercel AI SDK

    def _text_delta(self, event: Json) -> Pieces:
        yield str(event.get("delta") or event.get("text") or event.get("textDelta") or "")

    def _tool_input(self, event: Json) -> Pieces:
        call = {"id": event.get("toolCallId"), "name": event.get("toolName"), "arguments": event.get("input")}
        yield from read_items([{"role": "assistant", "tool_calls": [call]}], "the stream")

    def _tool_output(self, event: Json) -> Pieces:
        said = event.get("output", event.get("errorText"))
        yield from read_items(
            [{"role": "tool", "tool_call_id": event.get("toolCallId"), "content": said if said is not None else ""}],
            "the stream",
        )

    def _finish(self, event: Json) -> Pieces:
        self._usage = usage_of(event.get("messageMetadata")) or usage_of(event) or self._usage
        self._end(event.get("finishReason"))
        yield from ()

    # Gemini and Ollama

    def _candidates(self, chunk: Json) -> Pieces:
        self._has_an_end = True
        candidates = list_of(chunk.get("candidates"))
        first = fields_of(candidates[0]) if candidates else {}
        content = fields_of(first.get("content"))
        if content.get("parts"):
            yield from _spoken(read_items([{"role": "model", **content}], "the stream"))
        if reason := first.get("finishReason"):
            self._end(reason)

    def _line(self, chunk: Json) -> Pieces:
        self._has_an_end = True
        message = fields_of(chunk.get("message"))
        if message.get("tool_calls"):
            yield from read_items([{"role": "assistant", **message}], "the stream")
        else:
            said = next((text for text in (message.get("content"), chunk.get("response")) if isinstance(text, str)), "")
            yield said
        if chunk.get("done") is True:
            self._end(chunk.get("done_reason"))

    # LangGraph

    def _graph_chunk(self, value: object) -> Pieces:
        """``messages``: a message, or a piece of one, and what is known about it."""
        message = fields_of(list_of(value)[0]) if list_of(value) else {}
        if not message:
            yield from self._any(fields_of(value), "message")
            return
        if str(message.get("type", "")).casefold() in {"ai", "aimessagechunk"}:
            text = "".join(texts_in(message.get("content")))
            key = str(message.get("id"))
            self._streamed[key] = self._streamed.get(key, "") + text
            yield text

    def _graph_partial(self, value: object) -> Pieces:
        """``messages/partial``: messages as far as they are there."""
        for message in cast("list[Any]", value) if isinstance(value, list) else []:
            if isinstance(message, dict) and "ai" in str(cast("Json", message).get("type", "")).casefold():
                whole, key = (
                    "".join(texts_in(cast("Json", message).get("content"))),
                    str(cast("Json", message).get("id")),
                )
                known = self._streamed.get(key, "")
                self._streamed[key] = whole
                yield whole.removeprefix(known)

    def _graph_update(self, value: object) -> Pieces:
        """``updates``: what the nodes of the graph have added."""
        for change in fields_of(value).values():
            held = fields_of(change).get("messages")
            for message in list_of(held) or filter(None, [fields_of(held)]):
                if (took := usage_of(message)) is not None:
                    self._usage = took if self._usage is None else self._usage + took
                yield from self._graph_message(message)

    def _graph_message(self, message: object) -> Pieces:
        fields = fields_of(message)
        key = str(fields.get("id"))
        for read in read_items([fields], "the stream") if fields.get("type") not in {"human", "system"} else []:
            if key in self._streamed and read["role"] == "assistant":  # its words have come already
                read: Message = {**read, "content": None}
            if read.get("tool_calls") or read["role"] == "tool":
                yield read
            else:
                yield text_of(read)

    def _graph_values(self, value: object) -> Pieces:
        """``values``: the whole state; it counts where nothing else says what was added."""
        if isinstance(value, dict):
            self._state = cast("Json", value)
        yield from ()

    def _graph_error(self, value: object) -> Pieces:
        raise ContractError(f"the stream reports an error: {words_of(value)}")
        yield

    def _nothing(self, _: object) -> Pieces:
        yield from ()

    # Formats of their own

    def _any(self, chunk: Json, event: str) -> Pieces:
        kind = next((value for name in ("type", "event") if isinstance(value := chunk.get(name), str)), event)
        ends = chunk.get("done") is True or kind.casefold() in _ENDS
        if ends:
            self._finished = True
        yield from shown_calls(chunk)
        if self._answer is not None:
            try:
                words = "".join(texts_in(at_path(chunk, self._answer)))
            except ContractError:
                return
        elif kind and not ends and not any(word in kind.casefold() for word in _SPEAKS):
            return
        else:
            delta = next((chunk[name] for name in _DELTAS if chunk.get(name)), chunk)
            words = "".join(texts_in(delta))
        if not (ends and self._said):  # the last event says the whole answer again
            yield words

    def _words(self, words: str, event: str) -> Pieces:
        if event == "error":
            raise ContractError(f"the stream reports an error: {words[:500]}")
        if event.casefold() not in _ENDS:
            yield words

    def _end(self, reason: object) -> None:
        self._finished = True
        self.finish_reason = reason if isinstance(reason, str) else self.finish_reason

    _TYPED: ClassVar[dict[str, Callable[[Any, Json], Pieces]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
        "ping": _nothing,
        "text-delta": _text_delta,
        "tool-input-available": _tool_input,
        "tool-output-available": _tool_output,
        "tool-output-error": _tool_output,
        "finish": _finish,
        **dict.fromkeys(("start", "start-step", "finish-step", "text-start", "text-end", "tool-input-start"), _nothing),
        **dict.fromkeys(("tool-input-delta", "reasoning-start", "reasoning-delta", "reasoning-end"), _nothing),
    }
    _LANGGRAPH: ClassVar[dict[str, Callable[[Any, object], Pieces]]] = {
        "messages": _graph_chunk,
        "messages/partial": _graph_partial,
        "updates": _graph_update,
        "values": _graph_values,
        "error": _graph_error,
        **dict.fromkeys(("metadata", "messages/metadata", "messages/complete", "end", "debug", "tasks"), _nothing),
    }


def _spoken(messages: list[Message]) -> Pieces:
    """What was said, as pieces: text, and messages that are more than text."""
    for message in messages:
        content = message.get("content")
        plain = message["role"] == "assistant" and not message.get("tool_calls") and isinstance(content, str)
        yield cast("str", content) if plain else message


def _words_in(delta: Json) -> Iterator[str]:
    """New words of the answer: text, text in parts, a refusal, the transcript of what is spoken."""
    content, audio = delta.get("content"), delta.get("audio")
    parts = cast("list[Any]", content) if isinstance(content, list) else [content]
    texts = [cast("Json", part).get("text") if isinstance(part, dict) else part for part in parts]
    spoken = cast("Json", audio).get("transcript") if isinstance(audio, dict) else None
    yield from (text for text in (*texts, delta.get("refusal"), spoken) if isinstance(text, str) and text)


def _index(event: Json) -> int:
    index: object = event.get("index")
    return index if isinstance(index, int) else 0
