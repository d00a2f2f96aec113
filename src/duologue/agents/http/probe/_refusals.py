"""What the refusal of an agent teaches about its requests: fields that it misses, and fields that it does not want.

Refusals come as data, as FastAPI and other frameworks write them, or as prose. In prose, a name counts that stands in
quotes, that is a path such as ``input.text``, or that stands where a text says what is required.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from duologue.agents.http.completions import fields_of, list_of
from duologue.agents.http.probe._requests import (
    HISTORY_NAMES,
    MESSAGE_NAMES,
    THREAD_NAMES,
    Json,
    Way,
    body,
    leaves,
    placeholder_for,
    plain_name,
    says_something,
)
from duologue.config.json_text import NoJsonError, json_value

_KNOWN = MESSAGE_NAMES | THREAD_NAMES | HISTORY_NAMES | {"messages"}
_NAME = r"[A-Za-z_]\w{0,40}"
_PATH = rf"{_NAME}(?:\.{_NAME}){{0,4}}"
_QUOTED = re.compile(rf"[\"'`“‘«]({_PATH})[\"'`”’»]")
_DOTTED = re.compile(rf"(?<![\w./:@-])({_NAME}(?:\.{_NAME}){{1,4}})(?![\w/(@-]|\.\w)")
_REQUIRED = re.compile(
    rf"\b({_NAME})\b(?: field| parameter| property| key)?s?:? (?:\([^()]{{0,40}}\) )?(?:is|are|was|were) (?:a |an )?"
    rf"(?:required|missing|mandatory|needed)|\b({_NAME})\b(?: field| parameter| key)? (?:must|should) be"
    r"|(?:missing|required|requires?|needs?|expects?|expected|provide|mandatory)[\w ]{0,30}: ?"
    rf"({_NAME}(?:(?:, | and |, and ){_NAME}){{0,8}})",
    re.IGNORECASE,
)
_UNWANTED = re.compile(
    r"unexpected|unknown|unrecogni[sz]ed|not allowed|not permitted|forbidden|additional|extra\b|no other|nothing else",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.;!\n](?:\s|$)")
_ORDINARY = frozenset("request content input text body json object string type error detail value field".split())
"""Words that are names of fields, and stand in refusals for other things."""
_LONGEST = 20_000
"""Characters of a refusal that are read."""
_MOST_NAMES = 12


def learned(refusal: str, sent: Way) -> list[Way]:
    """What the body of a refusal teaches about the request."""
    refusal = refusal[:_LONGEST]
    try:
        told: object = json_value(refusal)
    except NoJsonError:
        told = None
    fields = fields_of(sent.options.get("body"))
    if complaints := list(_complaints(told)):
        better = _corrected(fields, complaints)
        return [body(better)] if better != fields and says_something(better) else []
    words = refusal if told is None else "\n".join(str(value) for _, value in leaves(told) if isinstance(value, str))
    return _from_prose(words, fields)


# Prose


def _from_prose(words: str, fields: Json) -> list[Way]:
    wanted, unwanted = _names_in(words, fields)
    made = _with_names(wanted)
    kept = {name: value for name, value in fields.items() if name not in unwanted}
    if says_something(made):
        # Other fields for the user's words were guesses; an id of the conversation may be wanted too.
        kept = {name: value for name, value in kept.items() if "{{message" not in json.dumps(value)}
    elif not made and not unwanted:
        return []
    ways = [body({**kept, **made})]
    if says_something(made):
        ways.append(body(made))
        if unwanted or _UNWANTED.search(words):
            ways.reverse()
    return [way for way in ways if says_something(way.options["body"]) and way.options["body"] != fields]


def _names_in(words: str, fields: Json) -> tuple[list[tuple[str, ...]], set[str]]:
    """Paths of the fields that a text asks for, and names of those that were sent and are not wanted."""
    wanted: dict[tuple[str, ...], None] = {}
    unwanted: set[str] = set()
    for sentence in _SENTENCE.split(words):
        refuses = _UNWANTED.search(sentence) is not None
        for name in [*_QUOTED.findall(sentence), *_DOTTED.findall(sentence)]:
            if refuses and name in fields:
                unwanted.add(name)
            elif not refuses or not fields.keys() & set(_QUOTED.findall(sentence)):
                wanted[tuple(name.split("."))] = None
        for found in _REQUIRED.findall(sentence):
            for name in re.findall(_NAME, " ".join(found)):
                if plain_name(name) in _KNOWN and not any(name in path for path in wanted):
                    wanted[name,] = None
    paths = list(wanted)[:_MOST_NAMES]
    special = [path for path in paths if "".join(path) not in _ORDINARY]
    if any(_meant(path).startswith("{{message") for path in special):  # 'The request is missing: query is required'
        paths = special
    return [path for path in paths if not any(_begins(other, path) for other in paths)], unwanted


def _begins(longer: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(longer) > len(path) and longer[: len(path)] == path


def _with_names(paths: Iterable[tuple[str, ...]]) -> Json:
    """A body with these fields: what the user says in one whose name says so, and else in the first."""
    meant = {path: _meant(path) for path in paths}
    unnamed = [path for path, value in meant.items() if not value]
    if unnamed and not any(value.startswith("{{message") for value in meant.values()):
        meant[unnamed.pop(0)] = "{{message}}"
    made: Json = {}
    for path, value in meant.items():
        inner = made
        for step in path[:-1]:
            held = fields_of(inner.get(step))
            inner[step] = held
            inner = held
        inner[path[-1]] = value or "{{thread_id}}"
    return made


# Complaints as pydantic writes them


def _complaints(told: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Paths of fields that are not as they should be, and what they should be, as pydantic says it."""
    for item in map(fields_of, list_of(fields_of(told).get("detail") or fields_of(told).get("errors"))):
        path = tuple(str(step) for step in list_of(item.get("loc")))
        path = path[1:] if path[:1] == ("body",) else path
        said = f"{item.get('type', '')} {item.get('msg', '')}".casefold()
        if path and (kind := next((kind for words, kind in _SAID.items() if any(word in said for word in words)), "")):
            yield path, kind


