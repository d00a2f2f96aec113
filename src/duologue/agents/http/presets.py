"""How a conversation is written into the request of an agent behind a URL, in the formats that agents speak.

Each :class:`Preset` knows its URL, its body and its threads: whether the whole conversation goes out each time, or only
what is new, under an id that the caller chooses or that the agent gave in its last answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, cast
from urllib.parse import SplitResult, quote
from uuid import NAMESPACE_URL, UUID, uuid5

from duologue.config.request_body import PLACEHOLDER, placeholders_in
from duologue.config.templates import as_text
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import ContentPart, Message, arguments_of, text_of, tool_calls_of
from duologue.vocabulary import HttpPreset

Body = dict[str, Any]
_NEW_LANGGRAPH_RUN = re.compile(r"/runs/(wait|stream)$")
_ANTHROPIC_TOKENS = 4096
"""``max_tokens`` of an Anthropic request, which has to have some; ``extra_body`` can say another number."""


@frozen
class Outgoing:
    """What one request has to say.

    Attributes:
        messages: to send: the whole conversation, or only what is new.
        thread: the id of the conversation; None where the agent will give one with its first answer.
        new_only: whether ``messages`` are only those that are new to the agent.
        model: the ``model`` of the request, or the assistant of LangGraph; None to leave it out.
        stream: whether the answer is asked for piece by piece.
    """

    messages: Sequence[Message]
    thread: str | None
    new_only: bool = False
    model: str | None = None
    stream: bool = False


@frozen
class Preset:
    """A format that agents speak.

    Attributes:
        name: of the preset.
        path: that completes a URL which is only a host, or ends with ``/v1``; '' leaves it as it is.
        body: of a request.
        send: what is sent unless the user says otherwise.
        headers: that the format demands.
        thread_from: path in the answer to the id under which the agent finds the conversation, with ``send: new``.
        plain: whether an answer may be of any form, or the whole conversation so far, of which the last turn counts.
    """

    name: HttpPreset
    body: Callable[[Outgoing], Body]
    path: str = ""
    send: Literal["history", "new"] = "history"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    thread_from: str | None = None
    plain: bool = False

    def completed(self, url: SplitResult) -> SplitResult:
        """The URL of the endpoint, where only its host was given."""
        path = url.path.rstrip("/")
        if self.path and path in {"", "/v1"}:
            return url._replace(path=self.path)
        return url

    def url(self, url: SplitResult, out: Outgoing) -> str:
        """The URL of one request."""
        if self.name == "langgraph":
            return _langgraph_url(url, out).geturl()
        address = url.geturl()
        return address if "{" not in address else _filled_url(address, out)


def _chat(out: Outgoing) -> Body:
    body: Body = {"messages": list(out.messages)}
    if out.thread is not None:
        body["user"] = out.thread
    if out.model is not None:
        body["model"] = out.model
    if out.stream:
        # Without the option, OpenAI's own streams do not say what they took.
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _responses(out: Outgoing) -> Body:
    body: Body = {"input": [item for message in out.messages for item in _response_items(message)]}
    if out.new_only and out.thread is not None:
        body["previous_response_id"] = out.thread
    if out.model is not None:
        body["model"] = out.model
    return body | ({"stream": True} if out.stream else {})


def _response_items(message: Message) -> list[Body]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        return [
            {"type": "function_call_output", "call_id": message.get("tool_call_id", ""), "output": text_of(message)}
        ]
    said: list[Body] = []
    if isinstance(content, str):
        said = [{"role": role, "content": content}] if content else []
    elif content:
        said = [{"role": role, "content": [_response_part(part, role) for part in content]}]
    calls = [
        {
            "type": "function_call",
            "call_id": call["id"],
            "name": call["function"]["name"],
            "arguments": call["function"]["arguments"],
        }
        for call in tool_calls_of(message)
    ]
    return [*said, *calls]


def _response_part(part: ContentPart, role: str) -> Body:
    kind = part["type"]
    if kind == "text":
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part.get("text", "")}
    if kind == "image_url":
        return {"type": "input_image", "image_url": part.get("image_url", {}).get("url", "")}
    return dict(part)


def _anthropic(out: Outgoing) -> Body:
    system = "\n\n".join(text_of(message) for message in out.messages if message["role"] in {"system", "developer"})
    turns: list[Body] = []
    for message in out.messages:
        if message["role"] in {"system", "developer"}:
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:  # roles have to take turns
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        if len(turn["content"]) == 1 and turn["content"][0]["type"] == "text":
            turn["content"] = turn["content"][0]["text"]
    body: Body = {"messages": turns, "max_tokens": _ANTHROPIC_TOKENS}
    if out.model is not None:
        body["model"] = out.model
    if system:
        body["system"] = system
    if out.thread is not None:
        body["metadata"] = {"user_id": out.thread}
    return body | ({"stream": True} if out.stream else {})


def _blocks(message: Message) -> list[Body]:
    content = message.get("content")
    if message["role"] == "tool":
        return [{"type": "tool_result", "tool_use_id": message.get("tool_call_id", ""), "content": text_of(message)}]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else (content or [])
    blocks = [_block(cast("ContentPart", part)) for part in parts if part["type"] != "text" or part.get("text")]
    calls = [
        {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": arguments_of(call)}
        for call in tool_calls_of(message)
    ]
    return [*blocks, *calls]


def _block(part: ContentPart) -> Body:
    if part["type"] != "image_url":
        return dict(part)
    url = str(part.get("image_url", {}).get("url", ""))
    if found := re.match(r"data:([^;,]+);base64,", url):
        data = url[found.end() :]
        return {"type": "image", "source": {"type": "base64", "media_type": found[1], "data": data}}
    return {"type": "image", "source": {"type": "url", "url": url}}


def _langgraph(out: Outgoing) -> Body:
    body: Body = {"assistant_id": out.model or "agent", "input": {"messages": list(out.messages)}}
    if out.new_only:
        body["if_not_exists"] = "create"
    if out.stream:
        body["stream_mode"] = ["messages-tuple", "updates"]
    return body


def _langgraph_url(url: SplitResult, out: Outgoing) -> SplitResult:
    base = _NEW_LANGGRAPH_RUN.sub("", url.path.rstrip("/"))
    thread = f"/threads/{_as_uuid(out.thread)}" if out.new_only and out.thread and "/threads/" not in base else ""
    return url._replace(path=f"{base}{thread}/runs/{'stream' if out.stream else 'wait'}")


def _as_uuid(thread: str) -> str:
    """LangGraph's ids are UUIDs; the same thread always has the same."""
    try:
        return str(UUID(thread))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"duologue:{thread}"))


