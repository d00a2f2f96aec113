"""Bodies of requests: JSON objects whose problems are told with the path of the field, in the words of ``validate``.

A route says what a body is made of, and gets it as it was sent, so that there is one check of it: the service's own.

::

    async def create_persona(
        caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=Persona)]
    ) -> Response: ...
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any, TypeVar, cast

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel

from duologue.config.placed_json import read_json_object, refused
from duologue.config.problems import PlacedDict, PlacedList, Problems, checked, shown
from duologue.errors import ConfigurationError, NotFoundError
from duologue.frozen import frozen

M = TypeVar("M", bound=BaseModel)


@frozen
class BodyOf:
    """What the body of a request is made of, for the OpenAPI document.

    Attributes:
        model: with its fields.
        partial: whether every field may be left out, or be null for its default.
        example: a body.
        needed: whether there has to be a body.
    """

    model: type[BaseModel]
    partial: bool = False
    example: Mapping[str, Any] = field(default_factory=dict[str, Any])
    needed: bool = True


async def json_body(request: Request) -> PlacedDict:
    """The body of a request as placed data.

    Raises:
        HTTPException: it is no JSON by its own account.
        ConfigurationError: it is no JSON object.
    """
    content = await request.body()
    if not content:
        return read_json_object(b"{}")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, f"the body is {kind or 'of no type'}; expected application/json")
    try:
        return read_json_object(content)
    except ConfigurationError as error:
        raise HTTPException(400, str(error)) from error


JSON_BODY = Depends(json_body)
"""Reads the body of a request."""


def read_body(model: type[M], body: PlacedDict) -> M:
    """The body as a model.

    Raises:
        SuiteError: with everything that is wrong.
    """
    problems = Problems()
    made = checked(model, body, problems)
    problems.raise_errors()
    assert made is not None, "there are no problems"
    return made


def named_ids(body: PlacedDict, name: str) -> list[str] | None:
    """A list of ids in a body; None where the field is missing or null.

    Raises:
        SuiteError: it is something else.
    """
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in cast("list[object]", value)):
        raise refused(name, f"found {shown(value)}; expected a list of ids")
    return list(dict.fromkeys(cast("list[str]", value)))


@contextmanager
def references(body: PlacedDict) -> Generator[None]:
    """What a body names and does not exist is a problem of the body: the route itself is found.

    Raises:
        SuiteError: in the place of NotFoundError.
    """
    try:
        yield
    except NotFoundError as error:
        message = str(error)
        raise refused(next(_places_of(body, message), ""), message) from error


def _places_of(data: object, message: str) -> Iterator[str]:
    """The fields whose text a message quotes."""
    match data:
        case PlacedDict():
            pairs = [(data.mark(name).field, item) for name, item in data.items()]
        case PlacedList():
            pairs = [(data.mark(index).field, item) for index, item in enumerate(data)]
        case _:
            return
    for path, item in pairs:
        if isinstance(item, str) and item and f'"{item}"' in message:
            yield path
        yield from _places_of(item, message)
