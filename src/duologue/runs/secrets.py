"""Secrets of a project: keys of agents, platforms and models, which definitions name as ``${NAME}``.

They are encrypted with a key that is not in the database: ``DUOLOGUE_SECRET_KEY``, or for SQLite a file beside it that
only its owner can read. A secret is never shown again, and is in no snapshot and no journal: whoever carries out a run
reads it then, so a key that was replaced is the one that is used.

To change the key, put a new one in front of the old one, with a comma between, and run ``duologue secrets rotate``;
then take the old one away.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, or_, select, update

from duologue.config.files import open_private
from duologue.config.own_variables import OWN_VARIABLES
from duologue.context import random_uuid
from duologue.errors import ConfigurationError, MissingExtraError, NotFoundError, StoreError
from duologue.frozen import frozen
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.definition_rows import get
from duologue.runs.store.database.schema import projects, secrets
from duologue.secret_values import remember

try:
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet
except ImportError as error:  # pragma: no cover - what a user without the extra sees
    raise MissingExtraError("a secret", "server", "cryptography") from error

KEY_VARIABLE = "DUOLOGUE_SECRET_KEY"
KEY_FILE = "secret.key"
MAX_VALUE = 64 * 1024
"""Characters of a secret."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


@frozen
class SavedSecret:
    """A secret, without its value.

    Attributes:
        name: unique in its project; definitions name it as ``${NAME}``.
        provider: what it is for, such as ``retell``; '' for anything.
    """

    id: str
    project_id: str
    name: str
    provider: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0


