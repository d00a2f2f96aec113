r"""Text of agents, users and judges, made harmless for the place where it is shown.

All of it is untrusted: an answer may hold markup, control sequences for a terminal, or characters that turn round the
order of what is read. Nothing is dropped in silence: what cannot be seen is written as ``\u{202e}``.
"""

from __future__ import annotations

import re

from duologue.terminal_text import BAR, cut, one_line, visible

# Compiled when they are first used, and cached by ``re``: tables of all Unicode are costly to compile.
_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_MARKDOWN = (
    r"(?P<reference>#|!|(?i:\bgh-))(?=\d)|(?P<number>^\d{1,9})(?=[.)](?: |$))|(?P<mark>[\\`*_\[\]|~$^=]|^[-+#/])"
    r"|&|<|>|@|://|(?i:(?<=www)\.)"
)
_BOT = re.compile(r"^(?=[^\S\n]*[/@])", re.MULTILINE)
"""Where a line may command a bot that reads comments, also code in them: ``/approve``, ``@dependabot merge``."""
_IN_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@<!-- -->", "://": "&#58;//", ".": "&#46;"}


def html_text(value: object) -> str:
    """Anything as text of a web page: nothing in it is markup."""
    from html import escape  # brings a table of all entities

    return escape(visible(value), quote=True)


def xml_text(value: object) -> str:
    """Anything as text that XML 1.0 can hold, ``�`` in place of the rest. Writers of XML do the escaping."""
    return re.sub(_NOT_XML, "\ufffd", str(value))


def markdown_text(value: object, longest: int | None = None) -> str:
    """Anything as one line of Markdown: no markup, no HTML, no mention, no link, no cell border, no command to a bot.

    Args:
        value: what to show.
        longest: cut after so many characters; None for never.
    """
    return re.sub(_MARKDOWN, _in_markdown, one_line(value, longest))


def _in_markdown(match: re.Match[str]) -> str:
    if match["reference"]:
        return f"{match[0]}<!-- -->"  # to an issue or a merge request, which would then show where it was mentioned
    if match["number"]:
        return f"{match[0]}\\"  # of a list
    return f"\\{match[0]}" if match["mark"] else _IN_MARKDOWN[match[0]]


def markdown_block(value: object, longest: int) -> str:
    """A text of several lines as a code block that nothing in it can end."""
    text = _BOT.sub(BAR, cut(visible(value), longest))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"