_SAID: dict[tuple[str, ...], str] = {
    ("missing", "required"): "there",
    ("extra", "not permitted"): "gone",
    ("dict", "model", "object"): "object",
    ("list", "array"): "list",
}


def _corrected(fields: Json, complaints: list[tuple[tuple[str, ...], str]]) -> Json:
    """The body without what the agent complains of."""
    made: Json = json.loads(json.dumps(fields))
    named = any(_meant(path).startswith("{{message") for path, kind in complaints if kind == "there")
    if named:
        _forget_message(made)
    for path, kind in complaints:
        inner = made
        for step in path[:-1]:
            held = fields_of(inner.get(step))
            inner[step] = held
            inner = held
        if kind == "gone":
            inner.pop(path[-1], None)
        elif kind == "there":
            if _meant(path).startswith("{{message"):
                _forget_message(inner)
            # A single field without a usual name can only be what the user says.
            inner[path[-1]] = _meant(path) or ("" if named or len(complaints) > 1 else "{{message}}")
        elif kind == "object":
            inner[path[-1]] = {"id": "{{thread_id}}"} if _meant(path) == "{{thread_id}}" else {"message": "{{message}}"}
        else:
            inner[path[-1]] = _meant(path) if plain_name(path[-1]) == "messages" else ["{{message}}"]
    return made


def _meant(path: tuple[str, ...]) -> str:
    """What belongs into the field at that path; '' if its name does not say."""
    name = plain_name(path[-1])
    if (meant := placeholder_for(path[-1])) or len(path) < 2:
        return meant
    return placeholder_for("".join(path[-2:])) or (placeholder_for(path[-2]) if name in {"id", "key"} else "")


def _forget_message(fields: Json) -> None:
    """Take out the names for what the user says that were tried: the agent has another."""
    for name in [name for name, value in fields.items() if value == "{{message}}"]:
        del fields[name]
