"""Docstrings as Markdown: cross-reference roles become code, and the ``::`` before a literal block goes.

Classes made by ``duologue.frozen`` are shown as the dataclasses that they are.

An extension of griffe, which reads the docstrings for the documentation.
"""

import ast
import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|exc|data):`~?([^`]+)`")
_DATACLASS = ast.parse("dataclasses.dataclass(frozen=True, kw_only=True)", mode="eval").body
_LITERAL = re.compile(r"^\s*::\s*$", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites every docstring while the source is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one module, class, function or attribute."""
        if obj.docstring is not None:
            text = _ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = _LITERAL.sub("", text)

    def on_class_instance(self, *, cls: griffe.Class, **_: Any) -> None:
        """Let griffe see a dataclass where one is made under another name."""
        for decorator in cls.decorators:
            if isinstance(decorator.value, griffe.Expr) and decorator.callable_path == "duologue.frozen.frozen":
                decorator.value = griffe.get_expression(_DATACLASS, parent=cls.module) or decorator.value
