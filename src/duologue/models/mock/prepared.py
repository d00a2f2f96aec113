"""An answer of a response file, made ready once: the chat message that it becomes, and the tokens that it counts."""

from __future__ import annotations

import mimetypes
from typing import Any, cast

from duologue.errors import (
    ModelAnswerError,
    ModelError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.frozen import frozen
from duologue.messages import ContentPart, Message, media_part, tool_call
from duologue.models.mock.shapes import AnswerShape, Fault, LineShape, LinkShape, PartShape
from duologue.models.tokens import estimate_tokens
from duologue.vocabulary import DoneReason

_FAULTS: dict[Fault, type[ModelError]] = {
    "timeout": ModelTimeoutError,
    "rate_limit": ModelRateLimitError,
    "unavailable": ModelUnavailableError,
    "rejected": ModelRejectedError,
    "answer": ModelAnswerError,
}
_DEFAULT_OUTPUT_TOKENS = 20
_PREFIX = {"image": "image", "audio": "audio", "video": "video", "document": "application"}


@frozen(slots=True)
class Prepared:
    """One answer.

    Attributes:
        text: of the answer; '' for none.
        parts: its pieces, where it has pictures, sounds or films.
        calls: id, name and arguments (JSON text) of its tool calls.
        tokens: that writing it counts.
        fault: what to raise in place of answering; None for nothing.
        done: why a simulated user has nothing more to say after this; None for one that goes on.
    """

    text: str
    parts: tuple[dict[str, Any], ...] = ()
    calls: tuple[tuple[str, str, str], ...] = ()
    tokens: int
    fault: Fault | None = None
    done: DoneReason | None = None

    def message(self) -> Message:
        """The chat message: a new one every time, for its reader to keep."""
        content: Any = [dict(part) for part in self.parts] if self.parts else self.text
        message: Message = {"role": "assistant", "content": content}
        if self.calls:
            if not content:
                message["content"] = None
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
                for call_id, name, arguments in self.calls
            ]
        return message

    def error(self, model: str) -> ModelError:
        """What to raise where there is a fault."""
        kind = self.fault or "answer"
        return _FAULTS[kind](self.text or f"{model} fails here: its response file says 'fault: {kind}'", model=model)


def prepared(shape: AnswerShape) -> Prepared:
    """A written answer, made ready."""
    parts = [_part(part) for part in shape.parts]
    if parts and shape.said:
        parts.insert(0, {"type": "text", "text": shape.said})
    text = shape.said or "\n".join(str(part["text"]) for part in parts if part["type"] == "text")
    calls = [
        tool_call(call.name, call.arguments, call.id or f"call_{index}_{call.name}")
        for index, call in enumerate(shape.tool_calls)
    ]
    return Prepared(
        text=text,
        parts=tuple(parts),
        calls=tuple((call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls),
        tokens=estimate_tokens(text) or _DEFAULT_OUTPUT_TOKENS,
        fault=shape.fault,
        done=shape.done if isinstance(shape, LineShape) else None,
    )


def plain_text(text: str) -> Prepared:
    """A text as an answer."""
    return Prepared(text=text, tokens=estimate_tokens(text) or _DEFAULT_OUTPUT_TOKENS)


def _part(shape: PartShape) -> dict[str, Any]:
    if shape.type == "text":
        return {"type": "text", "text": shape.text or ""}
    link = cast("LinkShape", getattr(shape, f"{shape.type}_url"))
    made = media_part("", url=link.url, kind=shape.type, facts={"detail": link.detail} if link.detail else None)
    if shape.type == "document":
        made = {"type": "file", "file": {"file_data": link.url}}
    facts = dict(shape.metadata)
    if mime := _mime_type(shape.type, link.url, facts):
        made = cast("ContentPart", {**made, "mime_type": mime})
    return {**made, **({"metadata": facts} if facts else {})}


def _mime_type(kind: str, url: str, facts: dict[str, Any]) -> str:
    written = facts.get("mime_type")
    if written:
        return str(written)
    if form := facts.get("format"):
        name = str(form).lower().lstrip(".")
        return name if "/" in name else f"{_PREFIX[kind]}/{'mpeg' if name == 'mp3' else name}"
    if url.startswith("data:"):
        return url[5:].split(",", 1)[0].split(";", 1)[0]
    return mimetypes.guess_type(url.split("?", 1)[0])[0] or ""
