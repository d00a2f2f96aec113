"""How providers and frameworks write what was said and which tools were called, read into chat messages.

One place for all of them, so that live agents and recordings show the same tool calls to checks, judges and reports:
chat completions (``tool_calls``, ``function_call``, ``refusal``, ``audio``), items of the Responses and Realtime APIs,
content blocks of Anthropic and Bedrock, parts of Gemini, of the Vercel AI SDK, of OpenTelemetry and of pydantic-ai,
messages of LangChain, LlamaIndex, AutoGen and LiveKit.

:func:`written_in` reads one message or item and makes nothing up. :class:`ShapeReader` makes chat messages of several:
it gives ids to calls that have none, and finds the call of a result that has none.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import cast

from duologue.message_shapes._fields import (
    ROLES,
    SILENT,
    Content,
    Fields,
    ShapeError,
    Written,
    WrittenCall,
    WrittenMessage,
    WrittenResult,
    inner_of,
    is_call,
    is_event,
    is_result,
    kind_of,
    mapping,
    mappings,
    name_from_type,
    role_of,
    snaked,
    unwrapped,
    word,
)
from duologue.message_shapes._objects import FRAMEWORKS, as_fields, framework_of, parts_of
from duologue.message_shapes._tools import call_in, calls_in, content_parts, listed, parts_in, result_beside, result_in
from duologue.message_shapes._usage import READ_TOKENS, WRITTEN_TOKENS, ModelUse, uses_of
from duologue.messages import ContentPart, JsonValue, Message, tool_call

__all__ = [
    "FRAMEWORKS",
    "READ_TOKENS",
    "ROLES",
    "WRITTEN_TOKENS",
    "Content",
    "Fields",
    "ModelUse",
    "ShapeError",
    "ShapeReader",
    "Written",
    "WrittenCall",
    "WrittenMessage",
    "WrittenResult",
    "as_fields",
    "broke_off",
    "can_be_read",
    "chat_messages",
    "framework_of",
    "is_plain",
    "items_of",
    "listed",
    "parts_of",
    "uses_of",
    "written_in",
]

_PLAIN_ROLES = frozenset("user assistant system developer tool".split())

_PLAIN_PARTS = frozenset("text image_url input_audio audio_url video_url document_url file".split())

_NOT_PLAIN = frozenset(
    "function_call refusal audio parts Parts blocks toolInvocations tool_invocations toolCalls ToolCalls "
    "invalid_tool_calls additional_kwargs transcript is_error isError status error text message utterance body items "
    "tool_plan tool_results".split()
)


def is_plain(message: Fields) -> bool:
    """Whether this is a chat message in the one form, so that there is nothing to read."""
    role = message.get("role")
    if role not in _PLAIN_ROLES or not _NOT_PLAIN.isdisjoint(message):
        return False
    content, calls = message.get("content"), message.get("tool_calls")
    if content is not None and not isinstance(content, str) and not _plain_parts(content):
        return False
    if role == "tool":
        return calls is None and isinstance(message.get("tool_call_id"), str) and message["tool_call_id"] != ""
    return calls is None or (isinstance(calls, list) and all(map(_plain_call, cast("list[object]", calls))))


def can_be_read(value: object) -> bool:
    """Whether this is a message or an item in one of the known shapes."""
    if not isinstance(value, Mapping):
        return False
    fields = unwrapped(cast("Fields", value))
    kind = kind_of(fields)
    return role_of(fields) is not None or kind in SILENT or is_event(kind) or is_call(fields) or is_result(fields)


def items_of(answer: Fields) -> list[Fields] | None:
    """The messages or items in a provider's whole answer, such as ``choices`` or ``output``; None for other values."""
    if "role" in answer:
        return None
    choices, candidates = mappings(answer.get("choices")), mappings(answer.get("candidates"))
    if choices:
        message = mapping(min(choices, key=_place).get("message"))
        return None if message is None else [{"role": "assistant", **message}]
    if candidates:
        content = mapping(min(candidates, key=_place).get("content"))
        return None if content is None else [{"role": "model", **content}]
    output = mappings(answer.get("output"))
    return output if output and all(map(can_be_read, output)) else None


def broke_off(answer: Fields) -> bool:
    """Whether a provider's answer says that it ends with an error."""
    choices = mappings(answer.get("choices"))
    return bool(choices) and min(choices, key=_place).get("finish_reason") == "error"


