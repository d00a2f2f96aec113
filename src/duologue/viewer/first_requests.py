"""What a page asks for first, so that a browser can ask for it before the script of the page runs.

The addresses are those that ``folder_source.js`` makes, letter by letter.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote_plus, unquote

PAGE = {"offset": "0", "limit": "100"}
"""The first page of a list; see ``virtual_list.js``."""


def first_requests(path: str, query: str, folder: Callable[[str], object | None]) -> list[str]:
    """Addresses of data.

    Args:
        path: of the page, as it is written in its address.
        query: of the page. Lists that are filtered ask for something else, which is not foreseen.
        folder: of an execution; None if there is no such execution.
    """
    parts = [unquote(part) for part in path.split("/") if part]
    if not parts:
        return [] if query else [_api("executions", PAGE)]
    if parts[0] != "executions" or len(parts) < 2 or (query and len(parts) == 3):
        return []
    if folder(parts[1]) is None:
        return []
    about = {"id": parts[1]}
    found = [_api("execution", about)]
    match parts[2:]:
        case ["runs"]:
            found.append(_api("runs", {**about, **PAGE, "filter": ""}))
        case ["run", run, *_]:
            found.append(_api("run", {**about, "run": run}))
            found.append(_api("runs", {**about, **PAGE, "around": run, "filter": ""}))
        case _:
            pass
    return found


def _api(name: str, values: dict[str, str]) -> str:
    return f"/api/{name}?" + "&".join(f"{key}={_encoded(value)}" for key, value in values.items())


def _encoded(value: str) -> str:
    """As ``URLSearchParams`` writes it."""
    return quote_plus(value, safe="*").replace("~", "%7E")
