"""What a page asks for first, so that a browser can ask for it before the script of the page runs.

The addresses are those that ``folder_source.js`` makes, letter by letter.
"""

from __future__ import annotations

from collections.abc import Callable

from duologue import web


def first_requests(path: str, query: str, folder: Callable[[str], object | None]) -> list[str]:
    """Addresses of data.

    Args:
        path: of the page, as it is written in its address.
        query: of the page. Lists that are filtered ask for something else, which is not foreseen.
        folder: of an execution; None if there is no such execution.
    """
    parts = web.parts_of(path)
    if not parts:
        return [] if query else [_api("executions", web.FIRST_PAGE)]
    if parts[0] != "executions" or len(parts) < 2 or (query and len(parts) == 3):
        return []
    if folder(parts[1]) is None:
        return []
    about = {"id": parts[1]}
    found = [_api("execution", about)]
    match parts[2:]:
        case ["runs"]:
            found.append(_api("runs", {**about, **web.FIRST_PAGE, "filter": ""}))
        case ["run", run, *_]:
            found.append(_api("run", {**about, "run": run}))
            found.append(_api("runs", {**about, **web.FIRST_PAGE, "around": run, "filter": ""}))
        case _:
            pass
    return found


def _api(name: str, values: dict[str, str]) -> str:
    return web.address_of(f"/api/{name}", values)
