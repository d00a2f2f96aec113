"""Keep secrets out of whatever is shown or stored: errors, tapes, logs, printed suites.

A secret is recognised in one of three ways:

* by its value, where the program knows it: :func:`without_values`, and :func:`redacted` for all that the process knows;
* by the name that it stands under: :func:`without_secrets`, and in texts that hold JSON, URLs or headers
  :func:`text_without_secrets`. What an agent answered is only searched by name: a word that it gives away has to reach
  the checks that look for it;
* by its path, where a suite says so: :func:`without_fields`.

Redact before you shorten: half a secret is a secret too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, AnyStr, cast
from urllib.parse import parse_qsl, urlsplit

from duologue.messages import JsonValue
from duologue.secret_values import HIDDEN, hidden, hidden_in, remember

_ANYWHERE = (
    "api_key",
    "apikey",
    "access_key",
    "access_token",
    "auth_token",
    "authorization",
    "cookie",
    "credential",
    "passwd",
    "password",
    "refresh_token",
    "secret",
)
_WHOLE = frozenset({"pwd", "private_key", "signature", "bearer", "jwt"})
_IN_A_QUERY = frozenset({"key", "sig", "code"})
_HARMLESS_TOKENS = ("page_token", "next_token")
_SHORTEST_TOKEN = 12
"""Characters. What is called a token and is shorter, or has spaces, is a word of a text."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SUSPECT = re.compile(
    r"key|token|secret|passw|pwd|authorization|cookie|credential|bearer|basic|jwt|signature|sig=|://", re.IGNORECASE
)
_JSON_PAIR = re.compile(r"""(?P<q>\\*")(?P<name>[\w-]{1,64})(?P=q)(?P<colon>\s*:\s*)(?P=q)(?P<value>[^"\\]+)(?P=q)""")
_QUERY_PAIR = re.compile(r"""(?P<head>[?&](?P<name>[\w.-]{1,64})=)(?P<value>[^&\s#"'<>\\]+)""")
_HEADER = re.compile(r"\b(?P<scheme>Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE)
_TELLING = re.compile(r"auth|key|token|secret|passw|cookie|cred|pwd", re.IGNORECASE)
_SHORTEST_VALUE = 4
"""Characters. Values shorter than this are not looked for: taking every '1' out of a text helps nobody."""
_STEP = re.compile(r"\[['\"]?([^\]'\"]+)['\"]?\]|([^.\[\]]+)")
_USER_INFO = re.compile(r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)")


def without_secrets(value: object, *, in_texts: bool = False, keep_references: bool = False) -> Any:
    """A copy of plain data in which secrets are replaced.

    Args:
        value: plain JSON data.
        in_texts: look into the texts too: JSON in them, queries of URLs, ``Bearer …``.
        keep_references: leave a text alone that names an environment variable (``${NAME}``) in place of a secret.
    """

    def cleaned(item: object, name: str = "") -> Any:
        if isinstance(item, dict):
            return {str(key): cleaned(inner, str(key)) for key, inner in cast("dict[str, object]", item).items()}
        if isinstance(item, (list, tuple)):
            return [cleaned(inner, name) for inner in cast("list[object]", item)]
        if not isinstance(item, str):
            return item
        if name and is_secret(name, item):
            return item if keep_references and "${" in item else HIDDEN
        return text_without_secrets(item) if in_texts else item

    return cleaned(value)


def text_without_secrets(text: str) -> str:
    """A text without the secrets that JSON, URLs and headers in it show by their names."""
    if _SUSPECT.search(text) is None:
        return text
    text = _JSON_PAIR.sub(_pair, text)
    text = _QUERY_PAIR.sub(_query_pair, text)
    text = _HEADER.sub(lambda found: f"{found['scheme']} {HIDDEN}", text)
    return _USER_INFO.sub(HIDDEN, text)


def without_values(text: AnyStr, secrets: Iterable[str]) -> AnyStr:
    """A text, or the bytes of one, without these secrets."""
    words = [secret for secret in secrets if len(secret) >= _SHORTEST_VALUE]
    if isinstance(text, str):
        return hidden_in(text, words)
    return hidden_in(text.decode("utf-8", "surrogateescape"), words).encode("utf-8", "surrogateescape")


def redacted(text: str) -> str:
    """A text for people, such as an error or a traceback, without what is secret by its value or by its name."""
    return text_without_secrets(hidden(text))


def remember_headers(headers: Mapping[str, str]) -> None:
    """The values of headers whose names tell so are secret."""
    remember(*(value for name, value in headers.items() if names_secret(name)))


def remember_url(url: str) -> None:
    """What a URL gives away is secret: a password, and values of the query whose names tell so."""
    parts = urlsplit(url)
    remember(parts.password)
    remember(*(value for name, value in query_values(parts.query) if names_secret(name) or is_secret(name, value)))


def query_values(query: str) -> list[tuple[str, str]]:
    """Names and values of a URL's query: each value as it stands there, and as a server reads it."""
    written = [pair.partition("=") for pair in query.split("&")]
    return [*parse_qsl(query), *((name, value) for name, _, value in written if value)]


def secrets_of_headers(values: Iterable[str]) -> list[str]:
    """What must not be shown of these header values: they themselves, and of ``Bearer abc`` the second word alone."""
    return [secret for value in values for secret in (value, value.rpartition(" ")[2])]


def without_fields(value: JsonValue, paths: Iterable[str]) -> JsonValue:
    """The value, which is changed in place, without the fields that the paths lead to.

    Args:
        value: plain JSON data.
        paths: such as ``user.email``, ``$.items[*].card`` or ``items[0].card``. ``*`` stands for every item; a field
            without a number or star is also looked for in every item of an array.
    """
    for path in paths:
        steps = [a or b for a, b in _STEP.findall(path.removeprefix("$"))]
        if steps:
            _take_out(value, steps)
    return value


def names_secret(name: str) -> bool:
    """Whether a header or an environment variable of that name holds a secret: rather one too many."""
    return bool(_TELLING.search(name))


def is_secret(name: str, value: str) -> bool:
    """Whether a text of that name is a secret."""
    word = _plain(name)
    if not value:
        return False
    if word in _WHOLE or any(part in word for part in _ANYWHERE):
        return True
    a_token = word.endswith("token") and not word.endswith(_HARMLESS_TOKENS)
    return a_token and len(value) >= _SHORTEST_TOKEN and not any(map(str.isspace, value))


def _pair(found: re.Match[str]) -> str:
    if not is_secret(found["name"], found["value"]):
        return found[0]
    quote = found["q"]
    return f"{quote}{found['name']}{quote}{found['colon']}{quote}{HIDDEN}{quote}"


def _query_pair(found: re.Match[str]) -> str:
    name = found["name"]
    secret = _plain(name) in _IN_A_QUERY or is_secret(name, found["value"])
    return f"{found['head']}{HIDDEN}" if secret else found[0]


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """The name in small letters with underscores, whether it is a header, an option or a field."""
    return _CAMEL.sub("_", name).replace("-", "_").replace(".", "_").lower()


def _take_out(value: JsonValue, steps: list[str]) -> None:
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        _from_object(cast("dict[str, Any]", value), step, rest)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        numbered = step.lstrip("-").isdecimal()
        inner = rest if numbered or step == "*" else steps
        for item in items[int(step) :][:1] if numbered else items:
            if inner:
                _take_out(item, inner)
        if not inner:
            _clear(items, step)


def _from_object(fields: dict[str, Any], step: str, rest: list[str]) -> None:
    names = list(fields) if step == "*" else [step] if step in fields else []
    for name in names:
        if rest:
            _take_out(fields[name], rest)
        else:
            del fields[name]


def _clear(items: list[Any], step: str) -> None:
    """Items are blanked, not removed: the numbers of the others stay as they are."""
    places = range(len(items)) if step == "*" else [int(step)]
    for place in places:
        if -len(items) <= place < len(items):
            items[place] = None
