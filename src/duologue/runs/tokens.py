"""ApiTokens of the API: who may do what, in which project.

A token is 32 random bytes, shown once, when it is made. What is kept is a digest, so a database that leaks opens
nothing, and whoever asks with an unknown token costs as much as with a known one.
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, or_, select, update

from duologue.context import random_uuid
from duologue.errors import ConfigurationError, NotFoundError
from duologue.frozen import frozen
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.definition_rows import get, named
from duologue.runs.store.database.schema import projects, tokens

PREFIX = "duo_"
"""What tokens begin with, so that scanners for leaked keys find them."""
_SHOWN = 8


class TokenScope(StrEnum):
    """What a token allows. Each scope includes those before it."""

    READ = "read"
    """Look at everything but secrets."""
    RUN = "run"
    """Define and run."""
    ADMIN = "admin"
    """Everything: tokens, secrets, settings, code and programs."""

    def allows(self, needed: TokenScope) -> bool:
        """Whether this scope is enough for what needs that one."""
        order = tuple(TokenScope)
        return order.index(self) >= order.index(needed)


@frozen
class ApiToken:
    """A token, without the token itself.

    Attributes:
        project_id: the only project that it opens; None for all.
        hint: its first characters.
        expires_at: seconds since 1970; None for never.
        last_used_at: to the minute; None for never.
    """

    id: str
    name: str
    scope: TokenScope
    hint: str
    project_id: str | None = None
    expires_at: float | None = None
    last_used_at: float | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


class ApiTokens:
    """The tokens of a database.

    Args:
        database: an open one.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database

    async def create_token(
        self,
        name: str,
        scope: TokenScope | str = TokenScope.READ,
        *,
        project_id: str | None = None,
        expires_at: float | None = None,
    ) -> tuple[str, ApiToken]:
        """Make a token.

        Args:
            name: for people.
            scope: what it allows.
            project_id: the only project that it opens; None for all.
            expires_at: seconds since 1970, in the future; None for never.

        Returns:
            The token, which is shown now and never again, and what is kept of it.

        Raises:
            ConfigurationError: there is no such scope, or it would be expired.
            NotFoundError: there is no such project.
        """
        if scope not in tuple(TokenScope):
            raise ConfigurationError(f"the scope is {scope!r}; expected one of {', '.join(TokenScope)}")
        token = f"{PREFIX}{secrets.token_urlsafe(32)}"
        fields: dict[str, Any] = {
            "id": random_uuid(),
            "project_id": project_id,
            "name": named(name, "token"),
            "scope": str(scope),
            "hint": token[: len(PREFIX) + _SHOWN],
            "expires_at": expires_at,
        }

        def work(connection: Connection) -> ApiToken:
            now = self._database.now(connection)
            if project_id is not None and get(connection, projects, project_id) is None:
                raise NotFoundError(f'Project with id "{project_id}" not found')
            if expires_at is not None and expires_at <= now:
                raise ConfigurationError("expires_at is in the past; expected a time to come")
            values: dict[str, Any] = {**fields, "created_at": now, "updated_at": now}
            connection.execute(insert(tokens).values(digest=digest_of(token), **values))
            values["scope"] = TokenScope(scope)
            return ApiToken(**values)

        return token, await self._database.write(work)

    async def is_valid(self, token_id: str) -> bool:
        """Whether a token still opens something: it is neither revoked nor expired."""

        def work(connection: Connection) -> bool:
            row = connection.execute(select(tokens.c.expires_at).where(tokens.c.id == token_id)).first()
            return row is not None and (row.expires_at is None or row.expires_at > self._database.now(connection))

        return await self._database.read(work)

    async def list_tokens(
        self,
        *,
        project_id: str | None = None,
        limit: int | None = None,
        after: tuple[float, str] | None = None,
    ) -> list[ApiToken]:
        """The tokens in the order in which they were made.

        Args:
            project_id: only those of this project; None for all.
            limit: at most so many; None for all.
            after: when the last one of the page before was made, and its id.
        """
        asked = select(tokens).order_by(tokens.c.created_at, tokens.c.id).limit(limit)
        if project_id is not None:
            asked = asked.where(tokens.c.project_id == project_id)
        if after is not None:
            at, id_ = tokens.c.created_at, tokens.c.id
            asked = asked.where(or_(at > after[0], and_(at == after[0], id_ > after[1])))
        return await self._database.read(lambda connection: [_token(row) for row in connection.execute(asked)])

    async def revoke_token(self, token_id: str, *, project_id: str | None = None) -> bool:
        """Make a token useless, at once. False if there is none.

        Args:
            token_id: its id.
            project_id: only if it is one of this project; None for all.
        """
        asked = delete(tokens).where(tokens.c.id == token_id)
        if project_id is not None:
            asked = asked.where(tokens.c.project_id == project_id)
        return await self._database.write(lambda connection: connection.execute(asked).rowcount > 0)

    async def any_token(self) -> bool:
        """Whether there is a token that is not expired."""
        return await self._database.read(lambda connection: any_token(connection, self._database.now(connection)))

    async def used(self, token_id: str) -> None:
        """Note that a token was used."""

        def work(connection: Connection) -> None:
            values = {"last_used_at": self._database.now(connection)}
            connection.execute(update(tokens).where(tokens.c.id == token_id).values(**values))

        await self._database.write(work)


def digest_of(token: str) -> str:
    """What is kept of a token. It is random, so that a plain digest is enough."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def find_token(connection: Connection, token: str, now: float) -> ApiToken | None:
    """What is kept of a token; None if it is unknown or expired."""
    row = connection.execute(select(tokens).where(tokens.c.digest == digest_of(token))).first()
    found = _token(row) if row is not None else None
    return found if found is not None and (found.expires_at is None or found.expires_at > now) else None


def any_token(connection: Connection, now: float) -> bool:
    """Whether there is a token that is not expired."""
    valid = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)
    return connection.execute(select(tokens.c.id).where(valid).limit(1)).first() is not None


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        scope=TokenScope(row.scope),
        hint=row.hint,
        project_id=row.project_id,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
