"""Plain data to YAML text for people, which reading gives back as it was: the counterpart of ``parsing``.

Texts that a reader of YAML 1.1 or 1.2 could take for something else get quotes. Long texts with line breaks stand as
blocks, short lists on one line, everything else on lines of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, cast

import yaml

from duologue.config.scalars import ScalarError, resolved
from duologue.errors import ConfigurationError

_WIDTH = 110
_ONE_LINE = 70
"""Characters of a list that stands on one line."""
_BLOCK = re.compile(r"[!-~\xa1-\u02ff][ -~\n\xa0-\u1fff\u2010-\u2027\u2030-\ud7ff\U0001f300-\U0001faff]*\Z")
"""A text that may stand as a block: it begins with a letter or sign, and has nothing that an editor may change."""
_BREAKS = re.compile("[\r\x85\u2028\u2029]")
"""What ends a line for some readers of YAML."""
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")


def yaml_text(data: Any) -> str:
    """The YAML of plain data: mappings with texts as names, lists, texts, numbers, booleans and None.

    Raises:
        ConfigurationError: a value that no suite file can hold.
    """
    return str(
        yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False)
    )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


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
