"""Which formats are tried on an unknown agent, in which order, and what its description and its answers teach.

A format is what ``http:`` of a suite says: a preset, or a body with placeholders. The order follows the URL. A server
made with FastAPI, and many others, describes itself in ``openapi.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from duologue.agents.http.completions import fields_of, list_of
from duologue.frozen import frozen

Json = dict[str, Any]

MESSAGE_NAMES = frozenset(
    "message msg input inputs query question prompt text content utterance chatinput userinput usermessage userquery "
    "inputtext inputvalue q request utter userutterance say said mensaje pregunta nachricht frage "
    "requete domanda pergunta".split()
)
"""Names of the field for what the user says, without case and underscores."""
THREAD_NAMES = frozenset(
    "threadid sessionid session conversationid conversation chatid dialogid sender senderid userid user thread "
    "contextid chat uid dialog dialogue dialogueid conv convid threadkey sessionkey sessiontoken".split()
)
"""Names of the field for the id of the conversation."""
HISTORY_NAMES = frozenset("history chathistory conversationhistory pasthistory previousmessages".split())
_HANDED_OUT = frozenset(
    "threadid sessionid conversationid chatid dialogid contextid thread session conversation".split()
)
"""Names under which an answer gives the id of its conversation."""
_GUESSES = ("message", "input", "query", "question", "prompt", "text")
_BY_WORD = {
    "ask": ("question", "query"),
    "query": ("query", "question"),
    "search": ("query",),
    "generate": ("prompt", "input"),
    "completion": ("prompt",),
    "predict": ("input", "prompt"),
    "invoke": ("input",),
    "webhook": ("message", "chatInput"),
}
_PRESETS_BY_END = (
    ("/chat/completions", "openai-chat"),
    ("/responses", "openai-responses"),
    ("/v1/messages", "anthropic-messages"),
    ("/runs/wait", "langgraph"),
    ("/runs/stream", "langgraph"),
    ("/threads", "langgraph"),
)
_ENDPOINT_WORDS = ("chat", "ask", "message", "agent", "invoke", "query", "assist", "complet", "generate", "run", "talk")
_MOST_DEPTH = 6
_MOST_FIELDS = 2000
"""Fields of one schema that are looked at."""
_MOST_ITEMS = 20
_MOST_EVENTS = 500
"""Events of a stream that are looked at."""


@frozen
class Way:
    """A way in which an agent may be asked.

    Attributes:
        options: those of ``http:`` in a suite, without its URL and headers.
        path: of the endpoint, where it is not that of the URL.
    """

    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    path: str | None = None

    @property
    def label(self) -> str:
        """What the way is called."""
        preset = str(self.options.get("preset", "message"))
        body = self.options.get("body")
        return preset if body is None else json.dumps(body, ensure_ascii=False)

    def but(self, **options: Any) -> Way:
        """The same way with other options; None removes one."""
        merged = {**self.options, **options}
        return Way(options={name: value for name, value in merged.items() if value is not None}, path=self.path)


def preset(name: str, **options: Any) -> Way:
    """The way of a preset."""
    return Way(options={"preset": name, **options})


def body(fields: Mapping[str, Any], path: str | None = None) -> Way:
    """The way of a body."""
    return Way(options={"body": dict(fields)}, path=path)


def ways_for(path: str) -> list[Way]:
    """What is tried on a URL with that path, the likeliest first."""
    path = path.rstrip("/")
    known = next((name for end, name in _PRESETS_BY_END if path.endswith(end)), None)
    if known is not None:
        return [preset(known)]
    if path in {"", "/v1"}:
        bare = [preset("openai-chat"), preset("openai-responses"), preset("anthropic-messages")]
        return [*bare, preset("langgraph")] if not path else bare
    if path.endswith("/webhooks/rest/webhook"):
        return [body({"sender": "{{thread_id}}", "message": "{{message}}"})]
    last = path.rpartition("/")[2].casefold()
    first = next((names for word, names in _BY_WORD.items() if word in last), ())
    names = list(dict.fromkeys((*first, *_GUESSES)))
    plain = [body({name: "{{message}}", "thread_id": "{{thread_id}}"}) for name in names]
    if last == "invoke":  # LangServe, and what is made like it
        config = {"configurable": {"thread_id": "{{thread_id}}"}}
        plain.insert(1, body({"input": {"messages": "{{messages}}"}, "config": config}))
    return [*plain[:1], preset("openai-chat"), *plain[1:]]


def threaded(way: Way) -> Iterator[Way]:
    """Other ways to say which conversation it is, for an agent that has forgotten it."""
    fields = fields_of(way.options.get("body"))
    if not fields or "{{messages}}" in json.dumps(fields):
        return
    words = {name: value for name, value in fields.items() if value != "{{thread_id}}"}
    names = ("session_id", "conversation_id", "sessionId", "conversationId", "chat_id", "user_id")
    yield way.but(body={**words, "session_id": "{{thread_id}}"})
    yield way.but(body={**fields, **dict.fromkeys(names, "{{thread_id}}")})
    yield way.but(body={**words, "history": "{{history}}"})


# Names of fields


def plain_name(name: str) -> str:
    """A name without case, digits and underscores, as the lists of names have it."""
    return re.sub(r"[^a-z]", "", name.casefold())


def placeholder_for(name: str) -> str:
    """What belongs into a field of that name; '' if the name does not say."""
    word = plain_name(name)
    if word == "messages":
        return "{{messages}}"
    if word in HISTORY_NAMES:
        return "{{history}}"
    if word in THREAD_NAMES:
        return "{{thread_id}}"
    return "{{message}}" if word in MESSAGE_NAMES else ""


def says_something(fields: Mapping[str, Any]) -> bool:
    """Whether a body has a place for what the user says."""
    return "{{message" in json.dumps(fields)


# What the server says about itself


def described(document: object, path: str) -> list[Way]:
    """The ways that an OpenAPI document describes for that path; with a bare host, for the likeliest endpoint."""
    paths = fields_of(fields_of(document).get("paths"))
    bare = path.rstrip("/") in {"", "/v1"}
    found: list[tuple[int, Way]] = []
    for name, item in paths.items():
        content = fields_of(fields_of(fields_of(fields_of(item).get("post")).get("requestBody")).get("content"))
        schema = fields_of(fields_of(content.get("application/json")).get("schema"))
        if not schema or not (bare or _same_path(name, path)) or "{" in name:
            continue
        example = fields_of(_Example(fields_of(document)).of(schema, "", 0))
        if says_something(example):
            words = sum(word in name.casefold() for word in _ENDPOINT_WORDS)
            found.append((-words, body(example, name if bare else None)))
    return [way for _, way in sorted(found, key=lambda pair: pair[0])][:2]


def _same_path(name: str, path: str) -> bool:
    return path.rstrip("/").endswith(name.rstrip("/")) and name.rstrip("/") != ""


class _Example:
    """Makes a value that a schema allows, of a bounded number of fields: schemas may lead back to themselves."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._left = _MOST_FIELDS

    def of(self, schema: Json, name: str, depth: int) -> object:
        """A value that the schema allows, with placeholders where its names say what belongs there."""
        self._left -= 1
        if depth > _MOST_DEPTH or self._left < 0:
            return None
        schema = _resolved(schema, self._document)
        placeholder = placeholder_for(name)
        kind = str(schema.get("type"))
        properties = fields_of(schema.get("properties"))
        value: object = None
        if kind == "array" or placeholder in {"{{messages}}", "{{history}}"}:
            value = placeholder if placeholder in {"{{messages}}", "{{history}}"} else []
        elif kind == "object" or properties:
            value = self._object(schema, properties, depth)
        elif placeholder and kind in {"None", "string"}:
            value = placeholder
        elif "default" in schema:
            value = schema["default"]
        elif choices := list_of(schema.get("enum")):
            value = choices[0]
        else:
            value = {"string": "", "integer": 0, "number": 0, "boolean": False}.get(kind)
        return value

    def _object(self, schema: Json, properties: Json, depth: int) -> Json:
        """An object with what is required, and with what says something."""
        required = set(map(str, list_of(schema.get("required"))))
        made: Json = {}
        for name, about in properties.items():
            value = self.of(fields_of(about), name, depth + 1)
            if name in required or placeholder_for(name) or says_something(fields_of(value)):
                made[name] = value
        return made


