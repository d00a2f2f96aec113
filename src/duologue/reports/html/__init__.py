"""An execution as one web page that needs nothing else: it opens offline and asks nobody for anything.

``data`` says what the page holds, ``media`` what is shown of pictures and sound, ``page`` puts it together with the
files in ``assets``.
"""

from __future__ import annotations

from duologue.reports.html.page import render_html, save_html

__all__ = ["render_html", "save_html"]