class SecretStore:
    """The secrets of a database.

    Args:
        database: an open one.
        environment: has the key, if it is not in a file.
    """

    def __init__(self, database: Connections, environment: Mapping[str, str] = OWN_VARIABLES) -> None:
        self._database = database
        self._environment = environment

    async def set_secret(self, project_id: str, name: str, value: str, *, provider: str = "") -> SavedSecret:
        """Save a secret, in the place of the one of that name.

        Args:
            project_id: of the project.
            name: of a variable, such as ``RETELL_API_KEY``.
            value: kept encrypted.
            provider: what it is for.

        Raises:
            ConfigurationError: the name or the value cannot be used, or there is no key to encrypt it with.
            NotFoundError: there is no such project.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"the name of the secret is {name[:120]!r}; expected letters, digits and _")
        if not value or len(value) > MAX_VALUE or "\0" in value:
            raise ConfigurationError(
                f"the value of the secret '{name}' must have 1 to {MAX_VALUE} characters, none NUL"
            )
        remember(value)
        sealed = self._cipher(create=True).encrypt(value.encode("utf-8", "surrogatepass"))
        new_id = random_uuid()

        def work(connection: Connection) -> SavedSecret:
            now = self._database.now(connection)
            if get(connection, projects, project_id) is None:
                raise NotFoundError(f'Project with id "{project_id}" not found')
            known = connection.execute(select(secrets).where(_named(project_id, name)).with_for_update()).first()
            values: dict[str, Any] = {"value": sealed, "provider": provider, "updated_at": now}
            if known is not None:
                connection.execute(update(secrets).where(secrets.c.id == known.id).values(**values))
            else:
                values |= {"id": new_id, "project_id": project_id, "name": name, "created_at": now}
                connection.execute(insert(secrets).values(**values))
            row = connection.execute(select(secrets).where(_named(project_id, name))).one()
            return _saved(row)

        return await self._database.write(work)

    async def list_secrets(
        self, project_id: str, *, limit: int | None = None, after: tuple[float, str] | None = None
    ) -> list[SavedSecret]:
        """The secrets of a project in the order in which they were first saved, without their values.

        Args:
            project_id: of the project.
            limit: at most so many; None for all.
            after: when the last one of the page before was saved, and its id.
        """
        asked = select(secrets).where(secrets.c.project_id == project_id)
        asked = asked.order_by(secrets.c.created_at, secrets.c.id).limit(limit)
        if after is not None:
            at, id_ = secrets.c.created_at, secrets.c.id
            asked = asked.where(or_(at > after[0], and_(at == after[0], id_ > after[1])))
        return await self._database.read(lambda connection: [_saved(row) for row in connection.execute(asked)])

    async def delete_secret(self, project_id: str, name: str) -> bool:
        """Delete a secret. False if there is none."""
        asked = delete(secrets).where(_named(project_id, name))
        return await self._database.write(lambda connection: connection.execute(asked).rowcount > 0)

    async def values(self, project_id: str) -> dict[str, str]:
        """The secrets of a project with their values, by name: for what carries out its runs, and never shown."""
        return {name: value for (_, name), value in (await self.opened(project_id)).items()}

    async def opened(self, project_id: str) -> dict[tuple[str, str], str]:
        """The same, by id and name.

        Raises:
            ConfigurationError: there is no key to decrypt them with, or it is another one.
        """
        asked = select(secrets).where(secrets.c.project_id == project_id)
        rows = await self._database.read(lambda connection: connection.execute(asked).all())
        if not rows:
            return {}
        cipher = self._cipher(create=False)
        found = {(row.id, row.name): _opened(cipher, row) for row in rows}
        remember(*found.values())
        return found

    async def rotate(self) -> int:
        """Encrypt all secrets with the newest key; returns how many there are."""
        cipher = self._cipher(create=False)

        def work(connection: Connection) -> int:
            rows = connection.execute(select(secrets).with_for_update()).all()
            for row in rows:
                _opened(cipher, row)
                sealed = {"value": cipher.rotate(bytes(row.value))}
                connection.execute(update(secrets).where(secrets.c.id == row.id).values(**sealed))
            return len(rows)

        return await self._database.write(work)

    def _cipher(self, *, create: bool) -> MultiFernet:
        """What encrypts with the newest key, and decrypts with all."""
        written = self._environment.get(KEY_VARIABLE, "").strip()
        where = KEY_VARIABLE
        if not written:
            where, written = self._key_file(create=create)
        try:
            return MultiFernet([Fernet(key.strip()) for key in written.split(",") if key.strip()])
        except ValueError:
            raise ConfigurationError(
                f"{where} holds no key: expected 32 random bytes in URL-safe base64; make one with "
                "duologue secrets new-key"
            ) from None

    def _key_file(self, *, create: bool) -> tuple[str, str]:
        """The file with the key, beside an SQLite database, and what it holds."""
        if self._database.folder is None:
            raise ConfigurationError(
                f"{KEY_VARIABLE} is not set: secrets are encrypted with it. Make one with duologue secrets new-key"
            )
        path = self._database.folder / KEY_FILE
        try:
            if create and not path.exists():
                _make_key_file(path)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}. Set {KEY_VARIABLE}") from error
        try:
            return str(path), path.read_text("ascii").strip()
        except FileNotFoundError:
            raise ConfigurationError(
                f"{path} is missing, and {KEY_VARIABLE} is not set: the secrets of this database were encrypted with "
                "one of them. Bring it back, or save them again"
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error


def new_key() -> str:
    """A key for ``DUOLOGUE_SECRET_KEY``."""
    return Fernet.generate_key().decode("ascii")


def _make_key_file(path: Path) -> None:
    """Make the file with a key, which is there whole or not at all, unless another process is first."""
    made = path.with_name(f"{path.name}.{random_uuid()}")
    try:
        with open(made, "xb", opener=open_private) as file:
            file.write(Fernet.generate_key() + b"\n")
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)


def _opened(cipher: MultiFernet, row: Row[Any]) -> str:
    try:
        return cipher.decrypt(bytes(row.value)).decode("utf-8", "surrogatepass")
    except InvalidToken:
        raise StoreError(
            f"the secret '{row.name}' was encrypted with another key than {KEY_VARIABLE} or {KEY_FILE} hold now; "
            "bring that one back, or save the secret again"
        ) from None


def _named(project_id: str, name: str) -> Any:
    return and_(secrets.c.project_id == project_id, secrets.c.name == name)


def _saved(row: Row[Any]) -> SavedSecret:
    return SavedSecret(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        provider=row.provider,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
