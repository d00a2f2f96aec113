r"""Text of agents, users and judges, made harmless for the place where it is shown.

All of it is untrusted: an answer may hold markup, control sequences for a terminal, or characters that turn round the
order of what is read. Nothing is dropped in silence: what cannot be seen is written as ``\u{202e}``.
"""

from __future__ import annotations

import html
import re

UNSEEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    r"\ufffe\uffff\U000e0000-\U000e007f"
)
"""Characters that are not seen, or that turn round what is. The joiners of emoji and of Persian are not among them."""

# Compiled when they are first used, and cached by ``re``: tables of all Unicode are costly to compile.
_UNSEEN = f"[{UNSEEN}]"
_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_MARKDOWN = r"[\\`*_\[\]|~$^=]|&|<|>|@|://|(?i:(?<=www)\.)|^[-+#]|(?<=^\d)[.)]"
_IN_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@<!-- -->", "://": "&#58;//", ".": "&#46;", ")": "&#41;"}
_SPACE = re.compile(r"\s+")


def visible(value: object) -> str:
    """Anything as text in which nothing is hidden."""
    text = str(value).replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNSEEN, lambda match: f"\\u{{{ord(match[0]):x}}}", text)


def html_text(value: object) -> str:
    """Anything as text of a web page: nothing in it is markup."""
    return html.escape(visible(value), quote=True)


def xml_text(value: object) -> str:
    """Anything as text that XML 1.0 can hold, ``�`` in place of the rest. Writers of XML do the escaping."""
    return re.sub(_NOT_XML, "\ufffd", str(value))


def markdown_text(value: object, longest: int | None = None) -> str:
    """Anything as one line of Markdown: no markup, no HTML, no mention, no link, no cell border.

    Args:
        value: what to show.
        longest: cut after so many characters; None for never.
    """
    return re.sub(_MARKDOWN, lambda match: _IN_MARKDOWN.get(match[0], f"\\{match[0]}"), one_line(value, longest))


def markdown_block(value: object, longest: int) -> str:
    """A text of several lines as a code block that nothing in it can end."""
    text = cut(visible(value), longest)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def one_line(value: object, longest: int | None = None) -> str:
    """Anything as a single line in which nothing is hidden: safe for a terminal."""
    text = str(value)
    if longest is not None:
        text = text[: 4 * longest]  # no need to look at a megabyte for a line
    line = visible(_SPACE.sub(" ", text).strip())
    return line if longest is None else cut(line, longest)


def cut(text: str, longest: int) -> str:
    """The beginning of a text, with ``…`` where something is missing."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
