"""Files that hold no recording in a format that is read, but are known: what they are, and what to do with them."""

from __future__ import annotations

from collections.abc import Callable

from duologue.transcripts.documents import Document, Node

_CONVERT = "convert it to chat messages, as JSON lines of {messages: [{role, content}]}"


def unread_kind(document: Document) -> str | None:
    """What a file is that no format reads, and what to do with it; None for an unknown file."""
    first = document.first
    for matches, told in _KNOWN:
        if matches(document.root) or matches(first):
            return told
    if document.members:
        names = ", ".join(sorted(document.members)[:5])
        return f"a ZIP archive without a recording in a known format ({names}); unpack it and give the file itself"
    if document.root.file.endswith(".zip"):
        return "a ZIP archive without any JSON file; unpack it and give the file itself"
    return None


def _has(*names: str) -> Callable[[Node], bool]:
    return lambda node: node.has(*names)


def _is_rasa(node: Node) -> bool:
    return any(item.at("event").value in ("user", "bot", "action") for item in node.at("events").items[:10])


def _is_har(node: Node) -> bool:
    return node.at("log").has("entries")


def _is_jaeger(node: Node) -> bool:
    return node.has("traceID", "spans")


def _is_segmented(node: Node) -> bool:
    return bool(node.at("utterances").items or node.at("segments").items)


def _is_result_index(node: Node) -> bool:
    return node.has("suite", "plan", "runs", "totals")


_TWO_ANSWERS = (
    "data for preference training, with two answers for each question, which Duologue does not read; write the answer "
    "that is to be judged as {messages}"
)


_SEGMENTS = (
    "a transcript of speech in segments, which Duologue does not read; write each segment as {role, content}, with "
    "user or assistant as the role of its speaker"
)


_KNOWN: tuple[tuple[Callable[[Node], bool], str], ...] = (
    (
        _is_result_index,
        "the index of a results folder of Duologue; give its runs instead: runs/*.json or journals/*.jsonl there",
    ),
    (_has("suite", "plan", "id"), "the launch file of a results folder of Duologue; give runs/*.json instead"),
    (_has("apiVersion", "kind"), "a manifest of a suite, not a recording; run it with 'duologue run'"),
    (_is_har, f"a HAR file of a browser or proxy, which Duologue does not read; {_CONVERT}"),
    (_is_rasa, f"a tracker of Rasa, which Duologue does not read; {_CONVERT}"),
    (_is_jaeger, "a trace of Jaeger, which Duologue does not read; export the spans as OTLP JSON (resourceSpans)"),
    (_has("cells", "nbformat"), f"a Jupyter notebook, which Duologue does not read; {_CONVERT}"),
    (_has("preferred_output", "non_preferred_output"), _TWO_ANSWERS),
    (_has("chosen", "rejected"), _TWO_ANSWERS),
    (_is_segmented, _SEGMENTS),
    (
        _has("question", "answer"),
        "a list of questions and answers, which Duologue does not read; rename the fields to input and output",
    ),
)
