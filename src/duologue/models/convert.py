"""Chat messages in the OpenAI format to and from the message objects of pydantic-ai.

What a provider's own format looks like is pydantic-ai's business. This module imports it, so it is only loaded once a
real provider is asked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from duologue.errors import ModelRejectedError
from duologue.messages import ContentPart, Message, ToolCall, assistant_message, text_of, tool_call, tool_calls_of

_AUDIO_TYPES = {"mp3": "audio/mpeg", "pcm16": "audio/pcm", "g711_ulaw": "audio/basic"}


def to_provider(messages: Sequence[Message]) -> list[ModelMessage]:
    """The conversation as pydantic-ai wants it.

    Messages that are not the assistant's and follow one another become one request: some providers insist on taking
    turns. Of an assistant message only text and tool calls are sent; no provider takes back anything else.

    Raises:
        ModelRejectedError: a role or a kind of content that no provider would take.
    """
    tools = {call["id"]: call["function"]["name"] for message in messages for call in tool_calls_of(message)}
    converted: list[ModelMessage] = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            if parts := _response_parts(message):
                converted.append(ModelResponse(parts=parts))
            continue
        part = _request_part(message, index, tools)
        last = converted[-1] if converted else None
        if isinstance(last, ModelRequest):
            last.parts = [*last.parts, part]
        else:
            converted.append(ModelRequest(parts=[part]))
    return converted


def from_provider(response: ModelResponse) -> Message:
    """The answer as an assistant message: its text and its tool calls. Thinking is left out."""
    calls = [
        tool_call(part.tool_name, part.args_as_json_str(), part.tool_call_id)
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    return assistant_message(response.text if response.text or not calls else None, calls)


def _response_parts(message: Message) -> list[ModelResponsePart]:
    parts: list[ModelResponsePart] = []
    if text := text_of(message):
        parts.append(TextPart(content=text))
    parts.extend(_call_part(call) for call in tool_calls_of(message))
    return parts


def _call_part(call: ToolCall) -> ToolCallPart:
    function = call["function"]
    return ToolCallPart(tool_name=function["name"], args=function["arguments"] or "{}", tool_call_id=call["id"])


def _request_part(message: Message, index: int, tools: dict[str, str]) -> ModelRequestPart:
    match message["role"]:
        case "system" | "developer":
            return SystemPromptPart(content=text_of(message))
        case "user":
            return UserPromptPart(content=_user_content(message, index))
        case "tool":
            call_id = message.get("tool_call_id", "")
            name = tools.get(call_id) or message.get("name") or "tool"
            return ToolReturnPart(tool_name=name, content=text_of(message), tool_call_id=call_id)
        case role:
            raise ModelRejectedError(
                f"message {index} has the role '{role}'; a model takes system, developer, user, assistant and tool"
            )


def _user_content(message: Message, index: int) -> str | list[UserContent]:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    return [_user_part(part, index) for part in content]


def _user_part(part: ContentPart, index: int) -> UserContent:
    reader = _PART_READERS.get(part["type"])
    if reader is None:
        raise ModelRejectedError(
            f"message {index} has content of the type '{part['type']}'; a model takes {', '.join(_PART_READERS)}"
        )
    try:
        return reader(part)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelRejectedError(
            f"message {index} has content of the type '{part['type']}' that cannot be read: {error!r}"
        ) from error


def _text(part: ContentPart) -> UserContent:
    return part["text"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - a KeyError is reported by the caller


def _image(part: ContentPart) -> UserContent:
    image = part.get("image_url", {})
    url = str(image["url"])
    details: dict[str, Any] | None = {"detail": image["detail"]} if "detail" in image else None
    if not url.startswith("data:"):
        return ImageUrl(url=url, vendor_metadata=details)
    data = _data_uri(url)
    return BinaryContent(data=data.data, media_type=data.media_type, vendor_metadata=details)


def _audio(part: ContentPart) -> UserContent:
    audio = part.get("input_audio", {})
    kind = str(audio["format"])
    return BinaryContent(data=_decoded(str(audio["data"])), media_type=_AUDIO_TYPES.get(kind, f"audio/{kind}"))


def _file(part: ContentPart) -> UserContent:
    return _data_uri(str(part.get("file", {})["file_data"]))


def _data_uri(uri: str) -> BinaryContent:
    head, comma, data = uri.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    if not (comma and head.startswith("data:") and head.endswith(";base64") and media_type):
        raise ValueError("expected data:TYPE;base64,DATA")
    return BinaryContent(data=_decoded(data), media_type=media_type)


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


_PART_READERS: dict[str, Callable[[ContentPart], UserContent]] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}
