"""Results of promptfoo: the JSON file of an evaluation, or its lines."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import MessageFacts, RecordingBuilder, empty, recordings_of
from duologue.transcripts.documents import Document, Node, with_remarks
from duologue.transcripts.formats import chat
from duologue.transcripts.formats.input_output import answered_in, asked_in
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "promptfoo"


def is_promptfoo(document: Document) -> bool:
    """``{results: {results: […]}}``, or results with a response and a success."""
    return _listed(document.root) is not None or any(map(_is_result, document.samples))


def _listed(root: Node) -> Node | None:
    found = root.at("results").at("results")
    return found if isinstance(found.value, list) else None


def _is_result(node: Node) -> bool:
    return node.has("success") and (node.has("promptIdx") or node.has("testIdx") or node.has("gradingResult"))


def read_promptfoo(document: Document) -> list[Recording]:
    """One recording for each result."""
    listed = _listed(document.root)
    entries = document.entries if listed is None else [with_remarks(node) for node in listed.items]
    return recordings_of(document, FORMAT, lambda node, index: _result(document, node, index), entries)


def _result(document: Document, node: Node, index: int) -> Recording:
    response = node.at("response")
    provider = (
        node.at("provider").at("label", "id").word() if node.at("provider").fields else node.at("provider").word()
    )
    builder = RecordingBuilder(place=node, agent=provider or "agent", model=provider)
    whole = next(
        (found for about in (response.at("metadata"), node.at("metadata")) if (found := _whole(about))), list[Node]()
    )
    answer = answered_in(response.at("output") if response.fields else response)
    if not whole and not answer:
        error = node.at("error").word() or response.at("error").word()
        raise empty(node, f"there is no answer to judge{f': {error}' if error else ''}")
    facts = MessageFacts(
        seconds=node.at("latencyMs").amount(0.001),
        usage=chat.usage_of(response.at("tokenUsage")),
        cost=node.at("cost").amount() if node.has("cost") else response.at("cost").amount(),
    )
    for message in whole or asked_in(_asked(node)):
        chat.add(builder, message)
    for message in [] if whole else answer:
        chat.add(builder, message, facts)
        facts = MessageFacts()
    if whole:
        builder.charge(facts.cost, provider or "unknown")
    metadata: dict[str, Any] = node.scalars("success", "score", "error", "testIdx", "promptIdx", "failureReason")
    name = node.at("testCase").at("description").word() or node.at("description").word()
    reason = node.at("gradingResult").at("reason").word()
    return builder.finish(
        document.path,
        FORMAT,
        index=index,
        metadata={**metadata, **({"reason": reason} if reason else {})},
        **({"name": name} if name else {}),
    )


def _whole(about: Node) -> list[Node]:
    """A conversation of several turns: its messages, or the rounds of an attack."""
    if messages := about.at("messages", "transcript").items:
        return messages
    return [
        turn.holding({"role": role, "content": turn.at(name).value})
        for turn in about.at("redteamHistory", "redteamTreeHistory").items
        for role, name in (("user", "prompt"), ("assistant", "output"))
        if isinstance(turn.at(name).value, str)
    ]


def _asked(node: Node) -> Node:
    prompt = node.at("prompt")
    if isinstance(prompt.value, str):
        return prompt
    return prompt.at("raw") if prompt.at("raw").value else node.at("vars")


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="results of promptfoo: {results: {results}}",
    matches=is_promptfoo,
    read=read_promptfoo,
    rank=37,
)
