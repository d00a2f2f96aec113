"""What a server answers when a browser asks for a page or for a file of it.

A browser that has to ask for forty modules is busy with asking. So a server offers all modules of an entry as one
script, and names it and the style sheet by what is in them: a browser keeps them and does not ask again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from urllib.parse import quote_plus, unquote

from duologue.frozen import frozen
from duologue.web.assets import STATIC, StaticFile, static_file, template
from duologue.web.bundle import script

_BUNDLE = ".bundle.js"
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_MARKED = re.compile(r"~+\.{0,2}")
"""A part that an address would lose, such as ``..``, is written with a tilde; see ``toPart`` in ``address.js``."""

FIRST_PAGE = {"offset": "0", "limit": "100"}
"""What is asked for of a list at first; see ``virtual_list.js``."""


@frozen
class StaticAnswer:
    """An answer to a request for a file.

    Attributes:
        status: of HTTP.
        headers: of the answer.
        content: its body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


def static_answer(name: str, *, version: str | None = None, known: str | None = None) -> StaticAnswer | None:
    """The answer to ``/static/NAME``; None if there is no such file.

    Args:
        name: see :func:`duologue.web.static_file`; ``ENTRY.bundle.js`` is a module with all that it imports.
        version: the parameter ``v`` of the address, with which frames name files. The same version never changes.
        known: the header ``If-None-Match``.
    """
    found = _file(name)
    if found is None:
        return None
    headers = {"ETag": found.etag, "Cache-Control": _FOR_EVER if version == _version(found) else _ASK_AGAIN}
    if found.etag in (known or ""):
        return StaticAnswer(status=304, headers=headers, content=b"")
    return StaticAnswer(status=200, headers={**headers, "Content-Type": found.media_type}, content=found.content)


def app_page(entry: str, data: Iterable[str] = ()) -> bytes:
    """The frame of an application.

    Args:
        entry: the name of a module in ``static/``.
        data: addresses that the page asks for as soon as its script runs. A browser asks for them meanwhile. They have
            to be exactly what the script asks for, or they are asked for twice.
    """
    preload = "\n".join(
        f'<link rel="preload" as="fetch" crossorigin="anonymous" href="{escape(address)}">' for address in data
    )
    return _frame(entry).replace(b"%preload%", preload.encode())


def address_of(path: str, values: Mapping[str, str]) -> str:
    """An address as ``URLSearchParams`` writes it in a browser.

    Args:
        path: as it is written.
        values: of the query, in order.
    """
    written = (f"{name}={quote_plus(value, safe='*').replace('~', '%7E')}" for name, value in values.items())
    return f"{path}?{'&'.join(written)}"


def parts_of(path: str) -> list[str]:
    """The parts of an address, as ``address.js`` reads them."""
    parts = [unquote(part) for part in path.split("/") if part]
    return [part[1:] if _MARKED.fullmatch(part) else part for part in parts]


@cache
def _frame(entry: str) -> bytes:
    values = {"style": _address("duologue.css"), "script": _address(f"{entry.removesuffix('.js')}{_BUNDLE}")}
    return template("app.html", {name: value.encode() for name, value in values.items()} | {"preload": b"%preload%"})


def _address(name: str) -> str:
    found = _file(name)
    if found is None:
        raise ValueError(f"there is no {name} among the files of the pages")
    return f"{STATIC}{name}?v={_version(found)}"


@cache
def _file(name: str) -> StaticFile | None:
    entry = f"{name.removesuffix(_BUNDLE)}.js"
    if not name.endswith(_BUNDLE):
        return static_file(name)
    module = static_file(entry)
    return StaticFile(content=script(entry).encode(), media_type=module.media_type) if module is not None else None


def _version(file: StaticFile) -> str:
    return file.etag.strip('"')
