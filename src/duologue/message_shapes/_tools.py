"""Tool calls, results and parts of messages, as they are written in the fields of an item."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from duologue.message_shapes._fields import (
    ANSWERS,
    ARGUMENTS,
    Fields,
    ShapeError,
    WrittenCall,
    WrittenResult,
    first_of,
    id_of,
    inner_of,
    is_provider_call,
    kind_of,
    mapping,
    snake,
    snaked,
    word,
)
from duologue.messages import ContentPart, JsonValue, media_part

_TEXTS = frozenset("text input_text output_text refusal text_delta text_content".split())

_SOUNDS = frozenset("audio input_audio output_audio audio_content".split())

_MEDIA = _SOUNDS | frozenset(
    "image image_url input_image audio_url video video_url document_url file input_file media".split()
)

_WORDS = ("text", "message", "utterance", "body", "items")
"""Fields for the words in messages that have no ``content``."""

_NO_ARGUMENTS = frozenset("id type status call_id error role name created_by container_id".split()) | {*ANSWERS}

_THOUGHTS = re.compile(r"think|thought|reason|summary|plan")

_FAILED = frozenset("error failed failure output_error outcome_failed".split())

_TYPED_OUTPUTS = frozenset("text json content error-text error-json execution-denied".split())
"""Types of an ``output`` in the Vercel AI SDK."""
_FAILED_OUTPUTS = frozenset("error-text error-json execution-denied".split())
_A_CALL = "{'id': …, 'type': 'function', 'function': {'name': …, 'arguments': …}}"


def call_in(fields: Fields, name: str | None) -> WrittenCall:
    """The call in these fields. ``name``: what the type says about its name."""
    inner = mapping(fields.get("function")) or mapping(fields.get("custom")) or fields
    kind = kind_of(fields)
    arguments = first_of(inner, ARGUMENTS)
    if is_provider_call(kind):
        name = name or kind.removesuffix("_call")
        arguments = {key: value for key, value in fields.items() if key not in _NO_ARGUMENTS}
    elif kind == "executable_code":
        name, arguments = "code_execution", {key: fields[key] for key in ("language", "code") if key in fields}
    name = name or word(inner.get("name")) or word(inner.get("tool_name"))
    if not name:
        raise ShapeError("a tool call needs a name; found none")
    if arguments is not None and not isinstance(arguments, (str, Mapping)):
        found = type(arguments).__name__
        raise ShapeError(f"the arguments of the call of '{name}' are a {found}; expected a mapping, or JSON text")
    return WrittenCall(name=name, arguments=cast("Fields | str", arguments or {}), id=id_of(fields))


def calls_in(fields: Fields, *, found: bool) -> list[WrittenCall]:
    """The calls in the fields of a message. ``found``: some are known, and copies for old clients do not count."""
    calls = [_listed_call(item) for item in _list(fields, "tool_calls") + _list(fields, "invalid_tool_calls")]
    if (legacy := mapping(fields.get("function_call"))) is not None:
        calls.append(call_in(legacy, None))
    copied = mapping(fields.get("additional_kwargs"))
    if not calls and not found and copied:
        return calls_in({**copied, "additional_kwargs": None}, found=False)
    return calls


def _list(fields: Fields, name: str) -> list[object]:
    value: JsonValue = listed(fields.get(name) or [])
    if not isinstance(value, list):
        raise ShapeError(f"its '{name}' are a {type(fields[name]).__name__}; expected a list")
    return cast("list[object]", value)


def listed(value: JsonValue) -> JsonValue:
    """The list in what may be its text as JSON, or its only item, as databases keep them; anything else as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    only = mapping(value)
    return [value] if only is not None and not {"function", "name"}.isdisjoint(only) else value


def _listed_call(item: object) -> WrittenCall:
    try:
        if isinstance(item, Mapping):
            return call_in(inner_of(snaked(cast("Fields", item))), None)
    except ShapeError as error:
        if "needs a name" not in str(error):
            raise
    raise ShapeError(f"each of its 'tool_calls' needs {_A_CALL}")


def result_beside(fields: Fields, call: WrittenCall) -> WrittenResult | None:
    """The result that the call itself holds."""
    if first_of(fields, ANSWERS) is None and not (fields.get("error") or fields.get("error_text")):
        return None
    answer = {key: value for key, value in fields.items() if key not in {"name", "content", "type"}}
    found = result_in(answer)
    return WrittenResult(id=call.id, content=found.content, name=call.name, error=found.error)


def result_in(fields: Fields) -> WrittenResult:
    """What a tool answered, in these fields."""
    value = first_of(fields, ("content", *ANSWERS, "parts", "blocks", "text", "value", "message", "items"))
    typed = mapping(value)
    if typed is not None and isinstance(kind := typed.get("type"), str) and kind in _TYPED_OUTPUTS:
        fields = {**fields, "status": "error" if kind in _FAILED_OUTPUTS else fields.get("status")}
        value = first_of(typed, ("value", "reason", "text"))
    content = _result_content(value)
    failed = _failed(fields)
    told = failed or (content if isinstance(content, str) else "the tool failed") or "the tool failed"
    more = mapping(first_of(fields, ("additional_kwargs", "origin", "call"))) or {}
    named = first_of(fields, ("name", "tool_name")) or first_of(more, ("name", "tool_name"))
    return WrittenResult(
        id=id_of(fields) or id_of(more),
        content=content or (failed or ""),
        name=word(named),
        error=None if failed is None else told,
    )


