"""What a page asks for first, so that a browser can ask for it before the script of the page runs.

The addresses are those that ``api_source.js`` makes, letter by letter.
"""

from __future__ import annotations

from urllib.parse import quote

from duologue import web

SESSION = "/api/pages/session"
_PAGES = "/api/pages"
_UNRESERVED = "!~*'()"
"""Besides letters and digits, what ``encodeURIComponent`` leaves as it is."""


def first_requests(path: str, query: str, *, signed_in: bool) -> list[str]:
    """Addresses of data.

    Args:
        path: of the page, as it is written in its address.
        query: of the page. Lists that are filtered ask for something else, which is not foreseen.
        signed_in: whether the browser may be given something of a project.
    """
    parts = web.parts_of(path)
    if not signed_in or len(parts) < 2 or parts[0] != "p":
        return [SESSION]
    return [SESSION, *_of_project({"project": parts[1]}, parts[2:], query)]


def _of_project(project: dict[str, str], parts: list[str], query: str) -> list[str]:
    page = project | web.FIRST_PAGE
    match parts:
        case []:
            return [] if query else [web.address_of(f"{_PAGES}/executions", page)]
        case ["executions", number, *inner] if number.isdecimal() and len(number) < 16:
            execution = f"{_PAGES}/executions/{int(number)}"
            found = [web.address_of(execution, project)]
            match inner:
                case ["runs"] if not query:
                    found.append(web.address_of(f"{execution}/runs", page))
                case ["run", run, *_]:
                    found.append(web.address_of(f"{_PAGES}/runs/{quote(run, safe=_UNRESERVED)}", project))
                    found.append(web.address_of(f"{execution}/runs", {**page, "around": run}))
                case _:
                    pass
            return found
        case _:
            return []
