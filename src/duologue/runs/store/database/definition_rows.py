"""Rows of what people define: read and checked, within a transaction of the caller."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Row, Select, Table, and_, delete, insert, or_, select

from duologue.config.placed_json import placed, refused
from duologue.config.problems import PlacedDict, Problems, checked, listed, report, unknown
from duologue.config.redaction import is_written_out
from duologue.config.spec import Spec
from duologue.errors import ConfigurationError, NotFoundError, StoreConflictError, SuiteError
from duologue.runs.snapshots import written_out
from duologue.runs.store.database.json_columns import to_text
from duologue.runs.store.database.schema import (
    agents,
    connectors,
    eval_scenarios,
    evals,
    personas,
    projects,
    scenario_personas,
    scenarios,
)
from duologue.runs.store.definitions import (
    CONNECTOR_TYPES,
    Connector,
    ConnectorType,
    Eval,
    EvalSpec,
    Project,
    ProjectSettings,
    SavedPersona,
    SavedScenario,
)
from duologue.secret_values import HIDDEN
from duologue.specs.agents import Agent, Persona, is_model_name
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite
from duologue.suites.manifests.loader import Draft
from duologue.suites.manifests.validate import validated

Changes = Mapping[str, Any]
"""New values of fields by name; None gives a field its default again."""
After = str | tuple[float, str] | None
"""The last item of the page before: its id, or when it was created and its id; None for the first page."""
S = TypeVar("S")
Expected = Callable[[S], None]
"""Gets what is stored, in the transaction that changes it, and raises where the caller has seen something else."""
_LONGEST_NAME = 200
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")


# Reading


def get(connection: Connection, table: Table, id_: str) -> Row[Any] | None:
    """The row with that id; None if there is none."""
    return connection.execute(select(table).where(table.c.id == id_)).first()


def require(
    connection: Connection, table: Table, what: str, ids: Iterable[str], project_id: str
) -> dict[str, Row[Any]]:
    """The rows with these ids, by id.

    Raises:
        NotFoundError: one of them is not in the project.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    found = connection.execute(select(table).where(table.c.id.in_(wanted), table.c.project_id == project_id))
    rows = {row.id: row for row in found}
    for id_ in wanted:
        if id_ not in rows:
            raise NotFoundError(f'{what} with id "{id_}" not found')
    return rows


def page(
    connection: Connection,
    table: Table,
    project_id: str | None,
    limit: int | None,
    after: After,
    name: str | None = None,
) -> Sequence[Row[Any]]:
    """Rows in the order in which they were created.

    Args:
        connection: of the transaction.
        table: with ``created_at`` and ``id``.
        project_id: only those of this project; None for all.
        limit: at most so many; None for all.
        after: the last one of the page before. With the time when it was created, it may be gone by now.
        name: only the one of that name.

    Raises:
        ConfigurationError: the limit is below 1.
        NotFoundError: there is no row ``after``.
    """
    if limit is not None and limit < 1:
        raise ConfigurationError(f"limit is {limit}; expected at least 1, or None for all")
    asked: Select[Any] = select(table).order_by(table.c.created_at, table.c.id)
    if project_id is not None:
        asked = asked.where(table.c.project_id == project_id)
    if name is not None:
        asked = asked.where(table.c.name == name)
    if isinstance(after, str):
        last = get(connection, table, after)
        if last is None:
            raise NotFoundError(f'nothing with id "{after}" to continue after; ask for the first page again')
        after = last.created_at, after
    if after is not None:
        at, id_ = table.c.created_at, table.c.id
        asked = asked.where(or_(at > after[0], and_(at == after[0], id_ > after[1])))
    return connection.execute(asked.limit(limit)).all()


def find_project(connection: Connection, project: str) -> Project | None:
    """The project with that id, that name, or the only one whose id begins so; None if there is none."""
    exact = select(projects).where(or_(projects.c.id == project, projects.c.name == project))
    rows = connection.execute(exact.order_by(projects.c.id != project)).all()
    if not rows and len(project) >= 4:
        begins = projects.c.id.startswith(project, autoescape=True)
        rows = connection.execute(select(projects).where(begins)).all()
        if len(rows) > 1:
            return None
    return saved_project(rows[0]) if rows else None


