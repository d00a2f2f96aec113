"""The tables of the store.

A run's row is its place in the queue, so there is nothing beside it that has to be kept in step. Instants are seconds
since 1970 as the server of the database counts them, or the machine for SQLite; leases are the exception, see
:data:`workers`. Large payloads are in tables of their own (``results``, ``events``) or in the artifact store, so that
listing runs never reads them.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.schema import SchemaItem

from duologue.runs.store.database.json_columns import to_text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Text(TypeDecorator[str]):
    """A text. What no database takes is left out on the way there, also of ids that somebody asks for."""

    impl = SqlText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """See the base class."""
        return to_text(value)


_JSON = JSON().with_variant(JSONB(), "postgresql")
_WRITTEN = JSON()
"""Definitions, whose fields stay in the order in which somebody has written them."""
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""Counts up by itself as a primary key; SQLite does that for INTEGER only."""


def _id() -> Column[str]:
    return Column("id", Text, primary_key=True)


def _project() -> Column[str]:
    return Column("project_id", Text, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False)


def _times() -> tuple[Column[float], Column[float]]:
    return Column("created_at", Double, nullable=False), Column("updated_at", Double, nullable=False)


def _run(*, primary_key: bool = False) -> Column[int]:
    """The number of a run, which is shorter than its id."""
    return Column(
        "run",
        BigInteger,
        ForeignKey("runs.number", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
        autoincrement=False,
    )


def _partial(name: str, *columns: str | TextClause, where: str) -> Index:
    """An index of the few rows that are in some state, which stays small however many runs are stored."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


projects = Table(
    "projects",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("settings", _WRITTEN, nullable=False),
    Column("max_concurrency", Integer),  # runs at once, over all workers; NULL for no limit
    *_times(),
)


def _definitions(name: str, *columns: SchemaItem) -> Table:
    """Something that people define and edit: a name that is unique in its project, and its fields as JSON."""
    return Table(
        name,
        metadata,
        _id(),
        _project(),
        Column("name", Text, nullable=False),
        Column("data", _WRITTEN, nullable=False),
        *_times(),
        *columns,
        UniqueConstraint("project_id", "name"),
    )


personas = _definitions("personas")
scenarios = _definitions("scenarios")
connectors = _definitions("connectors")
agents = _definitions("agents")
evals = _definitions("evals", Column("connector_id", Text, ForeignKey("connectors.id", ondelete="RESTRICT")))

eval_scenarios = Table(
    "eval_scenarios",
    metadata,
    Column("eval_id", Text, ForeignKey("evals.id", ondelete="CASCADE"), primary_key=True),
    Column("scenario_id", Text, ForeignKey("scenarios.id", ondelete="RESTRICT"), primary_key=True),
    Column("position", Integer, nullable=False),
)

scenario_personas = Table(
    "scenario_personas",
    metadata,
    Column("scenario_id", Text, ForeignKey("scenarios.id", ondelete="CASCADE"), primary_key=True),
    Column("persona_id", Text, ForeignKey("personas.id", ondelete="RESTRICT"), primary_key=True),
    Column("position", Integer, nullable=False),
)

agent_versions = Table(
    "agent_versions",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),  # from 1; a published version is never changed
    Column("data", _WRITTEN, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("published_at", Double, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    # What was run, complete and never changed: a suite as it was written, under the digest of its content.
    Column("digest", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
)

executions = Table(
    "executions",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    _project(),
    Column("name", Text, nullable=False),  # that of its results folder
    Column("eval_id", Text, ForeignKey("evals.id", ondelete="SET NULL")),
    Column("data", _JSON, nullable=False),  # suite, path, plan seed, allowance, thresholds, environment
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
    Index(None, "eval_id"),
    sqlite_autoincrement=True,  # an id is never given twice, also after the newest execution was deleted
)

runs = Table(
    "runs",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),  # order of creation; lists page by it
    Column("id", Text, nullable=False, unique=True),
    _project(),
    Column("execution_id", _NUMBER, ForeignKey("executions.id", ondelete="CASCADE")),
    Column("eval_id", Text),  # what a run was made from may be deleted; what it was is in its snapshot
    Column("scenario_id", Text),
    Column("persona_id", Text),
    Column("connector_id", Text),
    Column("agent_id", Text),
    Column("agent_version", Integer),
    Column("snapshot", Text, ForeignKey("snapshots.digest", ondelete="RESTRICT"), nullable=False),
    Column("identity", Text, nullable=False),  # of its test case, which is in ``test_case``
    Column("trial", Integer, nullable=False),
    Column("test_case", LargeBinary, nullable=False),  # JSON
    Column("provider", Text, nullable=False, server_default=""),  # whose limits it takes part in; '' for none
    Column("thread_id", Text),
    # The queue.
    Column("status", Text, nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),  # higher first
    Column("not_before", Double),  # it is not claimed earlier; NULL from then on, so that the queue never skips rows
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="3"),
    Column("journal_from", Integer, nullable=False, server_default="1"),  # older attempts are those before a retry
    Column("cancelling", Boolean, nullable=False, server_default=text("false")),
    # Who runs it: a worker, as long as its lease lasts. The token goes up with each claim: what an earlier owner writes
    # is refused.
    Column("owner", Text),
    Column("token", BigInteger, nullable=False, server_default="0"),
    # What came of it.
    Column("outcome", Text),  # pass, fail, undecided, error, cancelled
    Column("score", Double),
    Column("reason", Text),
    Column("error", Text),
    Column("output", _JSON),
    Column("details", _JSON),  # latency, token usage and whatever else callers keep
    Column("cost", Double),
    Column("tokens", BigInteger),
    Column("started_at", Double),
    Column("completed_at", Double),
    *_times(),
    UniqueConstraint("execution_id", "identity", "trial"),
    CheckConstraint(
        "status IN ('queued', 'pending', 'running', 'completed', 'error', 'cancelled')", name="status_is_known"
    ),
    # What can be claimed, by project and provider: the first of each is found without passing others.
    _partial(
        "ix_runs_queue",
        "project_id",
        "provider",
        text("priority DESC"),
        "number",
        where="status = 'queued' AND not_before IS NULL",
    ),
    _partial("ix_runs_later", "not_before", where="status = 'queued' AND not_before IS NOT NULL"),
    _partial("ix_runs_owner", "owner", where="status = 'running'"),
    _partial("ix_runs_cancelling", "owner", where="status = 'running' AND cancelling"),
    _partial("ix_runs_running", "provider", "project_id", where="status = 'running'"),
    Index("ix_runs_project_id_number", "project_id", "number"),
    Index("ix_runs_project_id_status_number", "project_id", "status", "number"),
    Index("ix_runs_execution_id_number", "execution_id", "number"),
    # What has changed in an execution, and how its runs stand: read without the rows.
    Index("ix_runs_execution_id_updated_at", "execution_id", "updated_at", "status", "outcome"),
    Index("ix_runs_eval_id_number", "eval_id", "number"),
    Index("ix_runs_scenario_id_number", "scenario_id", "number"),
    Index("ix_runs_persona_id_number", "persona_id", "number"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    # The journal: a row is a transition, as a line of a journal file. Earlier attempts are kept.
    _run(primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True),  # of the first event in it
    Column("line", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

results = Table(
    "results",
    metadata,
    _run(primary_key=True),
    Column("messages", LargeBinary, nullable=False),  # JSON; bytes keep texts that JSONB refuses
    Column("data", LargeBinary, nullable=False),  # as the file of a run in a results folder
)

checks = Table(
    "checks",
    metadata,
    # A line for each check and criterion of a run, so that they can be counted over many runs.
    _run(primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("score", Double),
    Column("explanation", Text),
    Index(None, "name"),
)

labels = Table(
    "labels",
    metadata,
    # What people say of a run, or of one criterion of it.
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    _run(),
    Column("criterion", Text, nullable=False, server_default=""),  # '' for the run as a whole
    Column("rater", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("run", "criterion", "rater"),
)

artifacts = Table(
    "artifacts",
    metadata,
    # Which bytes a run has in the artifact store.
    _run(primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("mime_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index(None, "sha256"),
)

workers = Table(
    "workers",
    metadata,
    _id(),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("active", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False),  # running, stopping, stopped
    Column("started_at", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    # Its runs are its own until then, and each heartbeat moves it. Seconds on the clock of the database server; on
    # SQLite, which is one machine, on the clock that counts from the machine's boot, so that setting the time expires
    # nothing, and a new boot ends every lease.
    Column("lease_until", Double, nullable=False),
    Column("boot", Text, nullable=False, server_default=""),
)

limits = Table(
    "limits",
    metadata,
    # What all workers together may take of a provider: claiming a run takes one from its bucket.
    # Time is that of leases.
    Column("provider", Text, primary_key=True),
    Column("per_second", Double),  # NULL: as many as one likes
    Column("burst", Double),
    Column("available", Double),
    Column("counted_at", Double),
    Column("boot", Text, nullable=False, server_default=""),
    Column("max_concurrency", Integer),
)

schedules = Table(
    "schedules",
    metadata,
    _id(),
    _project(),
    Column("eval_id", Text, ForeignKey("evals.id", ondelete="CASCADE"), nullable=False),
    Column("cron", Text, nullable=False),
    Column("timezone", Text, nullable=False, server_default="UTC"),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("next_at", Double),
    Column("last_at", Double),
    Column("last_execution", _NUMBER),
    Column("last_error", Text),  # why nothing was launched the last time; NULL if something was
    *_times(),
)

metrics = _definitions("metrics")
environments = _definitions("environments")

baselines = Table(
    "baselines",
    metadata,
    # Executions that others are compared with, by name.
    _id(),
    _project(),
    Column("name", Text, nullable=False),
    Column("eval_id", Text, ForeignKey("evals.id", ondelete="CASCADE"), nullable=False),
    Column("agent_id", Text, nullable=False, server_default=""),  # '' for an eval with a connector
    Column("agent_version", Integer),
    Column("execution_id", _NUMBER, ForeignKey("executions.id", ondelete="CASCADE"), nullable=False),
    *_times(),
    UniqueConstraint("project_id", "eval_id", "agent_id", "name"),
    Index(None, "execution_id"),
)

deployments = Table(
    "deployments",
    metadata,
    # What a gate has decided of a version of an agent, and whether its environment was told.
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    _project(),
    Column("environment_id", Text, ForeignKey("environments.id", ondelete="CASCADE"), nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("agent_version", Integer, nullable=False),
    Column("execution_id", _NUMBER),
    Column("status", Text, nullable=False),  # pending, deployed, failed, refused
    Column("message", Text, nullable=False, server_default=""),
    *_times(),
    Index(None, "environment_id", "id"),
)

call_sources = Table(
    "call_sources",
    metadata,
    # How far the calls of an agent of a platform have been fetched.
    _id(),
    _project(),
    Column("platform", Text, nullable=False),
    Column("platform_agent_id", Text, nullable=False),
    Column("agent_id", Text, ForeignKey("agents.id", ondelete="CASCADE")),
    Column("data", _WRITTEN, nullable=False),
    Column("watermark", Double),  # start of the newest call of which all older ones are here
    Column("synced_at", Double),
    *_times(),
    UniqueConstraint("project_id", "platform", "platform_agent_id"),
)

calls = Table(
    "calls",
    metadata,
    # Conversations that an agent had with real people.
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    _project(),
    Column("source_id", Text, ForeignKey("call_sources.id", ondelete="CASCADE")),
    Column("agent_id", Text),
    Column("platform", Text, nullable=False),
    Column("platform_call_id", Text, nullable=False),
    Column("started_at", Double),
    Column("seconds", Double),
    Column("data", LargeBinary, nullable=False),  # JSON, as the platform says it
    Column("label", Text),  # good, bad
    Column("seen_at", Double),
    Column("deleted_at", Double),  # it is not fetched again
    *_times(),
    UniqueConstraint("project_id", "platform", "platform_call_id"),
    # Lists are in the order of the calls, which is not that in which they were fetched.
    _partial("ix_calls_of_project", "project_id", "started_at", "number", where="deleted_at IS NULL"),
    _partial("ix_calls_of_agent", "agent_id", "started_at", "number", where="deleted_at IS NULL"),
)

tokens = Table(
    "tokens",
    metadata,
    # Who may use the API. Of a token itself nothing is kept but its digest.
    _id(),
    Column("project_id", Text, ForeignKey("projects.id", ondelete="CASCADE")),  # NULL for all projects
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),  # read, run, admin: each includes those before
    Column("digest", Text, nullable=False, unique=True),
    Column("hint", Text, nullable=False),  # its first characters, for people
    Column("expires_at", Double),
    Column("last_used_at", Double),
    *_times(),
)

secrets = Table(
    "secrets",
    metadata,
    # Keys of platforms and models, encrypted with a key that is not in the database.
    _id(),
    _project(),
    Column("name", Text, nullable=False),
    Column("provider", Text, nullable=False, server_default=""),
    Column("value", LargeBinary, nullable=False),
    *_times(),
    UniqueConstraint("project_id", "name"),
)

idempotency = Table(
    "idempotency",
    metadata,
    # Answers to requests that make something, so that one that is sent again makes nothing twice.
    Column("caller", Text, primary_key=True),  # the token, '' without one
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),  # digest of method, path and body
    Column("status", Integer),  # NULL as long as the first one is at work
    Column("headers", _JSON),
    Column("body", LargeBinary),
    Column("created_at", Double, nullable=False),
    Index(None, "created_at"),
)

execution_events = Table(
    "execution_events",
    metadata,
    # What listeners of an execution are told, in an order that stays. Written where somebody listens: runs say the
    # same, without an order.
    Column("execution_id", _NUMBER, ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),  # from 1, without gaps
    Column("type", Text, nullable=False),
    Column("run", BigInteger),
    Column("data", LargeBinary, nullable=False),  # JSON
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)

execution_indexes = Table(
    "execution_indexes",
    metadata,
    # What executions that are over come to. It can be made again from their results, and is used only while the key
    # says that nothing has changed since.
    Column(
        "execution_id",
        _NUMBER,
        ForeignKey("executions.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("key", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),  # JSON, compressed
    Column("created_at", Double, nullable=False),
)
