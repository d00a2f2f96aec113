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
    events = [node, *node.at("events").items[:10]]
    return any(item.at("event").value in ("user", "bot", "action", "slot", "session_started") for item in events)


def _is_dialogflow(node: Node) -> bool:
    interactions = node.at("interactions").items
    return node.has("queryResult") or any(
        item.at("response").has("queryResult") or item.at("request").has("queryInput") for item in interactions[:5]
    )


def _is_bot_framework(node: Node) -> bool:
    return any(item.at("from").has("role") or item.has("recipient") for item in node.at("activities").items[:10])


def _is_slack(node: Node) -> bool:
    return node.has("ts", "text") and (node.has("user") or node.has("bot_id"))


def _is_zendesk(node: Node) -> bool:
    return node.has("ticket", "comments") or any(
        item.has("author_id", "body") for item in node.at("comments").items[:10]
    )


def _is_botpress(node: Node) -> bool:
    return node.has("conversationId", "direction", "payload")


def _is_voiceflow(node: Node) -> bool:
    return node.at("type").value == "request" and node.at("payload").has("type", "payload")


def _is_chainlit(node: Node) -> bool:
    return any(item.at("type").value in ("user_message", "assistant_message") for item in node.at("steps").items[:10])


def _is_twilio(node: Node) -> bool:
    return any(
        item.has("author", "body") and str(item.at("sid").value or "").startswith("IM")
        for item in [node, *node.at("messages").items[:10]]
    )


def _is_elevenlabs(node: Node) -> bool:
    return any(item.has("role") and item.has("time_in_call_secs") for item in node.at("transcript").items[:10])


def _is_realtime(node: Node) -> bool:
    kind = node.at("type").value
    return isinstance(kind, str) and kind.startswith(("session.", "conversation.item.", "input_audio_buffer."))


def _is_open_hands(node: Node) -> bool:
    return node.has("source") and (node.has("action") or node.has("observation"))


def _is_spoken(node: Node) -> bool:
    people = ("sender", "speaker", "author", "from", "participant")
    turns = [node, *node.items[:5], *(item for name in _TURNS for item in node.at(name).items[:5])]
    return any(
        isinstance(turn.at(*people).value, str)
        and isinstance(turn.at("text", "utterance", "message", "body").value, str)
        for turn in turns
    )


_TURNS = ("turns", "messages", "transcript", "transcripts", "dialogue", "conversation", "utterances")


def _is_promptfoo_table(node: Node) -> bool:
    return node.at("table").has("head", "body")


def _is_mlflow(node: Node) -> bool:
    return node.at("info").has("trace_id") and node.at("data").has("spans")


def _is_a2a(node: Node) -> bool:
    return node.at("kind").value == "task" and node.has("history")


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


_SPOKEN = (
    "a list of what people said, which Duologue does not read; rename the fields to role and content, with user or "
    "assistant as the role"
)


_SEGMENTS = (
    "a transcript of speech in segments, which Duologue does not read; write each segment as {role, content}, with "
    "user or assistant as the role of its speaker"
)


_RENAME = "rename the fields to input and output"


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
    (_is_dialogflow, f"a log of Dialogflow, which Duologue does not read; {_CONVERT}"),
    (_is_bot_framework, f"a transcript of the Bot Framework, which Duologue does not read; {_CONVERT}"),
    (_is_elevenlabs, f"a conversation of ElevenLabs, which Duologue does not read; {_CONVERT}"),
    (_has("conversation_parts"), f"a conversation of Intercom, which Duologue does not read; {_CONVERT}"),
    (_is_zendesk, f"a ticket of Zendesk, which Duologue does not read; {_CONVERT}"),
    (_is_botpress, f"messages of Botpress, which Duologue does not read; {_CONVERT}"),
    (_is_voiceflow, f"a transcript of Voiceflow, which Duologue does not read; {_CONVERT}"),
    (_is_chainlit, f"a thread of Chainlit, which Duologue does not read; {_CONVERT}"),
    (_is_twilio, f"messages of Twilio, which Duologue does not read; {_CONVERT}"),
    (_has("call_id", "transcripts"), f"a call of Bland, which Duologue does not read; {_CONVERT}"),
    (_is_slack, f"an export of Slack, which Duologue does not read; {_CONVERT}"),
    (_is_realtime, "a log of events of a Realtime API, which Duologue does not read; write its conversation items"),
    (_is_open_hands, f"a trajectory of OpenHands, which Duologue does not read; {_CONVERT}"),
    (_has("tasks_output", "raw"), f"the output of a CrewAI crew, which Duologue does not read; {_CONVERT}"),
    (_has("new_items"), "a run of the OpenAI Agents SDK; write the list that result.to_input_list() returns"),
    (_has("chat_history", "summary"), f"the result of an AutoGen chat, which Duologue does not read; {_CONVERT}"),
    (_is_promptfoo_table, "results of promptfoo in an old form; write them with a newer version of promptfoo"),
    (_is_mlflow, f"a trace of MLflow, which Duologue does not read; {_CONVERT}"),
    (_is_a2a, "a task of the A2A protocol, which Duologue does not read; write its history, a list of {role, parts}"),
    (_has("conversation_a", "conversation_b"), _TWO_ANSWERS),
    (_has("prompt", "completion"), f"a list of prompts and completions, which Duologue does not read; {_RENAME}"),
    (_has("prompt", "response"), f"a list of prompts and responses, which Duologue does not read; {_RENAME}"),
    (_has("cells", "nbformat"), f"a Jupyter notebook, which Duologue does not read; {_CONVERT}"),
    (_has("preferred_output", "non_preferred_output"), _TWO_ANSWERS),
    (_has("chosen", "rejected"), _TWO_ANSWERS),
    (_is_segmented, _SEGMENTS),
    (_has("question", "answer"), f"a list of questions and answers, which Duologue does not read; {_RENAME}"),
    (_is_spoken, _SPOKEN),
)
