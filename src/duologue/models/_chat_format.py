"""Requests and answers in the format of OpenAI's Chat Completions API.

Conversations are in that format already; what is left is to check what a model takes, to make JSON Schemas fit for
strict mode, and to read what comes back, which compatible servers fill in with more or less care.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from mimetypes import guess_extension
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, JsonValue

from duologue.config.json_text import json_value
from duologue.errors import ModelRejectedError
from duologue.frozen import frozen
from duologue.messages import (
    ContentPart,
    Message,
    StoredData,
    ToolCall,
    assistant_message,
    text_of,
    tool_call,
    tool_calls_of,
)
from duologue.models._strict_schema import strict_schema
from duologue.models.base import ModelRequest, ToolSpec

Json = dict[str, Any]


@frozen
class Dialect:
    """How a server's API differs from OpenAI's.

    Attributes:
        max_tokens: the field that bounds the answer. Servers other than OpenAI's own know ``max_tokens`` for sure.
        json_schema: whether the form of an answer can be given as a JSON Schema; otherwise it is asked for in the
            instructions, with the JSON mode switched on.
        strict_tools: whether tools may be marked as strict.
        seed: the field of the seed.
        call_ids: what the id of a tool call must look like; others are replaced by one that does. None: like anything.
    """

    max_tokens: str = "max_tokens"
    json_schema: bool = True
    strict_tools: bool = True
    seed: str = "seed"
    call_ids: re.Pattern[str] | None = None


def chat_body(model: str, request: ModelRequest, options: Mapping[str, Any], dialect: Dialect) -> Json:
    """The body of a request.

    Args:
        model: what the server calls it.
        request: what is asked.
        options: fields that go over as they are; those of the request come over them. ``stop_sequences``,
            ``openai_…`` and ``thinking`` are words of pydantic-ai that are understood as well.
        dialect: of the server.

    Raises:
        ModelRejectedError: a role or a kind of content that no provider takes.
    """
    body = _own_words(options, dialect)
    messages = checked_messages(request.messages)
    if dialect.call_ids:
        messages = [_with_ids(message, dialect.call_ids) for message in messages]
    given: Json = {
        "temperature": request.temperature,
        dialect.max_tokens: request.max_tokens,
        "stop": list(request.stop) or None,
        dialect.seed: request.seed,
    }
    body.update({name: value for name, value in given.items() if value is not None})
    if reasons(model, body.get("reasoning_effort")):
        # Reasoning models refuse sampling options; a default temperature must not keep them from being used.
        body.pop("temperature", None)
        body.pop("top_p", None)
    if request.tools:
        body["tools"] = [_tool(tool, dialect) for tool in request.tools]
        body["tool_choice"] = request.tool_choice
    if request.response_schema is not None:
        if dialect.json_schema:
            body["response_format"] = _form(request.response_schema, dialect)
        else:
            body["response_format"] = {"type": "json_object"}
            messages = _instructed(messages, request.response_schema)
    return {"model": model, "messages": messages, **body}


def _with_ids(message: Json, form: re.Pattern[str]) -> Json:
    """The message with ids of tool calls that look so; the same text always becomes the same id."""

    def fit(text: str) -> str:
        return text if form.fullmatch(text) else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:9]

    if message["role"] == "tool":
        return {**message, "tool_call_id": fit(message["tool_call_id"])}
    if "tool_calls" not in message:
        return message
    return {**message, "tool_calls": [{**call, "id": fit(call["id"])} for call in message["tool_calls"]]}


def reasons(model: str, effort: object = None) -> bool:
    """Whether that model of OpenAI's reasons before it answers, so that it refuses sampling options.

    Args:
        model: its name, also with the vendor before it.
        effort: the ``reasoning_effort`` that it is asked for, if any.
    """
    if effort == "none":
        return False
    name = model.rpartition("/")[2]
    if re.match(r"o\d", name):
        return True
    found = re.match(r"gpt-(\d+)(?:\.(\d+))?(-[a-z]+)?", name)
    if found is None or int(found[1]) < 5:
        return False
    version, kind = (int(found[1]), int(found[2] or 0)), found[3]
    if version == (5, 0) and kind == "-chat":
        return False
    if (5, 1) <= version <= (5, 4):
        # These answer at once unless they are asked to reason; some of their kinds always do.
        return effort is not None or kind in {"-pro", "-chat"} or (version == (5, 1) and kind == "-codex")
    return True


def _own_words(options: Mapping[str, Any], dialect: Dialect) -> Json:
    fields = dict(options)
    fields.update(cast("Json", fields.pop("extra_body", None) or {}))
    body = {name.removeprefix("openai_"): value for name, value in fields.items()}
    if "stop_sequences" in body:
        body["stop"] = body.pop("stop_sequences")
    if dialect.max_tokens != "max_tokens" and "max_tokens" in body:
        body[dialect.max_tokens] = body.pop("max_tokens")
    if isinstance(thinking := body.get("thinking"), bool | str):
        del body["thinking"]
        body.setdefault("reasoning_effort", {True: "medium", False: "none"}.get(cast("bool", thinking), thinking))
    return body


def _tool(tool: ToolSpec, dialect: Dialect) -> Json:
    strict = strict_schema(tool.parameters) if tool.strict and dialect.strict_tools else None
    function: Json = {
        "name": tool.name,
        "description": tool.description,
        "parameters": strict or {"type": "object", "properties": {}, **tool.parameters},
    }
    return {"type": "function", "function": {**function, **({"strict": True} if strict else {})}}


def _form(schema: Json, dialect: Dialect) -> Json:
    strict = strict_schema(schema) if dialect.strict_tools else None
    form = {"name": _identifier(schema), "schema": strict or schema}
    return {"type": "json_schema", "json_schema": {**form, **({"strict": True} if strict else {})}}


def _identifier(schema: Json) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title") or "")).strip("_")[:64] or "answer"


def _instructed(messages: list[Json], schema: Json) -> list[Json]:
    text = (
        "Answer with one JSON object and nothing else. It must follow this JSON Schema:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )
    if messages and messages[0]["role"] == "system":
        return [{**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


# Messages


def checked_messages(messages: Sequence[Message]) -> list[Json]:
    """The conversation as models take it: known roles and fields only.

    Of an assistant message only text and tool calls are sent; no provider takes back anything else.

    Raises:
        ModelRejectedError: a role or a kind of content that no provider takes.
    """
    return [sent for index, message in enumerate(messages) if (sent := _message(message, index)) is not None]


def _message(message: Message, index: int) -> Json | None:
    match message["role"]:
        case "system" | "developer":
            return {"role": "system", "content": text_of(message)}
        case "user":
            return {"role": "user", "content": _user_content(message, index)}
        case "assistant":
            return _assistant(message)
        case "tool":
            return {"role": "tool", "tool_call_id": message.get("tool_call_id", ""), "content": text_of(message)}
        case role:
            raise ModelRejectedError(
                f"message {index} has the role '{role}'; a model takes system, developer, user, assistant and tool"
            )


def _assistant(message: Message) -> Json | None:
    text, calls = text_of(message), [_call(call) for call in tool_calls_of(message)]
    if not text and not calls:
        return None
    return {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}


def _call(call: ToolCall) -> Json:
    function = call["function"]
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": function["name"], "arguments": function["arguments"] or "{}"},
    }


def _user_content(message: Message, index: int) -> str | list[Json]:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    return [_part(part, index) for part in content]


def _part(part: ContentPart, index: int) -> Json:
    kind = part["type"]
    reader = _PARTS.get(kind)
    if reader is None:
        raise ModelRejectedError(f"message {index} has content of the type '{kind}'; a model takes {', '.join(_PARTS)}")
    try:
        return {"type": kind, kind: reader(cast("Json", part))}
    except (KeyError, ValueError, TypeError) as error:
        raise ModelRejectedError(
            f"message {index} has content of the type '{kind}' that cannot be read: {error!r}"
        ) from error


def _image(part: Json) -> Json:
    image: Json = part.get("image_url") or {}
    url = str(image["url"])
    if url.startswith("data:"):
        data_uri(url)
    return {"url": url, **({"detail": image["detail"]} if "detail" in image else {})}


def _audio(part: Json) -> Json:
    audio: Json = part.get("input_audio") or {}
    data = audio["data"].base64() if isinstance(audio["data"], StoredData) else str(audio["data"])
    decoded(data)
    return {"data": data, "format": str(audio["format"])}


def _file(part: Json) -> Json:
    file: Json = part.get("file") or {}
    uri = str(file["file_data"])
    name = file.get("filename") or f"file{guess_extension(data_uri(uri)[0]) or ''}"
    return {"file_data": uri, "filename": str(name)}


_PARTS: dict[str, Callable[[Json], Any]] = {
    "text": lambda part: str(part["text"]),
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}


def data_uri(uri: str) -> tuple[str, bytes]:
    """The media type and the bytes of ``data:TYPE;base64,DATA``. Raises ValueError."""
    head, comma, data = uri.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    if not (comma and head.startswith("data:") and head.endswith(";base64") and media_type):
        raise ValueError("expected data:TYPE;base64,DATA")
    return media_type, decoded(data)


def decoded(data: str) -> bytes:
    """The bytes that a base64 text stands for. Raises ValueError."""
    if isinstance(data, StoredData):
        return data.load()
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


# Answers

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_MOST_TOKENS = 10**12
_THINKING = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _PromptDetails(_Wire):
    cached_tokens: int | None = None
    audio_tokens: int | None = None


class _CompletionDetails(_Wire):
    audio_tokens: int | None = None


class TokenUsage(_Wire):
    """Tokens as the server counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    @property
    def counts(self) -> bool:
        """Whether the server has counted both sides: no request is empty, so one of no tokens was not counted."""
        return bool(self.prompt_tokens) and self.completion_tokens is not None