def written_in(item: Fields) -> list[Written]:
    """What a message or an item says, in order. Empty for items that say nothing, such as the beginning of a step.

    Raises:
        ShapeError: it is no message, or a tool call or result in it lacks what makes it one.
    """
    fields = unwrapped(item)
    role, kind = role_of(fields), kind_of(fields)
    if role is None:
        speech = _Speech("assistant")
        if is_event(kind):
            for part in mappings(fields.get("content")):
                speech.add_tool({"type": "tool_result" if "execution" in kind else "tool_call", **part})
        elif not speech.add_tool(fields) and kind not in SILENT:
            found = f"; found {fields['role']!r}" if isinstance(fields.get("role"), str) else ""
            raise ShapeError(f"a chat message needs a 'role': user, assistant, tool or system{found}")
        return speech.finish()
    parts = parts_in(fields)
    if role == "tool" and (results := mappings(fields.get("tool_results"))):
        return [result_in(snaked(item)) for item in results]
    if role == "tool" and not any(is_result(mapping(part) or {}) for part in parts):
        return [result_in(fields)]
    speech = _Speech(role, word(fields.get("name")))
    for invocation in mappings(fields.get("tool_invocations")):  # what was said follows from what they gave
        speech.add_tool({"type": "tool_invocation", **invocation})
    for part in parts:
        speech.add(part)
    speech.add_words_beside(fields)
    if role == "assistant":
        speech.add_calls(calls_in(fields, found=bool(speech.known)))
    content = "" if fields.get("content") == "" else None
    return speech.finish() or [WrittenMessage(role=role, content=content, name=speech.name)]


class ShapeReader:
    """Makes chat messages of items, one after the other.

    A call without an id is given one that follows from its name and arguments, so that it is the same in each run. A
    result without an id belongs to the oldest open call, of that name if the result has one. A result with a name whose
    call is nowhere is given one: a tool that answers was called, whether or not that was written down.

    Attributes:
        earlier: gives the messages before these, which may hold the call of a result.
    """

    def __init__(self) -> None:
        self.earlier: Callable[[], Iterable[Message]] | None = None
        self._used: set[str] = set()
        self._called: set[tuple[str, str]] = set()
        self._made: Counter[str] = Counter()
        self._open = _OpenCalls()

    def read(self, item: Fields) -> list[Message]:
        """The chat messages in one item. One that is plain already is returned as it is.

        Raises:
            ShapeError: as for :func:`written_in`.
        """
        if is_plain(item):
            message = cast("Message", item)
            for call in message.get("tool_calls") or ():
                self._remember(call["id"], call["function"]["name"])
            if message["role"] != "tool":
                return [message]
            found = self._missing_call(call_id := message.get("tool_call_id"), word(item.get("name")))
            self._claim(call_id, None)
            return [*found, message]
        found: list[Message] = []
        for piece in written_in(item):
            found.extend(self._results(piece) if isinstance(piece, WrittenResult) else [self._message(piece)])
        return found

    def _message(self, piece: WrittenMessage) -> Message:
        message: Message = {"role": piece.role, "content": piece.content}
        if piece.calls:
            message["tool_calls"] = [
                tool_call(call.name, call.arguments if isinstance(call.arguments, str) else {**call.arguments}, id)
                for call, id in ((call, call.id or self._made_id(call)) for call in piece.calls)
            ]
            for call in message["tool_calls"]:
                self._remember(call["id"], call["function"]["name"])
        if piece.name:
            message["name"] = piece.name
        return message

    def _results(self, piece: WrittenResult) -> list[Message]:
        found = self._missing_call(piece.id, piece.name)
        call_id = self._claim(piece.id, piece.name)
        message: Message = {"role": "tool", "tool_call_id": call_id or "", "content": piece.told}
        if piece.name:
            message["name"] = piece.name
        return [*found, message]

    def _missing_call(self, call_id: str | None, name: str | None) -> list[Message]:
        """The call that a result with a name shows, if it is nowhere: neither here nor in the messages before."""
        if not name or (call_id is not None and (call_id, name) in self._called):
            return []
        if self._open.oldest(call_id, name) is not None:
            return []
        if call_id is not None and self._was_called(call_id, name):
            return []
        call = WrittenCall(name=name, arguments={}, id=call_id)
        return [self._message(WrittenMessage(role="assistant", calls=(call,)))]

    def _was_called(self, call_id: str, name: str) -> bool:
        """Whether an earlier call with that id waits for its result, or is of that name. Agents use an id again."""
        waits = False
        for message in self.earlier() if self.earlier is not None else ():
            for call in message.get("tool_calls") or ():
                if call["id"] == call_id:
                    if call["function"]["name"] == name:
                        return True
                    waits = True
            if message["role"] == "tool" and message.get("tool_call_id") == call_id:
                waits = False
        return waits

    def _made_id(self, call: WrittenCall) -> str:
        digest = blake2b(repr((call.name, call.arguments)).encode("utf-8", "replace"), digest_size=4).hexdigest()
        while True:
            number = self._made[digest] = self._made[digest] + 1
            made = f"call_{digest}_{number}" if number > 1 else f"call_{digest}"
            if made not in self._used:
                self._used.add(made)
                return made

    def _remember(self, call_id: str, name: str) -> None:
        self._used.add(call_id)
        self._called.add((call_id, name))
        self._open.add(call_id, name)

    def _claim(self, call_id: str | None, name: str | None) -> str | None:
        """The id of the open call that this answers; the given one if there is none."""
        place = self._open.oldest(call_id, name)
        return call_id if place is None else self._open.close(place)


