"""Requests and answers in the format of OpenAI's Responses API, from and into those of Chat Completions.

Conversations are in the format of Chat Completions, and answers are read by its reader; what is said otherwise here is
how messages, tools, the form of an answer and token counts are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from duologue.config.json_text import json_value
from duologue.errors import ModelRejectedError
from duologue.models._chat_format import Completion, Dialect, Json, chat_body, completion_of
from duologue.models.base import ModelRequest

_NOT_TAKEN = ("stop", "seed", "logprobs")
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}


def responses_body(model: str, request: ModelRequest, options: Mapping[str, Any], dialect: Dialect) -> Json:
    """The body of a request; see :func:`duologue.models._chat_format.chat_body`. Seeds and stop texts are left out.

    Raises:
        ModelRejectedError: a role or a kind of content that this API does not take.
    """
    chat = chat_body(model, request, options, dialect)
    body = {name: value for name, value in chat.items() if name not in _NOT_TAKEN}
    body["input"] = [
        item for index, message in enumerate(body.pop("messages")) for item in _items(cast("Json", message), index)
    ]
    if (most := body.pop(dialect.max_tokens, None)) is not None:
        body["max_output_tokens"] = most
    if tools := body.pop("tools", None):
        # Strict is the default here.
        body["tools"] = [{"type": "function", "strict": False, **tool["function"]} for tool in tools]
    reasoning = {name: body.pop(f"reasoning_{name}", None) for name in ("effort", "summary")}
    if given := {name: value for name, value in reasoning.items() if value is not None}:
        body["reasoning"] = {**given, **body.get("reasoning", {})}
    text: Json = {}
    if (verbosity := body.pop("verbosity", None) or body.pop("text_verbosity", None)) is not None:
        text["verbosity"] = verbosity
    if form := body.pop("response_format", None):
        text["format"] = {"type": "json_schema", **form["json_schema"]} if "json_schema" in form else form
    if text:
        body["text"] = {**body.get("text", {}), **text}
    return body


def _items(message: Json, index: int) -> list[Json]:
    if message["role"] == "tool":
        return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": message["content"]}]
    items: list[Json] = []
    content: str | list[Json] | None = message["content"]
    if content or message["role"] != "assistant":
        parts = content if isinstance(content, str) else [_part(part, index) for part in content or ()]
        items.append({"role": message["role"], "content": parts})
    for call in message.get("tool_calls", ()):
        function = call["function"]
        said = {"call_id": call["id"], "name": function["name"], "arguments": function["arguments"]}
        items.append({"type": "function_call", **said})
    return items


def _part(part: Json, index: int) -> Json:
    match part["type"]:
        case "text":
            return {"type": "input_text", "text": part["text"]}
        case "image_url":
            image = part["image_url"]
            return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail", "auto")}
        case "file":
            return {"type": "input_file", **part["file"]}
        case kind:
            raise ModelRejectedError(
                f"message {index} has content of the type '{kind}'; the Responses API takes text, image_url and file. "
                "Ask the model as 'openai/…', which uses Chat Completions"
            )


def read_response(text: str) -> Completion:
    """The answer in a body.

    Raises:
        NoJsonError: the body is not JSON.
        ValidationError: it is no answer.
    """
    value = json_value(text, constants=True)
    return completion_of(_completion(cast("Json", value)) if isinstance(value, dict) else value)


def _completion(body: Json) -> Json:
    output: Any = body.get("output")
    found: list[Json] = []
    if isinstance(output, list):
        found = [cast("Json", item) for item in cast("list[Any]", output) if isinstance(item, dict)]
    parts = [part for item in found if item.get("type") == "message" for part in _dicts(item.get("content"))]
    calls = [
        {"id": item.get("call_id"), "function": {"name": item.get("name"), "arguments": item.get("arguments")}}
        for item in found
        if item.get("type") == "function_call"
    ]
    message = {
        "content": "".join(str(part.get("text", "")) for part in parts if part.get("type") == "output_text"),
        "refusal": next((part.get("refusal") for part in parts if part.get("type") == "refusal"), None),
        "tool_calls": calls or None,
    }
    choice = {"message": message, "finish_reason": _finish(body, calls)}
    answered = bool(parts or calls or body.get("status") == "incomplete")
    return {
        "choices": [choice] if answered else [],
        "usage": _usage(body.get("usage")),
        "error": body.get("error") or (body.get("status") == "failed" or None),
    }


def _finish(body: Json, calls: list[Any]) -> str:
    if body.get("status") == "incomplete":
        details: Any = body.get("incomplete_details")
        reason = cast("Json", details).get("reason") if isinstance(details, dict) else None
        return _INCOMPLETE.get(str(reason), "length")
    return "tool_calls" if calls else "stop"


def _usage(written: Any) -> Any:
    if not isinstance(written, dict):
        return None
    usage = cast("Json", written)
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }


def _dicts(value: Any) -> list[Json]:
    return (
        [cast("Json", item) for item in cast("list[Any]", value) if isinstance(item, dict)]
        if isinstance(value, list)
        else []
    )
