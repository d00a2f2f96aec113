"""Docstrings as Markdown: cross-reference roles become code, and the ``::`` before a literal block goes.

An extension of griffe, which reads the docstrings for the documentation.
"""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|exc|data):`~?([^`]+)`")
_LITERAL = re.compile(r"^\s*::\s*$", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites every docstring while the source is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one module, class, function or attribute."""
        if obj.docstring is not None:
            text = _ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = _LITERAL.sub("", text)
