"""What an MCP server answers, as the result of a tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from duologue.agents.tools.answers import Result, ToolFault
from duologue.agents.tools.media import media_part
from duologue.messages import ContentPart, JsonValue


def result_of(answer: dict[str, Any], fault: Callable[[str], ToolFault]) -> Result:
    """The result in a server's answer.

    Args:
        answer: ``content``, ``structuredContent`` and ``isError`` of the protocol.
        fault: makes the error of a call that did not work.

    Raises:
        ToolFault: the tool says that it did not work.
    """
    content = cast("list[dict[str, Any]]", answer.get("content") or [])
    texts = [text for item in content if (text := _text(item)) is not None]
    parts = tuple(part for item in content if (part := _media(item)) is not None)
    if answer.get("isError"):
        raise fault(f"answered with an error: {' '.join(texts) or 'it does not say which'}")
    if not texts and "structuredContent" in answer:
        return Result(value=answer["structuredContent"], parts=parts)
    return Result(value=_value("\n".join(texts)), parts=parts)


def _value(text: str) -> JsonValue:
    """JSON if the text is an object or an array, else the text."""
    if text.lstrip()[:1] not in {"{", "["}:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(item: dict[str, Any]) -> str | None:
    if item.get("type") == "text":
        return str(item.get("text", ""))
    if item.get("type") == "resource":
        return item.get("resource", {}).get("text")
    return str(item.get("uri")) if item.get("type") == "resource_link" else None


def _media(item: dict[str, Any]) -> ContentPart | None:
    inner = item.get("resource", {}) if item.get("type") == "resource" else item
    data = inner.get("blob") or inner.get("data")
    return media_part(inner.get("mimeType") or "application/octet-stream", data) if isinstance(data, str) else None