def _failed(fields: Fields) -> str | None:
    """Why a tool says that it failed, '' if it does not say why; None if it did not fail."""
    for name in ("error", "error_text"):
        value = fields.get(name)
        if value is True:
            return ""
        if value:
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    state = fields.get("status") or fields.get("state") or fields.get("outcome")
    said = isinstance(state, str) and (snake(state) in _FAILED or state.startswith("error"))
    return "" if said or fields.get("is_error") is True or kind_of(fields) in {"retry_prompt", "tool_error"} else None


def _result_content(value: JsonValue) -> str | list[ContentPart]:
    """What a tool answered: text and parts as they are, data as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and value and all(map(_is_part, cast("list[object]", value))):
        speech: list[ContentPart] = []
        for item in cast("list[str | Fields]", value):
            if isinstance(item, str):
                speech.append({"type": "text", "text": item})
            elif "json" in item:
                speech.append({"type": "text", "text": json.dumps(item["json"], ensure_ascii=False, default=str)})
            else:
                speech.extend(map(_told_as_data, content_parts(item, fields := snaked(item), kind_of(fields))))
        if all(part["type"] == "text" for part in speech):
            return "\n".join(part.get("text", "") for part in speech)
        return speech
    if (only := mapping(value)) is not None and list(only) == ["result"] and isinstance(only["result"], str):
        return only["result"]
    return json.dumps(value, ensure_ascii=False, default=str)


def _told_as_data(part: ContentPart) -> ContentPart:
    """A part of a result; what is neither text nor media, such as a hit of a search, is data."""
    if part["type"] == "text" or part["type"] in _MEDIA:
        return part
    return {"type": "text", "text": json.dumps(part, ensure_ascii=False, default=str)}


def _is_part(item: object) -> bool:
    if not isinstance(item, Mapping):
        return isinstance(item, str)
    fields = snaked(cast("Fields", item))
    return bool(kind_of(fields)) or set(fields) in ({"text"}, {"json"})


def parts_in(fields: Fields) -> list[JsonValue]:
    """What a message consists of; a text is one part."""
    content: JsonValue = fields.get("content")
    if content is not None and not isinstance(content, (str, list, Mapping)):
        raise ShapeError(f"its 'content' is a {type(content).__name__}; expected text, a list of parts or None")
    parts = fields.get("parts") or fields.get("blocks")
    if content is None and not parts:
        content = first_of(fields, (name for name in _WORDS if isinstance(fields.get(name), (str, list))))
    if isinstance(parts, str) and content is None:
        content = parts
    if isinstance(parts, list) and parts:
        found = cast("list[JsonValue]", parts)
        speaks = any(isinstance(part, str) or "text" in (mapping(part) or {}) for part in found)
        return found if speaks or not isinstance(content, str) or not content else [content, *found]
    if isinstance(content, list):
        return cast("list[JsonValue]", content)
    return [content] if content else []


def content_parts(part: Fields, fields: Fields, kind: str) -> list[ContentPart]:
    """A part that is neither a call nor a result: text in one form, media of other systems in ours."""
    if kind in _TEXTS or (not kind and isinstance(fields.get("text"), str)):
        said = first_of(fields, ("text", "refusal", "content", "value"))
        text = word(said) or word((mapping(said) or {}).get("value")) or ""
        if fields.get("thought") is True:
            return [cast("ContentPart", {"type": "thinking", "thinking": text})]
        return [{"type": "text", "text": text}]
    if kind in _SOUNDS:
        return _sound_parts(part, fields, kind)
    media = _media_part(fields, kind)
    text = word(fields.get("text")) or word(fields.get(kind))
    if media is None and kind not in _MEDIA and not _THOUGHTS.search(kind) and text:
        return [{"type": "text", "text": text}]
    named = part.get("type")
    return [media or cast("ContentPart", {**part, "type": named if isinstance(named, str) else kind or "unknown"})]


def _media_part(fields: Fields, kind: str) -> ContentPart | None:
    """A picture or file as Gemini, Anthropic and the Responses API write them; None for other parts."""
    if (inline := mapping(fields.get("inline_data"))) is not None:
        return media_part(str(inline.get("mime_type", "")), data=str(inline.get("data", "")))
    if (linked := mapping(fields.get("file_data"))) is not None:
        return media_part(str(linked.get("mime_type", "")), url=str(linked.get("file_uri", "")))
    if kind == "input_image" and isinstance(fields.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": fields["image_url"]}}
    source = mapping(fields.get("source"))
    if source is not None and kind in {"image", "document"} and source.get("type") in {"base64", "url"}:
        mime = str(source.get("media_type") or f"{kind}/*")
        return media_part(mime, data=word(source.get("data")), url=word(source.get("url")) or "", kind=kind)
    return None


def _sound_parts(part: Fields, fields: Fields, kind: str) -> list[ContentPart]:
    """The transcript of what was said, and the sound if it is there."""
    held = mapping(fields.get(kind)) or {}
    text = word(fields.get("transcript")) or word(held.get("transcript")) or ""
    words: list[ContentPart] = [{"type": "text", "text": text}] if text else []
    return words if text and not held.get("data") else [*words, cast("ContentPart", dict(part))]
