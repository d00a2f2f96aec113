"""What looks like a secret in plain data, and a copy of the data without it.

By the name of a value always; in the texts of a request also where a text is itself JSON, a URL or a header. What was
answered is only searched by name: a word that an agent gives away has to reach the checks that look for it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

SECRET = "[secret]"
"""What stands in the place of a secret."""

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
_USER_INFO = re.compile(r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)")


def without_secrets(value: object, *, in_texts: bool = False) -> Any:
    """A copy of plain data in which secrets are replaced.

    Args:
        value: plain JSON data.
        in_texts: look into the texts too: JSON in them, queries of URLs, ``Bearer …``.
    """
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return {str(key): _cleaned(str(key), item, in_texts) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [without_secrets(item, in_texts=in_texts) for item in cast("list[object]", value)]
    return text_without_secrets(value) if in_texts and isinstance(value, str) else value


def text_without_secrets(text: str) -> str:
    """A text without the secrets that JSON, URLs and headers in it show by their names."""
    if _SUSPECT.search(text) is None:
        return text
    text = _JSON_PAIR.sub(_pair, text)
    text = _QUERY_PAIR.sub(_query_pair, text)
    text = _HEADER.sub(lambda found: f"{found['scheme']} {SECRET}", text)
    return _USER_INFO.sub(SECRET, text)


def is_secret(name: str, value: str) -> bool:
    """Whether a text of that name is a secret."""
    word = _plain(name)
    if not value:
        return False
    if word in _WHOLE or any(part in word for part in _ANYWHERE):
        return True
    a_token = word.endswith("token") and not word.endswith(_HARMLESS_TOKENS)
    return a_token and len(value) >= _SHORTEST_TOKEN and not any(map(str.isspace, value))


def _cleaned(name: str, value: object, in_texts: bool) -> Any:
    if isinstance(value, str) and is_secret(name, value):
        return SECRET
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        return [_cleaned(name, item, in_texts) for item in items]
    return without_secrets(value, in_texts=in_texts)


def _pair(found: re.Match[str]) -> str:
    if not is_secret(found["name"], found["value"]):
        return found[0]
    quote = found["q"]
    return f"{quote}{found['name']}{quote}{found['colon']}{quote}{SECRET}{quote}"


def _query_pair(found: re.Match[str]) -> str:
    name = found["name"]
    secret = _plain(name) in _IN_A_QUERY or is_secret(name, found["value"])
    return f"{found['head']}{SECRET}" if secret else found[0]


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """The name in small letters with underscores, whether it is a header, an option or a field."""
    return _CAMEL.sub("_", name).replace("-", "_").replace(".", "_").lower()
