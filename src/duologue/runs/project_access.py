"""What the runs of a project may use of the machine that carries them out, and of the secrets of the project.

Where the API has tokens, definitions come from people whom the machine does not belong to. Then their runs get the
secrets of their project, the variables that the operator names, and no private address unless the operator says so.
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import field

from sqlalchemy import Connection, func, select

from duologue.config.access import Access
from duologue.context import Clock
from duologue.frozen import changed, frozen
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.schema import secrets
from duologue.runs.tokens import ApiTokens

LOOKED_AGAIN = 1.0
"""Seconds after which it is looked whether secrets have changed."""


@frozen
class DefinitionPolicy:
    """What definitions may use of the machine that carries out their runs.

    Attributes:
        variables: of the environment; None for all.
        private_addresses: whether requests may go to loopback and private addresses.
        own_code: whether Python code that they name may run in this process.
    """

    variables: tuple[str, ...] | None = None
    private_addresses: bool = True
    own_code: bool = True


@frozen
class UsualPolicy:
    """The policy of a database: all is allowed where nobody but the owner of the machine can define anything.

    Attributes:
        variables: of the environment, that may be used; None for the usual.
        private_addresses: whether they may be asked; None for the usual.
        guarded: whether others define things; None: if the API has tokens.
        own_code: whether Python code that definitions name may run in this process.
    """

    variables: tuple[str, ...] | None = None
    private_addresses: bool | None = None
    guarded: bool | None = None
    own_code: bool = True

    async def of(self, database: Connections) -> DefinitionPolicy:
        """The policy of an open database."""
        guarded = await ApiTokens(database).any_token() if self.guarded is None else self.guarded
        return DefinitionPolicy(
            variables=self.variables if self.variables is not None else (() if guarded else None),
            private_addresses=not guarded if self.private_addresses is None else self.private_addresses,
            own_code=self.own_code,
        )


@frozen
class ProjectKeys:
    """What runtimes may ask of the service: keys of platforms, which are secrets of the project.

    Attributes:
        known: by name, and by id.
    """

    known: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    async def integration_key(self, integration_id: str) -> str | None:
        """The key of a platform that the project has saved, by the id or name of the secret; None if there is none."""
        return self.known.get(integration_id)


@frozen
class ProjectValues:
    """What is known of the secrets of a project.

    Attributes:
        version: changes whenever one of them does.
        access: what the runs of the project may use.
        looked_at: when that was so.
        session: what their runtimes may ask.
    """

    version: str
    access: Access
    looked_at: float
    session: ProjectKeys = ProjectKeys()


class ProjectAccess:
    """What the runs of each project may use.

    Args:
        database: an open one.
        policy: of the machine.
        clock: for how long what was read is used.
    """

    def __init__(self, database: Connections, policy: DefinitionPolicy, clock: Clock) -> None:
        self._database = database
        self._policy = policy
        self._clock = clock
        self._known: dict[str, ProjectValues] = {}

    async def of(self, project_id: str) -> ProjectValues:
        """What the runs of a project may use now.

        Raises:
            ConfigurationError: there are secrets, and no key to decrypt them with.
        """
        now, known = self._clock.monotonic(), self._known.get(project_id)
        if known is not None and now - known.looked_at < LOOKED_AGAIN:
            return known
        version = await self._database.read(lambda connection: _version(connection, project_id))
        if known is None or version != known.version:
            opened = await self._opened(project_id) if version else {}
            access = self._access({name: value for (_, name), value in opened.items()})
            keys = {key: value for names, value in opened.items() for key in names}
            known = ProjectValues(version=version, access=access, looked_at=now, session=ProjectKeys(known=keys))
        else:
            known = changed(known, looked_at=now)
        self._known[project_id] = known
        return known

    async def _opened(self, project_id: str) -> dict[tuple[str, str], str]:
        from duologue.runs.secrets import SecretStore

        return await SecretStore(self._database).opened(project_id)

    def _access(self, values: dict[str, str]) -> Access:
        policy = self._policy
        if policy.variables is None:
            shown: Mapping[str, str] | None = ChainMap(values, os.environ) if values else None
        else:
            shown = {**{name: os.environ[name] for name in policy.variables if name in os.environ}, **values}
        return Access(
            values=shown,
            is_limited=policy.variables is not None,
            private_addresses=policy.private_addresses,
            own_code=policy.own_code,
        )


def _version(connection: Connection, project_id: str) -> str:
    """Changes whenever a secret of the project does; '' where there is none."""
    asked = select(func.count(), func.max(secrets.c.updated_at)).where(secrets.c.project_id == project_id)
    count, last = connection.execute(asked).one()
    return f"{count}:{last}" if count else ""
