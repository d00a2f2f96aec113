"""Ways to write a text so that a filter does not recognise it: pure functions, each with its way back.

What the agent is told about the writing is in ``techniques``.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

_LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
_TO_LEET = str.maketrans({**_LEET, **{letter.upper(): digit for letter, digit in _LEET.items()}})
_FROM_LEET = str.maketrans({digit: letter for letter, digit in _LEET.items()})
_BASE64 = re.compile(r"[A-Za-z0-9+/]{38,}={0,2}")
_BASE64_LENGTH = 40
"""Characters from which a text is taken for Base64: shorter ones may be words."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A way to write a text, and back.

    Attributes:
        name: as in reports.
        encode, decode: there and back; ``decode(encode(text)) == text`` where ``exact`` is set.
        exact: False where the writing loses something, as leetspeak does with capitals and digits.
    """

    name: str
    encode: Callable[[str], str]
    decode: Callable[[str], str]
    exact: bool = True


def to_base64(text: str) -> str:
    """Base64 of the UTF-8 bytes; a lone surrogate is kept."""
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def from_base64(text: str) -> str:
    """What :func:`to_base64` was given. Raises ValueError for anything else."""
    return base64.b64decode(text, validate=True).decode("utf-8", "surrogatepass")


def rot13(text: str) -> str:
    """Each Latin letter 13 places on; twice gives the text again."""
    return codecs.encode(text, "rot13")


def to_leetspeak(text: str) -> str:
    """Six letters become the digits that look like them."""
    return text.translate(_TO_LEET)


def from_leetspeak(text: str) -> str:
    """The digits become small letters, whether they were letters before or not."""
    return text.translate(_FROM_LEET)


def split_characters(text: str) -> str:
    """A space between every two characters."""
    return " ".join(text)


def join_characters(text: str) -> str:
    """Every second character is left out."""
    return text[::2]


def to_code_block(text: str) -> str:
    """A fenced block; the fence is longer than any in the text, so that the text cannot end it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def from_code_block(text: str) -> str:
    """What stands between the fences."""
    fence = re.match(r"`{3,}", text)
    size = fence.end() + 1 if fence else 0
    return text[size : len(text) - size]


def looks_like_base64(text: str) -> bool:
    """Whether a text is, by all appearances, Base64 already: encoding it again would only bury it."""
    text = text.strip()
    return len(text) >= _BASE64_LENGTH and _BASE64.fullmatch(text) is not None


BASE64 = Encoder(name="base64", encode=to_base64, decode=from_base64)
ROT13 = Encoder(name="rot13", encode=rot13, decode=rot13)
LEETSPEAK = Encoder(name="leetspeak", encode=to_leetspeak, decode=from_leetspeak, exact=False)
CHAR_SPLIT = Encoder(name="char_split", encode=split_characters, decode=join_characters)
CODE_BLOCK = Encoder(name="code_block", encode=to_code_block, decode=from_code_block)

ENCODERS: tuple[Encoder, ...] = (BASE64, ROT13, LEETSPEAK, CHAR_SPLIT, CODE_BLOCK)