class _Function(_Wire):
    name: str
    arguments: str | dict[str, JsonValue] | None = None


class _ToolCall(_Wire):
    id: str | None = None
    function: _Function


class _Said(_Wire):
    content: str | list[dict[str, JsonValue]] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            parts = (part.get("text") for part in self.content if part.get("type", "text") == "text")
            return "".join(part for part in parts if isinstance(part, str))
        text = self.content or ""
        return _THINKING.sub("", text) if "<think>" in text else text


class _Choice(_Wire):
    message: _Said
    finish_reason: str | None = None


class Completion(_Wire):
    """An answer, as far as it is used here."""

    choices: list[_Choice] | None = None
    usage: TokenUsage | None = None
    error: JsonValue = None

    def message(self, position: int) -> Message:
        """The assistant message: its text and its tool calls; thinking is left out.

        Args:
            position: of the message in its conversation, for the ids of tool calls that have none.
        """
        said = self._choice.message
        if said.refusal:
            return assistant_message(None)
        calls = [_read_call(call, f"call_{position}_{number}") for number, call in enumerate(said.tool_calls or (), 1)]
        return assistant_message(said.text if said.text or not calls else None, calls)

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in OpenAI's words; None for any other word."""
        choice = self._choice
        return "content_filter" if choice.message.refusal else _FINISH_REASONS.get(choice.finish_reason or "")

    @property
    def broken_off(self) -> bool:
        """Whether the provider says that it failed in the middle of its answer."""
        return self._choice.finish_reason == "error"

    @property
    def refusal(self) -> str | None:
        """The words with which the model declined."""
        return self._choice.message.refusal

    @property
    def _choice(self) -> _Choice:
        assert self.choices
        return self.choices[0]


