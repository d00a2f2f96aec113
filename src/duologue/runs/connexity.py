"""Connexity's JSON, imported into a project: agents with versions, test cases, eval configurations, metrics, runs.

The file is what Connexity's export of test cases or its API gives: a list of test cases, a page ``{data: [...]}`` of
one resource, or an object with several of ``agents``, ``test_cases``, ``eval_configs``, ``custom_metrics``,
``environments``, ``runs`` and ``test_case_results``. What is there already by name is skipped or overwritten. All of it
is one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import Connection, Table, insert, select, update

from duologue.checks.metrics.metric import metric_of
from duologue.checks.metrics.predefined import PREDEFINED
from duologue.config.files import read_file
from duologue.config.json_text import NoJsonError, json_value
from duologue.context import random_uuid
from duologue.errors import ConfigurationError, NotFoundError
from duologue.frozen import frozen
from duologue.runs.connexity_records import (
    case_from,
    draft_from,
    environment_from,
    eval_from,
    metric_from,
    records,
)
from duologue.runs.connexity_runs import ConnexityRun, result_from
from duologue.runs.foreign_records import Record, fields_of, instant_in, text_in
from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.database.definition_rows import (
    eval_of,
    link,
    require_references,
    require_valid,
    scenario_data,
    unnamed,
)
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.eval_rules import require_eval
from duologue.runs.store.database.schema import (
    agent_versions,
    agents,
    baselines,
    environments,
    eval_scenarios,
    evals,
    executions,
    metrics,
    personas,
    results,
    runs,
    scenario_personas,
    scenarios,
    snapshots,
)
from duologue.runs.store.definitions import AgentDraft, Project, in_words
from duologue.runs.store.encoding import encoded
from duologue.specs.agents import Persona
from duologue.specs.suite import Suite
from duologue.suites.plan.build import TestCase

Clash = Literal["skip", "overwrite"]
SECTIONS = ("agents", "test_cases", "eval_configs", "custom_metrics", "environments", "runs", "test_case_results")
_MARKS = {
    "test_cases": {"expected_outcomes", "persona_context", "expected_tool_calls"},
    "agents": {"system_prompt", "platform_agent_id", "endpoint_url"},
    "eval_configs": {"members", "config"},
    "custom_metrics": {"rubric", "score_type"},
    "test_case_results": {"transcript", "test_case_id"},
}
"""Fields by which the records of a list are recognised."""
_LARGEST = 256 * 1024 * 1024
_GONE = "this run was carried out by Connexity; create a new run from the eval"


@frozen
class ImportedFromConnexity:
    """What was imported.

    Attributes:
        agents, scenarios, personas, evals, metrics, environments, runs: how many were written of each.
        skipped: what was there already by name, or under its id, and stayed as it was.
        execution_ids: of the executions that runs have become.
        notes: what is not as it was, a sentence each.
    """

    project: Project
    agents: int = 0
    scenarios: int = 0
    personas: int = 0
    evals: int = 0
    metrics: int = 0
    environments: int = 0
    runs: int = 0
    skipped: int = 0
    execution_ids: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def is_connexity(path: str | Path) -> bool:
    """Whether a file holds records of Connexity."""
    path = Path(path)
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        return bool(sections_in(_read(path)))
    except ConfigurationError:
        return False


async def import_connexity(
    database: Database, path: str | Path, project: Project, *, on_clash: Clash = "skip"
) -> ImportedFromConnexity:
    """Import a file of Connexity into a project.

    Args:
        database: that has the project.
        path: of the file.
        project: which gets everything.
        on_clash: what happens to agents, test cases and evals whose names are taken: they stay, or are overwritten.

    Raises:
        ConfigurationError: the file cannot be read, or is none of Connexity.
        StoreError: nothing was imported.
    """
    if on_clash not in {"skip", "overwrite"}:
        raise ConfigurationError(f"on_clash is {on_clash!r}; expected skip or overwrite")
    found = sections_in(_read(Path(path)))
    if not found:
        raise ConfigurationError(f"{path} has none of {', '.join(SECTIONS)}; expected JSON of Connexity")

    def work(connection: Connection) -> ImportedFromConnexity:
        return _Import(connection, database.now(connection), project, found, on_clash).run()

    return await database.write(work)


def sections_in(data: object) -> dict[str, list[Record]]:
    """The records of a file by what they are."""
    whole = fields_of(data)
    found = {name: records(whole[name]) for name in SECTIONS if whole.get(name) is not None}
    if found:
        return {name: items for name, items in found.items() if items}
    items = records(data) or ([whole] if whole else [])
    for name, marks in _MARKS.items():
        if items and marks & items[0].keys():
            return {name: items}
    return {}


def _read(path: Path) -> object:
    try:
        return json_value(read_file(path, _LARGEST).decode("utf-8-sig"))
    except (NoJsonError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from error


@dataclass
class _Kind:
    """Definitions of one kind: what they are called, and their ids here by those of Connexity and by name."""

    table: Table
    what: str
    ids: dict[str, str] = field(default_factory=dict[str, str])
    names: dict[str, str] = field(default_factory=dict[str, str])
    written: int = 0


class _Import:
    """Writes everything, in an order in which what others refer to is there."""

    def __init__(
        self, connection: Connection, now: float, project: Project, found: Mapping[str, list[Record]], on_clash: Clash
    ) -> None:
        self._connection, self._now, self._project, self._found = connection, now, project, found
        self._overwrite = on_clash == "overwrite"
        self._notes: list[str] = []
        self._skipped = 0
        self._kinds = {
            table.name: self._kind(table, what)
            for table, what in (
                (agents, "agent"),
                (scenarios, "test case"),
                (personas, "persona"),
                (metrics, "metric"),
                (evals, "eval"),
                (environments, "environment"),
            )
        }

    def _kind(self, table: Table, what: str) -> _Kind:
        asked = select(table.c.name, table.c.id).where(table.c.project_id == self._project.id)
        return _Kind(table=table, what=what, names={row.name: row.id for row in self._connection.execute(asked)})

    def run(self) -> ImportedFromConnexity:
        """Write it."""
        self._each("agents", agents, self._agent)
        self._each("test_cases", scenarios, self._case)
        self._each("custom_metrics", metrics, self._metric)
        self._each("eval_configs", evals, self._eval)
        self._each("environments", environments, self._environment)
        ids, count = self._runs()
        written = {name: kind.written for name, kind in self._kinds.items()}
        return ImportedFromConnexity(
            project=self._project,
            **written,
            runs=count,
            skipped=self._skipped,
            execution_ids=tuple(ids),
            notes=tuple(dict.fromkeys(self._notes)),
        )

    def _each(self, section: str, table: Table, make: Callable[[Record, str, str | None], None]) -> None:
        kind = self._kinds[table.name]
        deleted = 0
        seen: Counter[str] = Counter()
        for index, data in enumerate(self._found.get(section, ())):
            if data.get("deleted_at") is not None or data.get("is_predefined") is True:
                deleted += 1
                continue
            name = (text_in(data, "name") or f"{kind.what} {text_in(data, 'id') or index + 1}").strip()[:180]
            seen[name] += 1
            if seen[name] > 1:
                self._notes.append(
                    f"{kind.what} '{name}': the name is there twice, so this one is '{name} ({seen[name]})'"
                )
                name = f"{name} ({seen[name]})"
            taken = kind.names.get(name)
            if taken is not None and not self._overwrite:
                self._skipped += 1
                self._known(kind, data, name, taken)
                continue
            try:
                make(data, name, taken)
            except ValidationError as error:
                self._notes.append(f"{kind.what} '{name}' was left out: {in_words(error)}")
            except (ConfigurationError, NotFoundError) as error:
                self._notes.append(f"{kind.what} '{name}' was left out: {error}")
        if deleted:
            self._notes.append(f"{section}: {deleted} left out, because deleted in Connexity, or predefined there")

    def _known(self, kind: _Kind, data: Record, name: str, id_: str) -> None:
        kind.names[name] = id_
        if (old := text_in(data, "id")) is not None:
            kind.ids[old] = id_

    def _put(
        self, table: Table, data: Record, name: str, taken: str | None, values: Mapping[str, Any], **more: Any
    ) -> str:
        """Insert a definition, or write it over the one that has the name; its id."""
        kind = self._kinds[table.name]
        if taken is not None:
            changes = {"data": dict(values), "updated_at": self._now, **more}
            self._connection.execute(update(table).where(table.c.id == taken).values(**changes))
            id_ = taken
        else:
            id_ = self._free_id(table, text_in(data, "id"))
            created = instant_in(data, "created_at") or self._now
            times = {"created_at": created, "updated_at": instant_in(data, "updated_at") or created}
            row = {"id": id_, "project_id": self._project.id, "name": name, "data": dict(values), **times, **more}
            self._connection.execute(insert(table).values(row))
        kind.written += 1
        self._known(kind, data, name, id_)
        return id_

    def _free_id(self, table: Table, id_: str | None) -> str:
        if id_ is None or len(id_) > 100:
            return random_uuid()
        taken = self._connection.execute(select(table.c.id).where(table.c.id == id_)).first()
        return random_uuid() if taken is not None else id_

    # Definitions

    def _agent(self, data: Record, name: str, taken: str | None) -> None:
        written = sorted(records(data.get("versions")), key=lambda item: _number(item.get("version")) or 0)
        published = [item for item in written if _number(item.get("version")) and item.get("status") != "draft"]
        draft_record = next((item for item in written if item.get("status") == "draft"), None)
        own = {key: value for key, value in data.items() if key != "versions" and value is not None}
        newest = {**own, **(draft_record or (published[-1] if published and "system_prompt" not in data else {}))}
        draft = self._draft({**newest, "description": data.get("description")}, name)
        versions = [(item, self._draft({**own, **item}, name)) for item in published]
        id_ = self._put(agents, data, name, taken, draft.written())
        asked = select(agent_versions.c.version, agent_versions.c.data).where(agent_versions.c.agent_id == id_)
        known = {row.version: row.data for row in self._connection.execute(asked)}
        for item, version in versions or ([({}, draft)] if not known else []):
            given, written_as = _number(item.get("version")), version.written()
            newest_here = max(known, default=0)
            if written_as in (known.get(given or 0), known.get(newest_here)):
                continue
            number = given if given is not None and given > newest_here else newest_here + 1
            note = " ".join(filter(None, (text_in(item, "version_name"), text_in(item, "version_description"))))
            row = {"agent_id": id_, "version": number, "note": note, "data": written_as}
            at = instant_in(item, "created_at") or self._now
            self._connection.execute(insert(agent_versions).values(**row, published_at=at))
            known[number] = written_as

    def _draft(self, data: Record, name: str) -> AgentDraft:
        draft = draft_from(data, name, self._notes)
        require_references(draft, f"the agent '{name}'")
        return draft

    def _case(self, data: Record, name: str, taken: str | None) -> None:
        made = case_from(data, name, self._notes)
        people = [made.persona] if made.persona else []
        require_valid((made.scenario,), people)
        persona_id = self._persona(made.persona, name, taken) if made.persona else None
        id_ = self._put(scenarios, data, name, taken, scenario_data(made.scenario))
        ids = [persona_id] if persona_id is not None else []
        link(self._connection, scenario_personas, ("scenario_id", id_), ("persona_id", ids))

    def _persona(self, persona: Persona, name: str, scenario: str | None) -> str:
        """The id of a persona: its own one of a scenario that is overwritten is overwritten, others are left alone."""
        kind, values = self._kinds[personas.name], unnamed(persona.written())
        taken = kind.names.get(name)
        if taken is not None and scenario is not None:
            users = self._connection.execute(
                select(scenario_personas.c.scenario_id).where(scenario_personas.c.persona_id == taken)
            ).scalars()
            if set(users) <= {scenario}:
                return self._put(personas, {}, name, taken, values)
        number = 1
        while name in kind.names:
            number += 1
            name = f"{persona.name} ({number})"
        return self._put(personas, {}, name, None, values)

    def _metric(self, data: Record, name: str, taken: str | None) -> None:
        spec = metric_from(data)
        if any(item.name == spec.name for item in PREDEFINED):
            self._notes.append(
                f"metric '{spec.name}' has the name of a predefined one; it is 'custom_{spec.name}' here"
            )
            spec = spec.changed(name=f"custom_{spec.name}"[:64])
        metric_of(spec)
        taken = self._kinds[metrics.name].names.get(spec.name)
        if taken is not None and not self._overwrite:
            self._skipped += 1
            return
        self._put(metrics, data, spec.name, taken, unnamed(spec.written()))

    def _eval(self, data: Record, name: str, taken: str | None) -> None:
        agent_id = self._kinds[agents.name].ids.get(text_in(data, "agent_id") or "")
        if agent_id is None:
            raise ConfigurationError("its agent is not there; import the agent with it")
        kind = self._kinds[scenarios.name]
        by_id = {id_: known for known, id_ in kind.names.items()}
        repetitions: dict[str, int] = {}
        missing = 0
        for member in sorted(records(data.get("members")), key=lambda item: _number(item.get("position")) or 0):
            case = text_in(member, "test_case_id") or text_in(fields_of(member.get("test_case")), "id")
            id_ = kind.ids.get(case or "")
            if id_ is None:
                missing += 1
                continue
            repetitions[id_] = max(_number(member.get("repetitions")) or 1, 1)
        if missing:
            self._notes.append(f"eval '{name}': {missing} of its test cases are not there")
        counts = {by_id.get(id_, id_): count for id_, count in repetitions.items()}
        spec = eval_from(data, name, counts, agent_id, self._notes)
        fields = {"name": name, "scenario_ids": list(repetitions), **spec.written()}
        made = eval_of(self._connection, self._project.id, fields)
        require_eval(self._connection, made)
        id_ = self._put(evals, data, name, taken, made.spec.written(), connector_id=None)
        link(self._connection, eval_scenarios, ("eval_id", id_), ("scenario_id", made.scenario_ids))

    def _environment(self, data: Record, name: str, taken: str | None) -> None:
        agent = self._kinds[agents.name].ids.get(text_in(data, "agent_id") or "")
        gate = self._kinds[evals.name].ids.get(text_in(data, "eval_gate_eval_config_id") or "")
        spec = environment_from(data, name, agent, gate)
        require_references(spec, f"the environment '{name}'")
        if spec.platform != "webhook":
            self._notes.append(
                f"environment '{name}': agents of {spec.platform} are changed by whoever gets the webhook"
            )
        self._put(environments, data, name, taken, unnamed(spec.written()))

    # Runs

    def _runs(self) -> tuple[list[int], int]:
        loose: dict[str, list[Record]] = {}
        for item in self._found.get("test_case_results", ()):
            loose.setdefault(text_in(item, "run_id") or "", []).append(item)
        given = list(self._found.get("runs", ()))
        known = {text_in(item, "id") for item in given}
        given += [{"id": id_} for id_ in loose if id_ and id_ not in known]
        ids: list[int] = []
        count = judged = 0
        for data in given:
            id_ = text_in(data, "id") or random_uuid()
            rows = [*records(data.get("results") or data.get("test_case_results")), *loose.get(id_, ())]
            found = [result_from(item, cancelled=data.get("status") == "cancelled") for item in rows]
            execution = self._execution(data, id_) if found else None
            if execution is None:
                continue
            ids.append(execution)
            self._results(data, execution, found)
            count += len(found)
            judged += sum(run.was_judged for run in found)
        if judged:
            self._notes.append(
                f"runs that were judged by Connexity and are errors here: {judged}. Their transcripts hold failures "
                "of the agent's endpoint, or of the platform, as if the agent had said them"
            )
        return ids, count

    def _execution(self, data: Record, id_: str) -> int | None:
        """The number of the execution that a run becomes; None if it is here already."""
        name = f"connexity-{id_}"[:200]
        same = executions.c.project_id == self._project.id, executions.c.name == name
        if self._connection.execute(select(executions.c.id).where(*same)).first() is not None:
            self._skipped += 1
            return None
        kept = ("status", "agent_version", "eval_config_version", "config", "aggregate_metrics", "created_by")
        facts: dict[str, Any] = {"connexity": {key: data[key] for key in kept if data.get(key) is not None}}
        threshold = fields_of(data.get("config")).get("cases_pass_threshold")
        if isinstance(threshold, int | float):
            facts["allowance"] = {"pass_rate": min(max(threshold / 100, 0.0), 1.0), "errors": None, "undecided": None}
        values = {
            "project_id": self._project.id,
            "name": name,
            "eval_id": self._kinds[evals.name].ids.get(text_in(data, "eval_config_id") or ""),
            "data": facts,
            "created_at": instant_in(data, "created_at") or instant_in(data, "started_at") or self._now,
        }
        made = insert(executions).values(values).returning(executions.c.id)
        return self._connection.execute(made).scalar_one()

    def _results(self, data: Record, execution: int, found: Sequence[ConnexityRun]) -> None:
        cases = self._kinds[scenarios.name]
        names = {id_: name for name, id_ in cases.names.items()}
        agent_id = self._kinds[agents.name].ids.get(text_in(data, "agent_id") or "")
        eval_id = self._kinds[evals.name].ids.get(text_in(data, "eval_config_id") or "")
        scenario_ids = {run.id: cases.ids.get(run.case_id or "") for run in found}
        titles = {run.id: names.get(scenario_ids[run.id] or "", run.case_id or "deleted")[:200] for run in found}
        snapshot = take_snapshot(Suite(name=self._project.name), refused=dict.fromkeys(titles.values(), _GONE))
        asked = select(snapshots.c.digest).where(snapshots.c.digest == snapshot.digest)
        if self._connection.execute(asked).first() is None:
            row = {"digest": snapshot.digest, "data": snapshot.data, "created_at": self._now}
            self._connection.execute(insert(snapshots).values(row))
        used: set[tuple[str, int]] = set()
        for index, run in enumerate(found):
            case = TestCase(index=index, scenario=titles[run.id], persona=None)
            trial = run.trial
            while (case.group, trial) in used:
                trial += 1
            used.add((case.group, trial))
            common = {
                "project_id": self._project.id,
                "execution_id": execution,
                "snapshot": snapshot.digest,
                "eval_id": eval_id,
                "scenario_id": scenario_ids[run.id],
                "agent_id": agent_id,
                "agent_version": _number(data.get("agent_version")) if agent_id else None,
            }
            row = {**run.row(common, case, self._now), "trial": trial, "id": self._free_id(runs, run.id)}
            number = self._connection.execute(insert(runs).values(row).returning(runs.c.number)).scalar_one()
            if run.messages:
                told = {"run": number, "messages": encoded(list(run.messages)), "data": b""}
                self._connection.execute(insert(results).values(told))
        if data.get("is_baseline") is True and eval_id is not None:
            self._baseline(execution, eval_id, agent_id, _number(data.get("agent_version")))

    def _baseline(self, execution: int, eval_id: str, agent_id: str | None, version: int | None) -> None:
        key = {"project_id": self._project.id, "eval_id": eval_id, "agent_id": agent_id or "", "name": "default"}
        same = [baselines.c[name] == value for name, value in key.items()]
        if self._connection.execute(select(baselines.c.id).where(*same)).first() is not None:
            return
        values = {"id": random_uuid(), "agent_version": version, "execution_id": execution}
        times = {"created_at": self._now, "updated_at": self._now}
        self._connection.execute(insert(baselines).values(**key, **values, **times))


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