def _filled_url(url: str, out: Outgoing) -> str:
    return PLACEHOLDER.sub(lambda found: quote(out.thread or "", safe="") if found[1] == "thread_id" else found[0], url)


# Custom bodies


class BodyTemplate:
    """A request body with placeholders.

    ``{{message}}`` is the text of what the user said last, ``{{messages}}`` the whole conversation as chat messages,
    ``{{history}}`` all of it but what the user said last, ``{{thread_id}}`` the id of the conversation. A text that is
    nothing but a placeholder becomes its value, such as a list of messages; within a longer text, the value is written
    as text. A field whose value is a thread id that is not known yet is left out.
    """

    def __init__(self, template: Mapping[str, Any]) -> None:
        """Check the placeholders. Raises ConfigurationError for one that there is not."""
        self._template = template
        try:
            self._takes_media = "messages" in placeholders_in(template)
        except ValueError as error:
            raise ConfigurationError(f"body must have {error}") from error

    def __call__(self, out: Outgoing) -> Body:
        """The body of one request."""
        newest = _newest(out.messages)
        if not self._takes_media:
            _refuse_media(newest)
        begin = len(out.messages) - len(newest)
        values: dict[str, object] = {
            "message": "\n".join(text_of(message) for message in newest if message["role"] == "user"),
            "messages": list(out.messages),
            "history": [dict(message) for message in out.messages[:begin]],
            "thread_id": out.thread,
        }
        return cast("Body", _filled(self._template, values))


def _newest(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages since the agent's last."""
    begin = next((place for place in range(len(messages), 0, -1) if messages[place - 1]["role"] != "user"), 0)
    return messages[begin:]


def _refuse_media(messages: Sequence[Message]) -> None:
    for message in messages:
        content = message.get("content")
        kinds = [part["type"] for part in content if part["type"] != "text"] if isinstance(content, list) else []
        if kinds:
            raise ConfigurationError(
                f"the user's message holds '{kinds[0]}', and the request has room for text only; write "
                "{{messages}} in its body to send messages whole"
            )


def _filled(value: object, values: Mapping[str, object]) -> object:
    if isinstance(value, Mapping):
        filled = ((key, _filled(item, values)) for key, item in cast("Mapping[str, object]", value).items())
        return {key: item for key, item in filled if item is not _UNSET}
    if isinstance(value, list):
        items = [_filled(item, values) for item in cast("list[object]", value)]
        return [item for item in items if item is not _UNSET]
    if not isinstance(value, str) or "{{" not in value:
        return value
    if only := PLACEHOLDER.fullmatch(value.strip()):
        found = values.get(only[1])
        return _UNSET if found is None else found
    return PLACEHOLDER.sub(lambda found: as_text(values.get(found[1]) or ""), value)


_UNSET = object()

MESSAGE_BODY: Mapping[str, Any] = {"message": "{{message}}", "thread_id": "{{thread_id}}"}
"""The body of the preset ``message``, unless one is given."""

PRESETS: dict[HttpPreset, Preset] = {
    "openai-chat": Preset(name="openai-chat", path="/v1/chat/completions", body=_chat),
    "openai-responses": Preset(name="openai-responses", path="/v1/responses", body=_responses, thread_from="id"),
    "anthropic-messages": Preset(
        name="anthropic-messages",
        path="/v1/messages",
        body=_anthropic,
        headers={"anthropic-version": "2023-06-01"},
    ),
    "langgraph": Preset(name="langgraph", body=_langgraph, send="new", plain=True),
    "message": Preset(name="message", body=BodyTemplate(MESSAGE_BODY), plain=True),
}
"""The formats by name."""