def saved_project(row: Row[Any]) -> Project:
    """A row as what it is."""
    return Project(
        id=row.id,
        name=row.name,
        settings=ProjectSettings.model_validate(row.settings),
        max_concurrency=row.max_concurrency,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def facts(row: Row[Any]) -> dict[str, Any]:
    """What all rows of definitions have, beside their names."""
    names = ("id", "project_id", "created_at", "updated_at")
    return {name: getattr(row, name) for name in names}


def whole(row: Row[Any]) -> dict[str, Any]:
    """The fields of a definition, its name included."""
    return {"name": row.name, **row.data}


def saved_persona(row: Row[Any]) -> SavedPersona:
    """A row as what it is, without credentials that are written out."""
    return SavedPersona(spec=Persona.model_validate(whole(row)), **facts(row))


def saved_scenarios(connection: Connection, ids: Sequence[str]) -> list[SavedScenario]:
    """The scenarios with these ids that there are, in this order, with the present names of their personas."""
    rows = {row.id: row for row in connection.execute(select(scenarios).where(scenarios.c.id.in_(ids)))}
    asked = (
        select(scenario_personas.c.scenario_id, personas.c.id, personas.c.name)
        .join(personas, personas.c.id == scenario_personas.c.persona_id)
        .where(scenario_personas.c.scenario_id.in_(ids))
        .order_by(scenario_personas.c.position)
    )
    linked: dict[str, list[tuple[str, str]]] = {}
    for scenario_id, persona_id, name in connection.execute(asked):
        linked.setdefault(scenario_id, []).append((persona_id, name))
    return [
        SavedScenario(
            spec=Scenario.model_validate({**whole(row), "personas": [name for _, name in linked.get(id_, ())]}),
            persona_ids=tuple(persona for persona, _ in linked.get(id_, ())),
            **facts(row),
        )
        for id_ in ids
        if (row := rows.get(id_)) is not None
    ]


def saved_connector(row: Row[Any]) -> Connector:
    """A row as what it is, credentials included."""
    return Connector(name=row.name, **row.data, **facts(row))


def saved_evals(connection: Connection, ids: Sequence[str]) -> list[Eval]:
    """The evals with these ids that there are, in this order."""
    rows = {row.id: row for row in connection.execute(select(evals).where(evals.c.id.in_(ids)))}
    links = select(eval_scenarios).where(eval_scenarios.c.eval_id.in_(ids)).order_by(eval_scenarios.c.position)
    linked: dict[str, list[str]] = {}
    for link in connection.execute(links):
        linked.setdefault(link.eval_id, []).append(link.scenario_id)
    return [
        Eval(
            name=row.name,
            scenario_ids=tuple(linked.get(id_, ())),
            connector_id=row.connector_id,
            spec=EvalSpec.model_validate(row.data),
            **facts(row),
        )
        for id_ in ids
        if (row := rows.get(id_)) is not None
    ]


def speakers_of(connection: Connection, project_id: str, found: Iterable[Scenario]) -> list[SavedPersona]:
    """The personas that turns of scenarios name.

    Raises:
        NotFoundError: the project has none of that name.
    """
    names = list(dict.fromkeys(turn.persona for scenario in found for turn in scenario.turns if turn.persona))
    return [saved_persona(row) for row in _by_name(connection, project_id, names)]


def _by_name(connection: Connection, project_id: str, names: Sequence[str]) -> list[Row[Any]]:
    if not names:
        return []
    asked = select(personas).where(personas.c.project_id == project_id, personas.c.name.in_(names))
    rows = {row.name: row for row in connection.execute(asked)}
    for name in names:
        if name not in rows:
            raise NotFoundError(f'Persona with name "{name}" not found')
    return [rows[name] for name in names]


# Checking


def named(name: object, what: str) -> str:
    """A name that can be used.

    Raises:
        ConfigurationError: it is empty, too long or no text.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise ConfigurationError(f"the name of a {what} is {name!r}; expected 1 to {_LONGEST_NAME} characters")
    if to_text(name) != name:
        raise ConfigurationError(f"the name of a {what} is {name!r}; expected a text without NUL and half characters")
    return name


def require_free(
    connection: Connection, table: Table, what: str, name: str, *, project_id: str | None = None, but: str = ""
) -> None:
    """Refuse a name that is taken. Raises StoreConflictError."""
    asked = select(table.c.id).where(table.c.name == name, table.c.id != but)
    if project_id is not None:
        asked = asked.where(table.c.project_id == project_id)
    if connection.execute(asked).first() is not None:
        raise StoreConflictError(f'{what} with name "{name}" already exists')


def require_unused(connection: Connection, what: str, name: str, used: Select[Any], by: str) -> None:
    """Refuse to delete what others use, and name them. Raises StoreConflictError."""
    users = sorted(set(connection.execute(used).scalars()))
    if users:
        more = "s" if len(users) > 1 else ""
        told = listed(f"'{user}'" for user in users[:10]) + (f" and {len(users) - 10} more" if len(users) > 10 else "")
        raise StoreConflictError(f"the {what} '{name}' is used by the {by}{more} {told}; take it out there first")


def require_valid(scenarios: Sequence[Scenario] = (), personas: Sequence[Persona] = ()) -> None:
    """Refuse scenarios and personas that a suite would refuse: unknown checks, templates without their values.

    Raises:
        SuiteError: with all that is wrong.
    """
    called = {"runtime": {"kind": "websocket", "url": "wss://agent.invalid"}}
    asked = {"http": {"url": "http://agent.invalid"}}
    is_spoken = any(item.voice is not None for item in scenarios)
    agent = Agent.model_validate({"name": "agent", **(called if is_spoken else asked)})
    found = tuple(item.changed(agents=(), judge=None) for item in scenarios)
    suite = Suite(name="definition", agents=(agent,), personas=tuple(personas), scenarios=found)
    problems = Problems()
    validated(Draft(suite=suite), problems)
    problems.raise_errors()


def require_references(spec: Spec, what: str) -> None:
    """Refuse credentials that are written out where only references can be. Raises ConfigurationError."""
    if found := list(written_out(spec)):
        raise ConfigurationError(f"{what}: {'; '.join(found)}")


def only(changes: Changes, known: Sequence[str], what: str) -> dict[str, Any]:
    """The changes, all of fields that there are. Raises ConfigurationError for others."""
    unknown = [name for name in changes if name not in known]
    if unknown:
        raise ConfigurationError(f"{what} has no field {listed(unknown)}; known: {listed(known)}")
    return dict(changes)


def merged(data: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The fields with their changes; None takes a field out."""
    values = {name: _plain(value) for name, value in changes.items()}
    return {name: value for name, value in {**data, **values}.items() if value is not None}


def with_kept_headers(changes: Changes, kept: Mapping[str, str]) -> dict[str, Any]:
    """The changes, where a header that is only shown as hidden keeps its value."""
    headers = changes.get("headers")
    if not isinstance(headers, Mapping):
        return dict(changes)
    given = cast("Mapping[str, str]", headers)
    return {
        **changes,
        "headers": {name: kept.get(name, value) if value == HIDDEN else value for name, value in given.items()},
    }


def settings_of(settings: ProjectSettings | Changes) -> ProjectSettings:
    """Settings that can be used. Raises ConfigurationError for others."""
    made = settings if isinstance(settings, ProjectSettings) else read(ProjectSettings, settings, "the settings")
    require_references(made, "the settings of the project")
    names = [item.name for item in made.models]
    for field in ("evaluation_model", "persona_model"):
        name = getattr(made, field)
        if name is not None and name not in names and not is_model_name(name):
            told = "Write a model of a provider as provider/model, such as openai/gpt-5-mini, or describe it in models"
            raise ConfigurationError(f"the settings of the project: {field}: {unknown('model', name, names)}. {told}")
    return made


def persona_of(persona: Persona | Changes) -> Persona:
    """A persona that can be used. Raises ConfigurationError for another."""
    return persona if isinstance(persona, Persona) else read(Persona, persona, "the persona")


def read(spec: type[Any], data: Mapping[str, Any], what: str) -> Any:
    """Data as a spec.

    Raises:
        SuiteError: with each field that is wrong, in the words in which a suite's are told.
    """
    problems = Problems()
    whole = data if isinstance(data, PlacedDict) else placed({name: _plain(value) for name, value in data.items()})
    made = checked(spec, whole, problems)
    if made is None:
        raise SuiteError(f"{what} cannot be used: {report(problems.errors)}", problems.errors)
    return made


def _plain(value: Any) -> Any:
    """Specs as the data that they are written as."""
    if isinstance(value, Spec):
        return value.written()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return value


def scenario_of(
    connection: Connection, project_id: str, data: Mapping[str, Any], ids: Sequence[str] | None
) -> tuple[tuple[str, ...], Scenario]:
    """A scenario that can be used, and the ids of its personas.

    Args:
        connection: of the transaction.
        project_id: has the personas.
        data: of the scenario.
        ids: of its personas; None to find those that ``data`` names.

    Raises:
        NotFoundError: there is no such persona.
        ConfigurationError: a field cannot be used.
    """
    names = data.get("personas") or ()
    if ids is None:
        rows = _by_name(connection, project_id, list(names))
    else:
        found = require(connection, personas, "Persona", ids, project_id)
        rows = [found[id_] for id_ in dict.fromkeys(ids)]
    spec: Scenario = read(Scenario, {**data, "personas": [row.name for row in rows]}, "the scenario")
    known = [saved_persona(row).spec for row in rows]
    known += [item.spec for item in speakers_of(connection, project_id, [spec]) if item.spec not in known]
    require_valid((spec,), known)
    return tuple(row.id for row in rows), spec


def connector_of(data: Mapping[str, Any]) -> Connector:
    """A connector that can be used. Raises ConfigurationError for another."""
    type_, url, headers = data.get("type"), data.get("base_url"), data.get("headers", {})
    name = named(data.get("name"), "connector")
    if type_ not in CONNECTOR_TYPES:
        raise ConfigurationError(f"the connector '{name}' has the type {type_!r}; expected {listed(CONNECTOR_TYPES)}")
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError(f"the connector '{name}' has the base_url {url!r}; expected a URL")
    made = Connector(
        id="",
        project_id="",
        name=name,
        type=cast("ConnectorType", type_),
        base_url=url,
        headers=dict(headers),
        config=dict(data.get("config", {})),
    )
    if found := list(_credentials_in(made.config, "config")):
        told = "is shown, exported and kept with runs as it is: put the credential into headers, which are not"
        raise ConfigurationError(f"the connector '{name}': a credential in {listed(found)}, which {told}")
    made.agent()
    return made


def _credentials_in(value: object, path: str) -> Iterator[str]:
    """Where in the configuration of a connector, which is shown and goes into runs as it is, a credential stands."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[object, object]", value).items():
            yield from _credentials_in(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("Sequence[object]", value)):
            yield from _credentials_in(item, f"{path}[{index}]")
    elif isinstance(value, str) and is_written_out(path.rpartition(".")[2], _PLACEHOLDER.sub("", value)):
        yield path


def connector_data(connector: Connector) -> dict[str, Any]:
    """What the row of a connector holds."""
    return {
        "type": connector.type,
        "base_url": connector.base_url,
        "headers": dict(connector.headers),
        "config": dict(connector.config),
    }


def eval_of(connection: Connection, project_id: str, data: Mapping[str, Any]) -> Eval:
    """An eval that can be used.

    Raises:
        NotFoundError: there is no such scenario, connector or agent.
        ConfigurationError: a field cannot be used.
    """
    fields = dict(data)
    name = named(fields.pop("name", None), "eval")
    given, connector_id = fields.pop("scenario_ids", None) or (), fields.pop("connector_id", None)
    if not isinstance(given, list | tuple) or not all(isinstance(item, str) for item in cast("list[object]", given)):
        raise ConfigurationError(f"the eval '{name}' has the scenario_ids {given!r}; expected a list of ids")
    ids = tuple(cast("Sequence[str]", given))
    spec: EvalSpec = read(EvalSpec, fields, f"the eval '{name}'")
    if not ids:
        raise ConfigurationError("At least one scenario is required")
    if len(set(ids)) < len(ids):
        raise refused("scenario_ids", f"the eval '{name}' has a scenario twice; use trials for repetitions")
    if (connector_id is None) == (spec.agent_id is None):
        raise refused("", f"the eval '{name}' needs one of connector_id and agent_id")
    if connector_id is not None:
        require(connection, connectors, "Connector", [connector_id], project_id)
    if spec.agent_id is not None:
        require(connection, agents, "Agent", [spec.agent_id], project_id)
    require(connection, scenarios, "Scenario", ids, project_id)
    return Eval(id="", project_id=project_id, name=name, scenario_ids=ids, connector_id=connector_id, spec=spec)


def limit_of(value: object) -> int | None:
    """A number of runs at once. Raises ConfigurationError for another value."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"max_concurrency is {value!r}; expected at least 1, or None for no limit")
    return value


# Writing


def unnamed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a definition without its name, which has a column of its own."""
    return {name: value for name, value in data.items() if name != "name"}


def scenario_data(spec: Scenario) -> dict[str, Any]:
    """What the row of a scenario holds: not its personas, which are linked by id."""
    return {name: value for name, value in spec.written().items() if name not in {"name", "personas"}}


def link(connection: Connection, table: Table, owner: tuple[str, str], linked: tuple[str, Sequence[str]]) -> None:
    """Replace the links of an owner: ``(column, id)`` to ``(column, ids)``, in this order."""
    connection.execute(delete(table).where(table.c[owner[0]] == owner[1]))
    rows = [{owner[0]: owner[1], linked[0]: id_, "position": index} for index, id_ in enumerate(linked[1])]
    if rows:
        connection.execute(insert(table), rows)


def remove(connection: Connection, table: Table, id_: str) -> bool:
    """Delete a row; False if it is missing."""
    return connection.execute(delete(table).where(table.c.id == id_)).rowcount > 0
