r"""Text from outside, such as what agents, users, models and files say, made harmless for a terminal and for a CI log.

It may hold control sequences, characters that turn round what is read, and commands to the CI service, which reads
them from the log: ``::add-mask::`` where a line begins, ``##vso[task.setvariable …]`` anywhere. Nothing is dropped in
silence: what cannot be seen, or what would be a command, is written as ``\u{202e}``, and a line that text from outside
begins starts with a bar.
"""

from __future__ import annotations

import re

UNSEEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that are not seen, or that turn round what is. The joiners of emoji and of Persian are not among them."""
BAR = "│ "
"""Begins a line that continues a text from outside."""

# Compiled when they are first used, and cached by ``re``: tables of all Unicode are costly to compile.
_UNSEEN = f"[{UNSEEN}]"
_SPACE = re.compile(r"\s+")
_ANYWHERE = re.compile(r"#(?=#(?i:vso|teamcity)?\[)")
"""GitHub, Azure Pipelines and TeamCity look for these commands in the whole line."""
_AT_THE_START = re.compile(r"^(?=[^\S\n]*(?:::|##|(?:---|\+\+\+|~~~|\^\^\^)(?:[^\S\n]|$)))", re.MULTILINE)
"""GitHub passes over spaces before ``::``; Buildkite makes groups of lines that begin with ``---`` and the like."""
_IN_JSON = f"{_UNSEEN}|{_ANYWHERE.pattern}"


def visible(value: object) -> str:
    """Anything as text in which nothing is hidden."""
    text = str(value).replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNSEEN, lambda match: f"\\u{{{ord(match[0]):x}}}", text)


def printable(value: object) -> str:
    """Anything as text of one or more lines in which nothing is hidden and nothing is a command.

    For texts that are mostly our own, such as errors: only a line that begins as a command would gets a bar.
    """
    text = visible(value)
    if "##" in text:
        text = _ANYWHERE.sub("\\\\u{23}", text)
    return _AT_THE_START.sub(BAR, text)


def continued(value: object) -> str:
    """The same for words of somebody else: every line but the first begins with a bar, so that none passes for ours."""
    return re.sub(rf"\n(?!{BAR})", f"\n{BAR}", printable(value))


def barred(value: object) -> str:
    """The same where these words begin a line: the first one has a bar, too."""
    text = continued(value)
    return text if text.startswith(BAR) else f"{BAR}{text}"


def one_line(value: object, longest: int | None = None) -> str:
    """Anything as a single line in which nothing is hidden and nothing is a command, unless it begins the line."""
    text = str(value)
    if longest is not None:
        text = text[: 4 * longest]  # no need to look at a megabyte for a line
    line = _ANYWHERE.sub("\\\\u{23}", visible(_SPACE.sub(" ", text).strip()))
    return line if longest is None else cut(line, longest)


def json_text(text: str) -> str:
    """Text of JSON, in which everything that cannot be seen or would be a command is escaped; it means the same."""
    if text.isascii() and "##" not in text and text.replace("\n", "").isprintable():
        return text
    return re.sub(_IN_JSON, lambda match: _escaped(match[0]), text)


def _escaped(char: str) -> str:
    r"""``\u0085``; two of them for a character outside the basic plane."""
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def cut(text: str, longest: int) -> str:
    """The beginning of a text, with ``…`` where something is missing."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