def read_completion(text: str) -> Completion:
    """The answer in a body. One choice is asked for, so one is read.

    Raises:
        NoJsonError: the body is not JSON.
        ValidationError: it is no answer.
    """
    return completion_of(json_value(text, constants=True))


def completion_of(value: object) -> Completion:
    """The answer in a body that has been parsed. Raises ValidationError: it is no answer."""
    if isinstance(value, dict):
        fields = cast("Json", value)
        if isinstance(choices := fields.get("choices"), list):
            fields["choices"] = sorted(cast("list[Any]", choices), key=_index)[:1]
        usage = fields.get("usage")
        fields["usage"] = _usage_in(usage) if isinstance(usage, dict) else None
    return Completion.model_validate(value)


def _index(choice: Any) -> int:
    index = cast("Json", choice).get("index") if isinstance(choice, dict) else None
    return index if isinstance(index, int) else 0


def _usage_in(written: Any) -> Any:
    """The counts that are counts. What a server writes in their place (null, texts, floats) never spoils an answer."""
    if isinstance(written, dict):
        return {name: _usage_in(value) for name, value in cast("Json", written).items()}
    try:
        number = float(written) if isinstance(written, int | float | str) and not isinstance(written, bool) else -1.0
    except ValueError:
        return None
    return int(number) if 0 <= number < _MOST_TOKENS else None


def _read_call(call: _ToolCall, made_up: str) -> ToolCall:
    arguments = call.function.arguments
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
    return tool_call(call.function.name, text or "{}", call.id or made_up)
