"""Recordings of PromptKit: sessions (one JSON file, or events line by line), results of runs, transcripts in YAML."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import MessageFacts, RecordingBuilder, recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

SESSION = "session"
ARENA = "arena_output"
TRANSCRIPT = "transcript"

_TRANSCRIPT_FIELDS = ("session_id", "provider", "provider_id", "judge_targets")
_MESSAGE_EVENTS = ("message", "message.created")


def is_session(document: Document) -> bool:
    """``{metadata, events: […]}``, or lines of ``{seq, event: {…}}``."""
    if document.rows is not None:
        return isinstance(document.first.at("event").at("type").value, str)
    events = document.root.at("events")
    return document.root.has("events") and all(isinstance(item.at("type").value, str) for item in events.items[:3])


def read_session(document: Document) -> list[Recording]:
    """The conversation that a session recorded."""
    if document.rows is not None:
        events = [row.at("event") for row in document.rows]
        return [_session(document, events[0], events)]
    return [_session(document, document.root.at("metadata"), document.root.at("events").each("a list of events"))]


def _session(document: Document, about: Node, events: list[Node]) -> Recording:
    builder = _builder(document.root, about)
    for node, spoken in _messages(events, builder):
        chat.add(builder, node, spoken)
    return builder.finish(document.path, SESSION, **_facts(about))


def _messages(events: list[Node], builder: RecordingBuilder) -> list[tuple[Node, MessageFacts]]:
    """The messages, each once. Later releases write the whole history again with each turn; indices tell them apart."""
    found: dict[int | str, tuple[Node, MessageFacts]] = {}
    for number, event in enumerate(events):
        kind = event.at("type").text("the type of an event")
        data = event.at("message", "data")
        if kind == "conversation.started":
            builder.prompt(data.at("SystemPrompt", "system_prompt").word() or "")
        elif kind in _MESSAGE_EVENTS:
            index = data.at("index", "Index").number()
            key = f"event {number}" if index is None else int(index)
            if key not in found:
                found[key] = (data, _spoken(event, data))
        elif kind == "message.updated":
            _update(found, data)
    return list(found.values())


def _update(found: dict[int | str, tuple[Node, MessageFacts]], data: Node) -> None:
    """What a message took, told after the message itself."""
    index = data.at("index", "Index").number()
    known = found.get(int(index)) if index is not None else None
    if index is None or known is None:
        return
    node, spoken = known
    told = MessageFacts(
        at=spoken.at,
        seconds=data.at("LatencyMs", "latency_ms").amount(0.001) or spoken.seconds,
        usage=chat.usage_of(data) or spoken.usage,
        cost=data.at("TotalCost", "total_cost").amount() or spoken.cost,
    )
    found[int(index)] = (node, told)


def _spoken(event: Node, message: Node) -> MessageFacts:
    own = chat.spoken_of(message)
    if own.at is not None:
        return own
    at = event.at("timestamp").moment()
    return MessageFacts(at=at, seconds=own.seconds, usage=own.usage, cost=own.cost, model=own.model)


def is_arena(document: Document) -> bool:
    """A result with ``Messages``, or ``{scenario_id, turns: [{user_message, response}]}``."""
    return any(isinstance(node.at("Messages").value, list) or _has_turns(node) for node in document.samples)


def _has_turns(node: Node) -> bool:
    turns = node.at("turns").items
    return bool(turns) and all(turn.has("user_message") or turn.has("response") for turn in turns)


def read_arena(document: Document) -> list[Recording]:
    """The conversations of results."""
    return recordings_of(document, ARENA, lambda node, index: _arena(document, node, index))


def _arena(document: Document, node: Node, index: int) -> Recording:
    builder = _builder(node, node)
    if node.at("Messages").value is not None:
        for message in node.at("Messages").each("a list of messages"):
            chat.add(builder, message)
    else:
        for turn in node.at("turns").each("a list of turns"):
            _add_turn(builder, turn)
    facts = _facts(node)
    if error := node.at("Error").word():
        facts["metadata"]["error"] = error
    return builder.finish(document.path, ARENA, index=index, **facts)


def _add_turn(builder: RecordingBuilder, turn: Node) -> None:
    at = turn.at("timestamp").moment()
    said = turn.at("user_message")
    if isinstance(said.value, str):
        builder.say_as_user(said.value, MessageFacts(at=at))
    elif said.value is not None:
        chat.add(builder, said)
    response = turn.at("response")
    answer = response.at("message") if isinstance(response.value, dict) else response
    if isinstance(answer.value, str):
        builder.say_as_agent(answer.value, chat.spoken_of(response))
    elif answer.value is not None:
        own, around = chat.spoken_of(answer), chat.spoken_of(response)
        told = MessageFacts(
            at=own.at,
            seconds=own.seconds or around.seconds,
            usage=own.usage or around.usage,
            cost=around.cost if own.cost is None else own.cost,
            model=own.model,
        )
        chat.add(builder, answer, told)
    for result in turn.at("tool_results").each_or_none("a list of tool results"):
        chat.add_result(builder, result, MessageFacts())


def is_transcript(document: Document) -> bool:
    """``{metadata, messages: […]}`` in YAML; in JSON if the metadata are those of a transcript."""
    about = document.root.at("metadata")
    written = document.path.suffix.lower() in {".yaml", ".yml"} or any(map(about.has, _TRANSCRIPT_FIELDS))
    return written and document.root.has("messages")


def read_transcript(document: Document) -> list[Recording]:
    """The conversation that somebody wrote down."""
    about = document.root.at("metadata")
    builder = _builder(document.root, about)
    for message in document.root.at("messages").each("a list of messages"):
        chat.add(builder, message)
    return [builder.finish(document.path, TRANSCRIPT, **_facts(about))]


def _builder(place: Node, about: Node) -> RecordingBuilder:
    inner = about.at("metadata")
    agent = about.at("provider_id", "provider", "ProviderID").word() or inner.at("provider_id", "provider").word()
    return RecordingBuilder(
        place=place, agent=agent or "agent", model=about.at("model").word() or inner.at("model").word()
    )


def _facts(about: Node) -> dict[str, Any]:
    inner = about.at("metadata")
    known = {
        "scenario": about.at("scenario_id", "ScenarioID").word(),
        "region": about.at("region", "Region").word(),
        "conversation_id": about.at("conversation_id").word(),
    }
    tags = about.at("tags").items or inner.at("tags").items
    return {
        "session_id": about.at("session_id", "RunID", "run_id").word() or inner.at("session_id").word(),
        "description": about.at("description").word() or "",
        "tags": tuple(tag for item in tags if (tag := item.word())),
        "metadata": {key: value for key, value in known.items() if value is not None},
    }


SESSIONS = RecordingFormat(
    name=SESSION,
    about="a session of PromptKit: {metadata, events} or lines of {seq, event}",
    matches=is_session,
    read=read_session,
    rank=30,
    reports_tool_calls=True,
    aliases=("recording", "session_recording"),
)


ARENAS = RecordingFormat(
    name=ARENA,
    about="a result of a PromptKit arena: {Messages} or {turns}",
    matches=is_arena,
    read=read_arena,
    rank=40,
    reports_tool_calls=True,
    aliases=("arena", "scenario_output"),
)


TRANSCRIPTS = RecordingFormat(
    name=TRANSCRIPT,
    about="a transcript in YAML: {metadata, messages}",
    matches=is_transcript,
    read=read_transcript,
    rank=80,
    aliases=("yaml",),
)
