"""How a service is run: which store, who may ask, and how much."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from duologue.frozen import frozen
from duologue.runs.store.database.engine import Database

MAX_BODY = 16 * 1024 * 1024
"""Bytes of the body of a request."""


@frozen
class ServerSettings:
    """How a service is run.

    Attributes:
        store: the database, or its URL, folder or file; None for what ``DUOLOGUE_DATABASE_URL`` names, else for that of
            the project in the current folder.
        create: whether to make the tables of a database that has none. None: of a file that does not exist.
        token_required: whether every request needs a token; None: if the store has one when the service starts. Without
            tokens a service may only listen to a loopback address.
        hosts: names under which it may be asked without tokens, beside those of the loopback interface.
        allowed_variables: of the environment, that what callers define may name; None for all of them if no token is
            required, else for none.
        allow_private_addresses: whether what callers define may lead to private addresses; None: if no token is
            required.
        max_body: bytes of the body of a request.
    """

    store: Database | str | Path | None = None
    create: bool | None = None
    token_required: bool | None = None
    hosts: tuple[str, ...] = ()
    allowed_variables: tuple[str, ...] | None = None
    allow_private_addresses: bool | None = None
    max_body: int = MAX_BODY


@asynccontextmanager
async def opened_store(settings: ServerSettings) -> AsyncGenerator[Database]:
    """The database of a service; one that was opened by others is left open."""
    if isinstance(settings.store, Database):
        yield settings.store
        return
    async with Database.open(settings.store, create=settings.create) as database:
        yield database
