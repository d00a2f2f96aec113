"""The page, put together: style and scripts by their digests, data as JSON that cannot end its element.

The policy in its head forbids everything else, so that even text which slipped through the escaping could do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from duologue.reports.escaping import html_text
from duologue.reports.formats import ReportFormat
from duologue.reports.html.data import page_data
from duologue.reports.html.fallback import summary_html
from duologue.reports.html.media import Media
from duologue.runs.store.encoding import encoded
from duologue.runs.store.writing import replace_bytes
from duologue.suites.results.execution import ExecutionResult

_STYLES = ("page.css", "overview.css", "grades.css", "runs.css")
_SCRIPTS = ("dom.js", "charts.js", "overview.js", "list.js", "grades.js", "run.js", "app.js")
_IN_SCRIPT = {b"<": b"\\u003c", b"\xe2\x80\xa8": b"\\u2028", b"\xe2\x80\xa9": b"\\u2029"}


def save_html(execution: ExecutionResult, path: Path, folder: Path | None = None) -> Path:
    """Write the page to a file.

    Args:
        execution: what to show.
        path: of the file; its folder is made if need be.
        folder: of the results: pictures and sound in it are shown or linked. None to show only what the results hold.
    """
    replace_bytes(path, _page(execution, Media(folder, path.parent)))
    return path


def render_html(execution: ExecutionResult) -> str:
    """The page as text."""
    return _page(execution, Media()).decode()


def _page(execution: ExecutionResult, media: Media) -> bytes:
    style, script, template = _assets()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "media-src data:; base-uri 'none'; form-action 'none'"
    )
    data = encoded(page_data(execution, media))
    for found, safe in _IN_SCRIPT.items():
        data = data.replace(found, safe)
    values = {
        b"policy": policy.encode(),
        b"title": html_text(f"{execution.suite} · Duologue").encode(),
        b"style": style.encode(),
        b"summary": summary_html(execution).encode("utf-8", "replace"),
        b"data": data,
        b"script": script.encode(),
    }
    pieces = template.encode().split(b"%%")
    return b"".join(values[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _assets() -> tuple[str, str, str]:
    folder = files("duologue.reports.html") / "assets"

    def read(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")

    style = "\n".join(map(read, _STYLES))
    script = '"use strict";\n(() => {\n' + "\n".join(map(read, _SCRIPTS)) + "\n})();\n"
    return style, script, read("page.html")


HTML = ReportFormat(file="report.html", save=save_html)
