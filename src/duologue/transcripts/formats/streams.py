"""Streamed answers, piece by piece: chunks of OpenAI's API, events of Anthropic's and of the Responses API, of Ollama.

What one answer consists of is put together. A request among the pieces belongs to the answer that follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from duologue.errors import SuiteError
from duologue.transcripts.builder import MessageFacts, unread
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.request_log import Request, RequestLog, no_answer, said
from duologue.transcripts.recording import Recording
from duologue.transcripts.scalars import event_lines

FORMAT = "openai_stream"

_CHUNK = "chat.completion.chunk"
_ANTHROPIC = (
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"),
    *("message_stop", "ping"),
)


def is_stream(document: Document) -> bool:
    """Pieces of streamed answers, one to a line."""
    return any(is_piece(node) for node in document.samples)


def is_piece(node: Node) -> bool:
    """Whether this is a piece of a streamed answer."""
    piece = _piece(node)
    return _is_openai(piece) or _is_anthropic(piece) or _is_responses(piece) or _is_ollama(piece)


def _is_openai(node: Node) -> bool:
    return node.at("object").value == _CHUNK


def _is_anthropic(node: Node) -> bool:
    return node.at("type").value in _ANTHROPIC


def _is_responses(node: Node) -> bool:
    kind = node.at("type").value
    return isinstance(kind, str) and kind.startswith("response.") and kind != "response.done"  # of the Realtime API


def _is_ollama(node: Node) -> bool:
    return node.at("done").value is False and (node.at("message").has("content") or node.has("response"))


def _piece(node: Node) -> Node:
    inner = node.at("chunk", "data", "event").opened()
    return inner if inner.fields else node


@dataclass(kw_only=True)
class _Answer:
    """An answer in the making."""

    pieces: list[Node] = field(default_factory=list[Node])
    asked: Sequence[Node] = ()
    wrong: SuiteError | None = None


def read_stream(document: Document) -> list[Recording]:
    """An answer for each completion, with its request where the file holds it."""
    log = RequestLog(document=document, format=FORMAT)
    for name, answer in _answers(document, log).items():
        place = answer.pieces[0]
        if answer.wrong is not None:
            log.found.append(unread(document, FORMAT, place, len(log.found), answer.wrong))
            continue
        usage = next((node for node in map(_usage, reversed(answer.pieces)) if node.fields), place.holding(None))
        model = next((word for node in answer.pieces if (word := _about(node, "model").word())), None)
        facts = MessageFacts(
            at=_about(place, "created", "created_at").moment(), usage=chat.usage_of(usage), model=model
        )
        messages = [*said(answer.asked), (place.holding(joined(answer.pieces)), facts)]
        log.add(Request(place=place, messages=messages, answers=1, model=model, name=name or None))
    return log.recordings()


def _answers(document: Document, log: RequestLog) -> dict[str, _Answer]:
    answers: dict[str, _Answer] = {}
    last, ended = "", False
    asked: list[Node] = []
    for entry in document.entries:
        if not is_piece(entry) and not _ends(_piece(entry)):
            asked = entry.at("messages", "input").items or asked
            if last in answers and not ended and not entry.at("messages", "input").items:
                broken = document.wrong_with(entry) or no_answer(entry, entry)
                answers[last].wrong = answers[last].wrong or broken  # it lacks a piece, or the stream failed
            elif not entry.at("messages", "input").items:
                broken = document.wrong_with(entry) or entry.wrong("a piece of a streamed answer")
                log.found.append(unread(document, FORMAT, entry, len(log.found), broken))
            continue
        node = _piece(entry)
        begins = node.at("type").value in ("message_start", "response.created") or (ended and not _is_openai(node))
        written = _id(node)
        if begins or (written and _is_openai(node)):
            last = written or f"answer {len(answers) + 1}"
        answer = answers.setdefault(last, _Answer())
        if not answer.pieces:
            answer.asked, asked = asked, []
        answer.pieces.append(node)
        ended = _ends(node)
    return answers


def _id(node: Node) -> str | None:
    """The id of an answer, which only its first piece may have."""
    return (node.at("message", "response").at("id") if not node.has("id") else node.at("id")).word()


def _ends(node: Node) -> bool:
    kind = node.at("type").value
    finished = any(item.at("finish_reason").value for item in node.at("choices").items)
    return (
        finished
        or kind in ("message_stop", "response.completed", "response.failed", "response.incomplete")
        or (node.at("done").value is True and node.has("model"))
    )


def _about(node: Node, *names: str) -> Node:
    found = node.at(*names)
    return found if found.value is not None else node.at("message", "response").at(*names)


def _usage(node: Node) -> Node:
    return node if node.has("eval_count") else _about(node, "usage")


def joined(pieces: Sequence[Node]) -> dict[str, Any]:
    """The message that the pieces of one answer make together."""
    if any(map(_is_anthropic, pieces)):
        return _of_anthropic(pieces)
    if any(map(_is_responses, pieces)):
        return _of_responses(pieces)
    if any(map(_is_ollama, pieces)):
        return _of_ollama(pieces)
    return _of_openai(pieces)


def answer_in_pieces(response: Node) -> dict[str, Any] | None:
    """The message of a response that was logged piece by piece: as a list of them, or as server-sent events."""
    pieces = response.items
    if isinstance(response.value, str):
        pieces = [response.holding(line).opened() for line in event_lines(response.value)]
    pieces = [_piece(node) for node in pieces]
    return joined(pieces) if any(map(is_piece, pieces)) else None


def _of_openai(chunks: Iterable[Node]) -> dict[str, Any]:
    words: dict[str, list[str]] = {"content": [], "refusal": [], "spoken": []}
    calls: dict[int, dict[str, Any]] = {}
    for node in chunks:
        choices = node.at("choices").items
        delta = next((item for item in choices if item.at("index").value in (None, 0)), node).at("delta")
        words["content"].append(delta.at("content").word() or "")
        words["refusal"].append(delta.at("refusal").word() or "")
        words["spoken"].append(delta.at("audio").at("transcript").word() or "")
        legacy = delta.at("function_call")
        items = [*delta.at("tool_calls").items, *([delta.holding({"function": legacy.value})] if legacy.fields else [])]
        for item in items:
            _add_call(calls, item)
    made = [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in calls.values()
    ]
    text = next((text for texts in words.values() if (text := "".join(texts))), None)
    return {"role": "assistant", "content": text, **({"tool_calls": made} if made else {})}


def _add_call(calls: dict[int, dict[str, Any]], item: Node) -> None:
    """A piece of a call. Some servers leave the index out: a new id is then a new call, and no id the last one."""
    place, written = item.at("index").number(), item.at("id").word()
    if place is None:
        known = next((number for number, call in calls.items() if call["id"] == written), None)
        place = known if known is not None else len(calls) if written or not calls else max(calls)
    call = calls.setdefault(int(place), {"id": None, "name": "", "arguments": ""})
    function = item.at("function")
    call["id"] = call["id"] or written
    call["name"] += function.at("name").word() or ""
    arguments = function.at("arguments")
    if arguments.fields:
        call["arguments"] = arguments.value
    elif isinstance(call["arguments"], str):
        call["arguments"] += arguments.word() or ""


def _of_anthropic(events: Sequence[Node]) -> dict[str, Any]:
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for event in events:
        index, delta = int(event.at("index").number() or 0), event.at("delta")
        if event.at("type").value == "content_block_start":
            blocks[index] = dict(event.at("content_block").fields)
        elif event.at("type").value == "content_block_delta":
            block = blocks.setdefault(index, {"type": "text", "text": ""})
            for name in ("text", "thinking"):
                if said := delta.at(name).word():
                    block[name] = f"{block.get(name) or ''}{said}"
            inputs[index] = inputs.get(index, "") + (delta.at("partial_json").word() or "")
    for index, written in inputs.items():
        if written and "input" in blocks[index]:
            blocks[index]["input"] = written
    return {"role": "assistant", "content": [block for _, block in sorted(blocks.items())]}


def _of_responses(events: Sequence[Node]) -> dict[str, Any]:
    """The items of the finished response; the words so far if it never came to that."""
    for event in reversed(events):
        if output := event.at("response").at("output").items:
            return {"role": "assistant", "content": [part for item in output for part in _parts(item)]}
    items = [event.at("item") for event in events if event.at("type").value == "response.output_item.done"]
    if items:
        return {"role": "assistant", "content": [part for item in items for part in _parts(item)]}
    kinds = ("response.output_text.delta", "response.refusal.delta", "response.output_audio_transcript.delta")
    texts = [event.at("delta").word() or "" for event in events if event.at("type").value in kinds]
    return {"role": "assistant", "content": "".join(texts) or None}


def _parts(item: Node) -> list[Any]:
    """An item of a response as parts of one message."""
    if item.at("type").value == "message":
        return [part.value for part in item.at("content").items]
    return [] if item.at("type").value == "reasoning" else [item.value]


def _of_ollama(pieces: Sequence[Node]) -> dict[str, Any]:
    texts = [node.at("message").at("content").word() or node.at("response").word() or "" for node in pieces]
    calls = [call.value for node in pieces for call in node.at("message").at("tool_calls").items]
    return {"role": "assistant", "content": "".join(texts) or None, **({"tool_calls": calls} if calls else {})}
