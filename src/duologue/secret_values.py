"""The secrets that this process knows by their values: API keys, tokens in headers, what ``${NAME}`` stands for there.

Whoever reads one says so with :func:`remember`; errors, descriptions and reports pass their texts through
:func:`hidden`. A secret is also found where it was quoted, escaped or encoded on its way. What an agent says is not
searched: a word that it gives away has to reach the checks that look for it.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from logging import LogRecord

HIDDEN = "***"
"""What replaces a secret."""
_SHORTEST = 8
"""Characters. What is shorter, or nothing but letters, is a word that occurs in many texts."""
_SHORTEST_PLACED = 6
"""Characters of a value that was filled in where secrets stand."""
_PLAIN = frozenset(
    "accept access account accounts active agents answer application/json assistant bearer chat "
    "completions conversation default develop development enabled english disabled german version latest local "
    "localhost master message messages models normal openai anthropic online preview private production "
    "public release sandbox secret service session stable staging status stream support system tenant testing "
    "text/plain user-agent v1/chat webhook".split()
)
"""Values that occur in such places and are not secret; hiding them would make reports unreadable."""
_SHORTEST_ENCODED = 8
_LONG = 2_000
"""Characters of a text in which it is looked for each form by itself first."""
_MOST = 1000
"""Secrets that are known at the same time; the oldest are forgotten."""

_known: dict[str, None] = {}
_lock = threading.Lock()


def remember(*values: str | None, placed: bool = False) -> None:
    """These values are secret. Of ``Bearer abc`` and ``user:password`` the parts are, too.

    Args:
        values: None for one that is not set.
        placed: they were filled in where secrets stand, as in the path of a URL or a header, so that letters alone are
            secret, too, unless they are a word of every text.
    """
    words = {word for value in values if value for word in (value, *_parts(value)) if _telling(word, placed=placed)}
    if words <= _known.keys():
        return
    with _lock:
        _known.update(dict.fromkeys(sorted(words)))
        for word in list(_known)[:-_MOST]:
            del _known[word]


def hidden(text: str) -> str:
    """The text without the secrets that are known, in whatever form they stand there."""
    return _without(text, tuple(_known)) if _known and text else text


def hide_in_logs(name: str) -> None:
    """Have what another package logs to this logger pass through :func:`hidden`: URLs, and what servers answered."""
    from logging import getLogger  # which ``duologue validate`` does without

    getLogger(name).addFilter(_hide_in)  # once, however often it is asked for


def _hide_in(record: LogRecord) -> bool:
    told = record.getMessage()
    if (shown := hidden(told)) != told:
        record.msg, record.args = shown, None
    return True


def hidden_in(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, in whatever form they stand there."""
    words = tuple(sorted({secret for secret in secrets if secret}))
    return _without(text, words) if words and text else text


def _without(text: str, secrets: tuple[str, ...]) -> str:
    if len(text) < _LONG:
        return _pattern(_all_forms(secrets)).sub(HIDDEN, text)
    # At each place, a pattern tries one form after another. Nearly always none of them is anywhere in the text.
    folded = text.casefold()
    found = tuple(form for form, wanted in zip(*_folded_forms(secrets), strict=True) if wanted in folded)
    return _pattern(found).sub(HIDDEN, text) if found else text


@lru_cache(maxsize=64)
def _pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, forms)), re.IGNORECASE)


@lru_cache(maxsize=64)
def _folded_forms(secrets: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    forms = _all_forms(secrets)
    return forms, tuple(form.casefold() for form in forms)


@lru_cache(maxsize=64)
def _all_forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """How the secrets may stand in a text, the longest first, because one may begin with another."""
    return tuple(sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True))


def _forms(secret: str) -> set[str]:
    forms = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    forms.add(json.dumps(secret, ensure_ascii=False)[1:-1])
    data = secret.encode("utf-8", "replace")
    forms.add("".join(f"%{byte:02x}" for byte in data))
    forms.add("".join(f"\\u{ord(letter):04x}" for letter in secret))
    if len(secret) >= _SHORTEST_ENCODED:
        for place in range(3):
            forms |= _encoded(secret.encode("utf-8", "replace"), place)
    return forms


def _encoded(data: bytes, place: int) -> set[str]:
    """What base64 makes of the bytes wherever they stand: without the ends, which depend on their neighbours."""
    start, end = -(-place * 8 // 6), (place + len(data)) * 8 // 6
    core = b64encode(bytes(place) + data).decode()[start:end]
    return {core, core.replace("+", "-").replace("/", "_")}


def _parts(value: str) -> list[str]:
    scheme, space, rest = value.partition(" ")
    return [rest.strip()] if space and scheme.isalpha() and " " not in rest.strip() else []


def _telling(word: str, *, placed: bool) -> bool:
    if placed:
        return len(word) >= _SHORTEST_PLACED and not word.isspace() and word.casefold() not in _PLAIN
    return len(word) >= _SHORTEST and not word.isalpha() and not word.isspace()
