"""Bytes that are text, in the charset that they declare."""

from __future__ import annotations

import codecs
import re

from duologue.config.patterns import late

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET = late(r";\s*charset\s*=\s*[\"']?([\w.:+-]{1,40})", re.IGNORECASE)
_TEXT = late(
    r"ascii|utf-?8|utf-?(16|32)(-?[bl]e)?|iso8859-\d+|cp\d+|koi8-\w|gb(2312|k|18030)|big5\w*|hz|shift_jis\w*|euc_\w+|"
    r"iso2022_\w+|mac[-_]\w+|johab|tis-620|viscii",
    re.IGNORECASE,
)
"""Codecs that read texts of the web. Python knows others, some of which take hours for a short text."""


def decoded(data: bytes, content_type: str = "") -> str:
    """The text: by its byte order mark, else in the declared charset, else as UTF-8. What is no text is replaced.

    Args:
        data: the bytes.
        content_type: as a header has it, such as ``text/plain; charset=iso-8859-1``.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, errors="replace")
    return data.decode(_charset(content_type), errors="replace")


def decoder_of(content_type: str) -> codecs.IncrementalDecoder:
    """What reads such a text piece by piece."""
    name = _charset(content_type)
    return codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)(errors="replace")


def _charset(content_type: str) -> str:
    declared = _CHARSET.search(content_type)
    if declared is None:
        return "utf-8"
    try:
        name = codecs.lookup(declared[1]).name
    except LookupError:
        return "utf-8"
    return name if _TEXT.fullmatch(name) else "utf-8"