class _OpenCalls:
    """Calls that wait for their results, found by id and by name without a search: a server may write thousands."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}
        self._places: dict[tuple[str, str | None], deque[int]] = {}
        self._count = 0

    def add(self, call_id: str, name: str) -> None:
        self._count += 1
        self._ids[self._count] = call_id
        for key in (("id", call_id), ("name", name), ("name", None)):
            self._places.setdefault(key, deque()).append(self._count)

    def oldest(self, call_id: str | None, name: str | None) -> int | None:
        """The place of the oldest call with that id; without an id, of that name; without a name, of any."""
        places = self._places.get(("id", call_id) if call_id else ("name", name), deque[int]())
        while places and places[0] not in self._ids:
            places.popleft()
        return places[0] if places else None

    def close(self, place: int) -> str:
        """Take a call out. Returns its id."""
        return self._ids.pop(place)


def chat_messages(items: Iterable[Fields]) -> list[Message]:
    """The chat messages that the messages or items of one conversation or answer come to.

    Raises:
        ShapeError: as for :func:`written_in`.
    """
    reader = ShapeReader()
    return [message for item in items for message in reader.read(item)]


class _Speech:
    """What one item says so far: words and calls, until the result of a tool comes, which stands alone."""

    def __init__(self, role: str, name: str | None = None) -> None:
        self.role = role
        self.name = name if role != "tool" else None
        self.written: list[Written] = []
        self.known: set[str] = set()
        self._parts: list[ContentPart] = []
        self._calls: list[WrittenCall] = []

    def add(self, part: JsonValue) -> None:
        """A part of a message: words, media, a tool call or a result."""
        if part is None:
            return
        if isinstance(part, str):
            self._parts.append({"type": "text", "text": part})
            return
        if not isinstance(part, Mapping):
            raise ShapeError(f"a part of its 'content' is a {type(part).__name__}; expected text or a mapping")
        fields = snaked(cast("Fields", part))
        kind = kind_of(fields)
        if kind in {"user_prompt", "system_prompt"}:
            self._end_message()
            for inner in parts_in(fields):
                self.add(inner)
            self._end_message(kind.partition("_")[0])
        elif kind != "step_start" and not self.add_tool(fields):
            self._parts.extend(content_parts(cast("Fields", part), fields, kind))

    def add_tool(self, fields: Fields) -> bool:
        """A tool call or the result of one; False if it is neither."""
        fields = snaked(fields)
        if is_result(fields):
            self._end_message()
            self._add_result(result_in(inner_of(fields)))
            return True
        if not is_call(fields):
            return False
        inner = inner_of(fields)
        call = call_in(inner, name_from_type(fields))
        self.add_calls([call])
        if result := result_beside(inner, call):
            self._end_message()
            self._add_result(result)
        return True

    def add_calls(self, calls: Iterable[WrittenCall]) -> None:
        """Tool calls. Some systems write the same call in two places."""
        for call in calls:
            if call.id is None or call.id not in self.known:
                self._calls.append(call)
                self.known.add(call.id or "")

    def add_words_beside(self, fields: Fields) -> None:
        """A refusal, or the transcript of a spoken answer, next to the content."""
        audio = fields.get("audio")
        spoken = cast("Fields", audio).get("transcript") if isinstance(audio, Mapping) else None
        said = [part.get("text", "") for part in self._parts]
        for text in (fields.get("refusal"), spoken, fields.get("transcript"), fields.get("tool_plan")):
            if isinstance(text, str) and text and text not in said:
                self._parts.append({"type": "text", "text": text})
                said.append(text)

    def finish(self) -> list[Written]:
        """Everything in order."""
        self._end_message()
        return self.written

    def _add_result(self, result: WrittenResult) -> None:
        ids = (item.id for item in self.written if isinstance(item, WrittenResult))
        if result.id is None or result.id not in ids:
            self.written.append(result)

    def _end_message(self, role: str | None = None) -> None:
        if not self._parts and not self._calls:
            return
        role = role or ("assistant" if self._calls or self.role == "tool" else self.role)
        plain = len(self._parts) == 1 and self._parts[0]["type"] == "text"
        content: Content = self._parts[0].get("text", "") if plain else (self._parts or None)
        self.written.append(WrittenMessage(role=role, content=content, calls=tuple(self._calls), name=self.name))
        self._parts, self._calls = [], []


def _place(choice: Fields) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _plain_parts(content: JsonValue) -> bool:
    return isinstance(content, list) and all(
        isinstance(part, dict) and cast("Fields", part).get("type") in _PLAIN_PARTS and "transcript" not in part
        for part in cast("list[object]", content)
    )


def _plain_call(call: object) -> bool:
    if not isinstance(call, dict) or not isinstance(cast("Fields", call).get("id"), str):
        return False
    function = cast("Fields", call).get("function")
    return (
        isinstance(function, dict)
        and isinstance(cast("Fields", function).get("name"), str)
        and isinstance(cast("Fields", function).get("arguments"), str)
    )