def _resolved(schema: Json, document: Json) -> Json:
    """The schema that a reference, or a choice that may be null, stands for."""
    for _ in range(_MOST_DEPTH):
        if isinstance(reference := schema.get("$ref"), str) and reference.startswith("#/"):
            found: object = document
            for step in reference[2:].split("/"):
                found = fields_of(found).get(step)
            schema = fields_of(found)
            continue
        choices = [fields_of(one) for name in ("anyOf", "oneOf", "allOf") for one in list_of(schema.get(name))]
        choice = next((one for one in choices if one.get("type") != "null"), None)
        if choice is None:
            return schema
        schema = {**{name: schema[name] for name in ("default",) if name in schema}, **choice}
    return schema


# What an answer says besides words


def leaves(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Each value in an answer that holds no others, with its path."""
    fields, items = fields_of(value), list_of(value)
    if depth > _MOST_DEPTH * 2 or not (fields or items):
        yield path, value
        return
    for name, item in fields.items():
        if re.fullmatch(r"[^.\[\]\s]+", name):
            yield from leaves(item, f"{path}.{name}" if path else name, depth + 1)
    for place, item in enumerate(items[:_MOST_ITEMS]):
        yield from leaves(item, f"{path}[{place}]", depth + 1)


def words_at(answer: object, words: str) -> str | None:
    """The path of these words in an answer; None if they stand nowhere by themselves, or in a list, which may grow."""
    return next((path for path, value in leaves(answer) if path and "[" not in path and value == words), None)


def likely_words(answer: object) -> str | None:
    """The path of what may be the agent's words in an answer without usual names: its longest text."""
    texts = [(len(value), path) for path, value in leaves(answer) if isinstance(value, str) and " " in value.strip()]
    return max(texts)[1] if texts and max(texts)[1] else None


def streamed_words(events: Sequence[object]) -> tuple[str, str] | None:
    """Path and text of what may be the agent's words in the events of a stream: the text that most of them carry."""
    found: dict[str, list[str]] = {}
    for path, value in (leaf for event in events[:_MOST_EVENTS] for leaf in leaves(event)):
        if path and isinstance(value, str):
            found.setdefault(path, []).append(value)
    texts = {path: "".join(said) for path, said in found.items() if len(set(said)) > 1 or len(said) == 1}
    sizes = [(len(found[path]), len(text), path) for path, text in texts.items() if " " in text.strip()]
    path = max(sizes)[2] if sizes else None
    return (path, texts[path]) if path else None


def handed_out(answer: object, thread: str) -> tuple[str, str] | None:
    """Path and value of an id that an answer gives its conversation, if it is not the one that was sent."""
    for path, value in leaves(answer):
        *above, name = path.split(".")[-2:]
        held = plain_name("".join((*above, name)) if name == "id" else name)
        if held in _HANDED_OUT and _is_id(value) and value != thread:
            return path, str(value)
    return None


def _is_id(value: object) -> bool:
    return type(value) is int or (isinstance(value, str) and bool(value) and not re.search(r"\s", value))


def with_thread(way: Way, path: str) -> Way:
    """The way with the id that the agent gives at that path in its answer."""
    name = re.sub(r"\[\d+\]$", "", path).rpartition(".")[2]
    fields = dict(fields_of(way.options.get("body")))
    if "{{thread_id}}" not in json.dumps({key: value for key, value in fields.items() if key != "thread_id"}):
        fields = {key: value for key, value in fields.items() if value != "{{thread_id}}"} | {name: "{{thread_id}}"}
    return way.but(body=fields, thread_from=path)
