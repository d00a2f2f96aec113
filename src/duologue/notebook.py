"""Results as small HTML tables, as a notebook shows them. Everything in them is text, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from duologue.terminal_text import one_line

_LONGEST = 300
_MOST = 200
"""Rows that are shown."""


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a title above it; cells are cut after 300 characters, and what follows 200 rows is counted."""
    every = list(rows)
    head = "".join(f"<th style='text-align:left'>{_cell(name)}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td style={_LEFT!r}>{_cell(value)}</td>' for value in row)}</tr>" for row in every[:_MOST]
    )
    more = f"<p>… and {len(every) - _MOST:,} more</p>" if len(every) > _MOST else ""
    return f"<p><b>{_cell(title)}</b></p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


_LEFT = "text-align:left"


def _cell(value: object) -> str:
    return "" if value is None else escape(one_line(value, _LONGEST))
