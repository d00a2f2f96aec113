"""Chat messages in the OpenAI format: their types, and small pure helpers to read and build them.

A message is a plain dictionary, because that is what agents and providers exchange. Everything else is a typed value.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NotRequired, Required, Self, TypedDict, TypeGuard, cast

JsonValue = Any
"""Anything that JSON can hold."""


class FunctionCall(TypedDict):
    """The function half of a tool call. ``arguments`` is JSON text, as the provider sent it."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """One tool call of an assistant message."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class ContentPart(TypedDict, total=False):
    """A piece of a message with several kinds of content: text, image_url, input_audio, file."""

    type: Required[str]
    text: str
    image_url: dict[str, JsonValue]
    input_audio: dict[str, JsonValue]
    file: dict[str, JsonValue]


class Message(TypedDict, total=False):
    """One chat message."""

    role: Required[str]
    content: str | list[ContentPart] | None
    tool_calls: NotRequired[list[ToolCall]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]


def user_message(text: str) -> Message:
    """A message of the user."""
    return {"role": "user", "content": text}


def assistant_message(text: str | None, tool_calls: Sequence[ToolCall] = ()) -> Message:
    """A message of the agent, with its tool calls if it made any."""
    message: Message = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    return message


def system_message(text: str) -> Message:
    """An instruction."""
    return {"role": "system", "content": text}


def tool_message(call_id: str, content: str) -> Message:
    """What a tool answered to the call with that id."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def tool_call(name: str, arguments: dict[str, JsonValue] | str, call_id: str) -> ToolCall:
    """A tool call; a dictionary of arguments becomes JSON text."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


_AUDIO_FORMATS = {
    **dict.fromkeys(("mpeg", "mpeg3", "mpga", "x-mp3", "x-mpeg"), "mp3"),
    **dict.fromkeys(("x-wav", "wave", "vnd.wave"), "wav"),
    "x-flac": "flac",
    "x-m4a": "m4a",
}


def audio_format(mime_type: str) -> str:
    """The ``format`` of an ``input_audio`` part for a MIME type: ``audio/mpeg`` is ``mp3``."""
    name = mime_type.partition("/")[2].partition(";")[0].strip().lower()
    return _AUDIO_FORMATS.get(name, name)


def media_part(
    mime_type: str,
    *,
    data: bytes | str | None = None,
    url: str = "",
    kind: str | None = None,
    facts: Mapping[str, JsonValue] | None = None,
) -> ContentPart:
    """A picture, sound, film or file as a part of a message.

    Args:
        mime_type: such as ``image/png``.
        data: the bytes, or base64 text of them; None for what is only linked.
        url: the link, where there are no data.
        kind: ``image``, ``audio``, ``video`` or ``document``; by default what the MIME type says. Everything else is a
            ``file`` by default.
        facts: more fields of the inner object, such as ``detail``.
    """
    kind = kind or mime_type.partition("/")[0]
    inner: dict[str, JsonValue] = dict(facts or {})
    encoded = base64.b64encode(data).decode("ascii") if isinstance(data, bytes) else data
    if kind == "audio" and encoded is not None:
        sound = {"data": encoded, "format": audio_format(mime_type)}
        return {"type": "input_audio", "input_audio": {**sound, **inner}}
    name = f"{kind}_url" if kind in {"image", "audio", "video", "document"} else "file"
    link = url if encoded is None else f"data:{mime_type};base64,{encoded}"
    # audio_url, video_url and document_url are no part of OpenAI's own format.
    return cast("ContentPart", {"type": name, name: {"url": link, **inner}})


