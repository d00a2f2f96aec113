"""Plain data to human-readable YAML text, which is read back unchanged: the counterpart of ``parsing``.

Texts that a reader of YAML 1.1 or 1.2 could take for something else get quotes. Long texts with line breaks stand as
blocks, short lists on one line, everything else on lines of its own.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from typing import Any, cast

import yaml

from duologue.config.yaml_reader import ScalarError, resolved
from duologue.errors import ConfigurationError
from duologue.terminal_text import UNSEEN, printable

_WIDTH = 110
_ONE_LINE = 70
"""Characters of a list that stands on one line."""
_BLOCK = re.compile(r"[!-~\xa1-\u02ff][ -~\n\xa0-\u1fff\u2010-\u2027\u2030-\ud7ff\U0001f300-\U0001faff]*\Z")
"""A text that may stand as a block: it begins with a letter or sign, and has nothing that an editor may change."""
_BREAKS = re.compile("[\r\x85\u2028\u2029]")
"""What ends a line for some readers of YAML."""
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")


def yaml_text(data: Any, *, for_terminal: bool = False) -> str:
    """The YAML of plain data: mappings with texts as names, lists, texts, numbers, booleans and None.

    Args:
        data: what to write.
        for_terminal: write texts that hold what would steer a terminal or a CI service with escapes, on one line each.

    Raises:
        ConfigurationError: a value that no suite file can hold.
    """
    text = _dumped(data, _Dumper, _WIDTH)
    if not for_terminal or printable(text) == text:
        return text
    return re.sub(f"[{UNSEEN}]|#(?=#)", _escaped, _dumped(data, _QuotingDumper, sys.maxsize))


def _dumped(data: Any, dumper: type[yaml.SafeDumper], width: int) -> str:
    return str(
        yaml.dump(data, Dumper=dumper, sort_keys=False, allow_unicode=True, width=width, default_flow_style=False)
    )


def _escaped(match: re.Match[str]) -> str:
    """A character of a text in double quotes."""
    return f"\\U{ord(match[0]):08x}"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


class _QuotingDumper(_Dumper):
    """Texts that a terminal or a CI service could take for something else are written in double quotes."""


def _quoted(dumper: Any, text: str) -> yaml.ScalarNode:
    # A block begins lines with the lines of the text; in the middle of one, "##" may become a command.
    harmless = "\n" not in text and "##" not in text and printable(text) == text
    node = _text(dumper, text)
    if not harmless:
        node.style = '"'
    return node


def _text(dumper: Any, text: str) -> yaml.ScalarNode:
    if _UNWRITABLE.search(text):
        raise ConfigurationError(f"a text has a character that no file can hold: {text[:40]!r}; remove it")
    style = None
    if "\n" in text.rstrip("\n") and _BLOCK.match(text) and not re.search(r"[ \xa0]+(\n|\Z)", text):
        style = "|"
    elif _BREAKS.search(text) or not _is_plain(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_plain(text: str) -> bool:
    """Whether our own reader takes the text for a text when it has no quotes."""
    try:
        return isinstance(resolved(text), str)
    except ScalarError:
        return False


def _number(dumper: Any, value: float) -> yaml.ScalarNode:
    if not math.isfinite(value):
        raise ConfigurationError(f"found the number {value}; expected a finite number")
    text = repr(value)
    return dumper.represent_scalar("tag:yaml.org,2002:float", text if "." in text else text.replace("e", ".0e"))


def _list(dumper: Any, items: Sequence[Any]) -> yaml.SequenceNode:
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", items)
    node.flow_style = _fits(items)
    return cast("yaml.SequenceNode", node)


def _fits(items: Sequence[Any]) -> bool:
    if any(isinstance(item, (dict, list, tuple)) for item in items):
        return not items
    texts = [str(item) for item in items]
    return sum(map(len, texts)) + 2 * len(texts) <= _ONE_LINE and not any("\n" in text for text in texts)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)
_QuotingDumper.add_representer(str, _quoted)
