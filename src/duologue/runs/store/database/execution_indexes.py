"""Indexes of executions that are over, kept beside them, so that opening one reads no results but those it shows.

A kept index is a copy of what the results say, and is never more than that. Its key is a digest of everything that
decides it: the rows of all runs, the facts of the execution, and the version of the code that made it. Whatever changes
a run gives its row another ``updated_at``, so a changed execution has another key, and what was kept is not found.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from typing import Any, cast

from pydantic_core import from_json
from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.dialects import postgresql, sqlite

from duologue.runs.store.database.schema import evals, execution_indexes, executions, runs
from duologue.runs.store.encoding import SCHEMA_VERSION, encoded
from duologue.version import __version__

Json = dict[str, Any]

VERSION = 1
"""Of what is kept. Raise it with every change of what an index says of the same results."""
STATE = ("number", "id", "status", "outcome", "attempts", "token", "started_at", "completed_at", "updated_at")
"""Columns of a run that are other ones whenever its result is another one."""


def execution_row(execution_id: int, project_id: str | None = None) -> Select[Any]:
    """Asks for the row of an execution, with the name of its eval as ``eval``."""
    asked = select(executions, evals.c.name.label("eval"))
    asked = asked.join(evals, evals.c.id == executions.c.eval_id, isouter=True).where(executions.c.id == execution_id)
    return asked if project_id is None else asked.where(executions.c.project_id == project_id)


def index_key(execution: Row[Any], states: Iterable[tuple[object, ...]]) -> str:
    """What an index is kept under.

    Args:
        execution: as :func:`execution_row` finds it.
        states: the columns :data:`STATE` of all of its runs, in the order of their numbers.
    """
    facts = [VERSION, SCHEMA_VERSION, __version__, execution.id, execution.name, execution.eval, execution.created_at]
    digest = hashlib.sha256(json.dumps([*facts, execution.data], sort_keys=True).encode())
    for state in states:
        digest.update(repr(state).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def kept_index(connection: Connection, execution_id: int, key: str) -> Json | None:
    """The index that was kept under a key; None if there is none, or it is damaged."""
    asked = select(execution_indexes.c.data).where(
        execution_indexes.c.execution_id == execution_id, execution_indexes.c.key == key
    )
    data = connection.execute(asked).scalar()
    if data is None:
        return None
    try:
        found = from_json(zlib.decompress(data))
    except (zlib.error, ValueError):
        return None
    return cast("Json", found) if isinstance(found, dict) else None


def packed_index(index: Json) -> bytes:
    """An index as it is kept."""
    return zlib.compress(encoded(index), 1)


def keep_index(connection: Connection, execution_id: int, key: str, data: bytes, now: float) -> bool:
    """Keep an index in place of an earlier one, unless something has changed since it was made.

    Args:
        connection: in a transaction that writes.
        execution_id: of the execution.
        key: of what the index was made from.
        data: what :func:`packed_index` made.
        now: the instant.

    Returns:
        Whether it is kept.
    """
    row = connection.execute(execution_row(execution_id)).first()
    asked = select(*(runs.c[name] for name in STATE)).where(runs.c.execution_id == execution_id)
    states = cast("Iterable[tuple[object, ...]]", connection.execute(asked.order_by(runs.c.number)))
    if row is None or index_key(row, map(tuple, states)) != key:
        return False
    values = {"key": key, "data": data, "created_at": now}
    made = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(execution_indexes)
    given = made.values(execution_id=execution_id, **values)
    connection.execute(given.on_conflict_do_update(index_elements=["execution_id"], set_=values))
    return True