def text_of(message: Message) -> str:
    """The text of a message: its string, or its text parts joined by line breaks; '' if there is none."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content or []
    return "\n".join(part.get("text", "") for part in parts if part["type"] == "text")


def tool_calls_of(message: Message) -> list[ToolCall]:
    """The tool calls of a message; [] if it has none."""
    return message.get("tool_calls") or []


def arguments_of(call: ToolCall) -> dict[str, JsonValue]:
    """The arguments of a tool call as a dictionary; plain text or any other JSON value becomes ``input``.

    Custom tools of OpenAI take plain text, and models write broken JSON: neither is lost to those who look.
    """
    text = call["function"]["arguments"]
    try:
        value = mended(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        value = mended(text) if text.strip() else None
    if value is None:
        return {}
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else {"input": value}


def mended(value: Any) -> Any:
    """The value with a replacement character for each half of a character, which no file could hold."""
    if isinstance(value, str):
        return value if is_unicode(value) else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [mended(item) for item in cast("list[Any]", value)]
    return value


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold the text: no half of a character is in it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_plain_text(message: object) -> TypeGuard[Message]:
    """Whether this is a role and a text and nothing else, as nearly every message is: a copy of it shares nothing."""
    if type(message) is not dict or len(cast("dict[str, object]", message)) != 2:
        return False
    given = cast("dict[str, object]", message)
    role, content = given.get("role"), given.get("content")
    return type(role) is str and type(content) is str and is_unicode(content) and role.isascii()


class StoredData(str):
    """Base64 data of a message, kept in a store so that long conversations do not fill the memory.

    As text it names the data: ``sha256:…``. Only the package itself sees it: copies for others hold the data.

    Attributes:
        sha256: of the bytes, as 64 hexadecimal digits.
        size: how many bytes.
        mime_type: what they are.
        load: reads the bytes. Raises ArtifactError: they are missing or damaged.
    """

    __slots__ = ("load", "mime_type", "sha256", "size")

    sha256: str
    size: int
    mime_type: str
    load: Callable[[], bytes]

    def __new__(cls, sha256: str, size: int, mime_type: str, load: Callable[[], bytes]) -> Self:
        """Data that ``load`` reads."""
        made = super().__new__(cls, f"sha256:{sha256}")
        made.sha256, made.size, made.mime_type, made.load = sha256, size, mime_type, load
        return made

    def base64(self) -> str:
        """The data as base64 text."""
        return base64.b64encode(self.load()).decode("ascii")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (self.base64(),)


def stored_data(message: Mapping[str, object]) -> list[tuple[int, StoredData]]:
    """The sounds of a message that are kept in a store, each with the number of its part."""
    content = message.get("content")
    if type(content) is not list:
        return []
    found: list[tuple[int, StoredData]] = []
    for number, part in enumerate(cast("list[object]", content)):
        sound = cast("dict[str, object]", part).get("input_audio") if isinstance(part, dict) else None
        data = cast("dict[str, object]", sound).get("data") if isinstance(sound, dict) else None
        if isinstance(data, StoredData):
            found.append((number, data))
    return found


def with_data(message: Message, data: Iterable[tuple[int, str]]) -> Message:
    """Put data into the sounds of a message, which is changed and returned.

    Args:
        message: with a list of parts.
        data: the number of each part, and its data.
    """
    parts = cast("list[ContentPart]", message["content"]) if "content" in message else []
    for number, text in data:
        parts[number].setdefault("input_audio", {})["data"] = text
    return message


def copy_of(message: Message) -> Message:
    """A copy that shares nothing with the original which could be changed. Data that are kept in a store are read."""
    if len(message) == 2 and type(message.get("content")) is str:
        return message.copy()
    for value in message.values():
        if isinstance(value, (list, dict)):
            copied = cast("Message", json.loads(json.dumps(message)))
            return with_data(copied, [(number, data.base64()) for number, data in stored_data(message)])
    return message.copy()


class _LazySound(dict[str, JsonValue]):
    """The inner object of a sound whose data are read when they are asked for, and not held."""

    def __getitem__(self, key: str) -> JsonValue:
        value = super().__getitem__(key)
        return value.base64() if isinstance(value, StoredData) else value

    def get(self, key: str, default: JsonValue = None) -> JsonValue:
        value = super().get(key, default)
        return value.base64() if isinstance(value, StoredData) else value

    def __iter__(self) -> Iterator[str]:  # so that dict(sound) and {**sound} ask for the values
        return super().__iter__()

    def items(self) -> Any:
        return plain_dict(self).items()

    def values(self) -> Any:
        return plain_dict(self).values()

    def copy(self) -> dict[str, JsonValue]:
        return plain_dict(self)

    def __eq__(self, other: object) -> bool:
        return plain_dict(self) == (plain_dict(other) if isinstance(other, _LazySound) else other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return repr({name: super(_LazySound, self).__getitem__(name) for name in self})

    def __reduce__(self) -> tuple[type[dict[str, JsonValue]], tuple[dict[str, JsonValue]]]:
        return dict, (plain_dict(self),)


def plain_dict(sound: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A copy with the data of a sound."""
    return {name: sound[name] for name in sound}


def lazy_copy_of(message: Message) -> Message:
    """The same as :func:`copy_of`, but data that are kept in a store are read whenever somebody asks for them."""
    stored = stored_data(message)
    if not stored:
        return copy_of(message)
    copied = with_data(cast("Message", json.loads(json.dumps(message))), stored)
    parts = cast("list[ContentPart]", copied.get("content"))
    for number, _ in stored:
        parts[number]["input_audio"] = _LazySound(parts[number].get("input_audio", {}))
    return copied


def shown(message: Message) -> Message:
    """The message itself, for those who read it; one whose data are kept in a store as :func:`lazy_copy_of` it."""
    return lazy_copy_of(message) if stored_data(message) else message


def iter_tool_calls(messages: Iterable[Message]) -> Iterable[tuple[Message, ToolCall]]:
    """Every tool call of a conversation in order, with the message that made it."""
    for message in messages:
        for call in tool_calls_of(message):
            yield message, call


def tool_results(messages: Iterable[Message]) -> dict[str, str]:
    """What the tools answered, by tool call id."""
    return {
        call_id: text_of(message)
        for message in messages
        if message["role"] == "tool" and (call_id := message.get("tool_call_id"))
    }
