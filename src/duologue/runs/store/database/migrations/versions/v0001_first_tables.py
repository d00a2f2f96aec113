"""The first tables.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_DOUBLE: sa.Double[float] = sa.Double()
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:  # noqa: PLR0915 -- one after the other
    """Make them."""
    op.create_table(
        "limits",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("per_second", _DOUBLE, nullable=True),
        sa.Column("burst", _DOUBLE, nullable=True),
        sa.Column("available", _DOUBLE, nullable=True),
        sa.Column("counted_at", _DOUBLE, nullable=True),
        sa.Column("boot", sa.Text(), server_default="", nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_limits")),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=True),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.Column("updated_at", _DOUBLE, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "snapshots",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_snapshots")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("active", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", _DOUBLE, nullable=False),
        sa.Column("last_seen", _DOUBLE, nullable=False),
        sa.Column("lease_until", _DOUBLE, nullable=False),
        sa.Column("boot", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.Column("updated_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_agents_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_agents_project_id_name")),
    )
    op.create_table(
        "connectors",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.Column("updated_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_connectors_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connectors")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_connectors_project_id_name")),
    )
    op.create_table(
        "personas",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.Column("updated_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_personas_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personas")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_personas_project_id_name")),
    )
    op.create_table(
        "scenarios",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.Column("updated_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_scenarios_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scenarios")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_scenarios_project_id_name")),
    )
    op.create_table(
        "agent_versions",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("published_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agent_versions_agent_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "version", name=op.f("pk_agent_versions")),
    )
    op.create_table(
        "evals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.Column("updated_at", _DOUBLE, nullable=False),
        sa.Column("connector_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connector_id"], ["connectors.id"], name=op.f("fk_evals_connector_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_evals_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evals")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_evals_project_id_name")),
    )
    op.create_table(
        "scenario_personas",
        sa.Column("scenario_id", sa.Text(), nullable=False),
        sa.Column("persona_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["persona_id"], ["personas.id"], name=op.f("fk_scenario_personas_persona_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["scenario_id"], ["scenarios.id"], name=op.f("fk_scenario_personas_scenario_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("scenario_id", "persona_id", name=op.f("pk_scenario_personas")),
    )
    op.create_table(
        "eval_scenarios",
        sa.Column("eval_id", sa.Text(), nullable=False),
        sa.Column("scenario_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["eval_id"], ["evals.id"], name=op.f("fk_eval_scenarios_eval_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["scenario_id"], ["scenarios.id"], name=op.f("fk_eval_scenarios_scenario_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("eval_id", "scenario_id", name=op.f("pk_eval_scenarios")),
    )
    op.create_table(
        "executions",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("eval_id", sa.Text(), nullable=True),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(["eval_id"], ["evals.id"], name=op.f("fk_executions_eval_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_executions_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executions")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_executions_project_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_executions_eval_id"), "executions", ["eval_id"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("eval_id", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("next_at", _DOUBLE, nullable=True),
        sa.Column("last_at", _DOUBLE, nullable=True),
        sa.Column("last_execution", _NUMBER, nullable=True),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.Column("updated_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(["eval_id"], ["evals.id"], name=op.f("fk_schedules_eval_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_schedules_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_table(
        "runs",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("execution_id", _NUMBER, nullable=True),
        sa.Column("eval_id", sa.Text(), nullable=True),
        sa.Column("scenario_id", sa.Text(), nullable=True),
        sa.Column("persona_id", sa.Text(), nullable=True),
        sa.Column("connector_id", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("agent_version", sa.Integer(), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("test_case", sa.LargeBinary(), nullable=False),
        sa.Column("provider", sa.Text(), server_default="", nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", _DOUBLE, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default="3", nullable=False),
        sa.Column("journal_from", sa.Integer(), server_default="1", nullable=False),
        sa.Column("cancelling", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("score", _DOUBLE, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("output", _JSON, nullable=True),
        sa.Column("details", _JSON, nullable=True),
        sa.Column("cost", _DOUBLE, nullable=True),
        sa.Column("tokens", sa.BigInteger(), nullable=True),
        sa.Column("started_at", _DOUBLE, nullable=True),
        sa.Column("completed_at", _DOUBLE, nullable=True),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.Column("updated_at", _DOUBLE, nullable=False),
        sa.CheckConstraint(
            "status IN ('queued', 'pending', 'running', 'completed', 'error', 'cancelled')",
            name=op.f("ck_runs_status_is_known"),
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_runs_execution_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_runs_project_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["snapshot"], ["snapshots.digest"], name=op.f("fk_runs_snapshot"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_runs")),
        sa.UniqueConstraint("execution_id", "identity", "trial", name=op.f("uq_runs_execution_id_identity_trial")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_runs_cancelling",
        "runs",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("status = 'running' AND cancelling"),
        postgresql_where=sa.text("status = 'running' AND cancelling"),
    )
    op.create_index("ix_runs_eval_id_number", "runs", ["eval_id", "number"], unique=False)
    op.create_index("ix_runs_execution_id_number", "runs", ["execution_id", "number"], unique=False)
    op.create_index(
        "ix_runs_later",
        "runs",
        ["not_before"],
        unique=False,
        sqlite_where=sa.text("status = 'queued' AND not_before IS NOT NULL"),
        postgresql_where=sa.text("status = 'queued' AND not_before IS NOT NULL"),
    )
    op.create_index(
        "ix_runs_owner",
        "runs",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index("ix_runs_persona_id_number", "runs", ["persona_id", "number"], unique=False)
    op.create_index("ix_runs_project_id_number", "runs", ["project_id", "number"], unique=False)
    op.create_index("ix_runs_project_id_status_number", "runs", ["project_id", "status", "number"], unique=False)
    op.create_index(
        op.f("ix_runs_queue"),
        "runs",
        ["project_id", "provider", sa.literal_column("priority DESC"), "number"],
        unique=False,
        sqlite_where=sa.text("status = 'queued' AND not_before IS NULL"),
        postgresql_where=sa.text("status = 'queued' AND not_before IS NULL"),
    )
    op.create_index(
        "ix_runs_running",
        "runs",
        ["provider", "project_id"],
        unique=False,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index("ix_runs_scenario_id_number", "runs", ["scenario_id", "number"], unique=False)
    op.create_table(
        "artifacts",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=op.f("fk_artifacts_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "sha256", name=op.f("pk_artifacts")),
    )
    op.create_index(op.f("ix_artifacts_sha256"), "artifacts", ["sha256"], unique=False)
    op.create_table(
        "checks",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("score", _DOUBLE, nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=op.f("fk_checks_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "number", name=op.f("pk_checks")),
    )
    op.create_index(op.f("ix_checks_name"), "checks", ["name"], unique=False)
    op.create_table(
        "events",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("line", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=op.f("fk_events_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "attempt", "seq", name=op.f("pk_events")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "labels",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("criterion", sa.Text(), server_default="", nullable=False),
        sa.Column("rater", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=op.f("fk_labels_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint("run", "criterion", "rater", name=op.f("uq_labels_run_criterion_rater")),
    )
    op.create_table(
        "results",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("messages", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=op.f("fk_results_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_results")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # The row of a run changes some three times and is then at rest: room for that, and early cleaning of the queue.
        op.execute(
            "ALTER TABLE runs SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)"
        )


def downgrade() -> None:
    """Drop them, with everything in them."""
    op.drop_table("results")
    op.drop_table("labels")
    op.drop_table("events")
    op.drop_table("checks")
    op.drop_table("artifacts")
    op.drop_table("runs")
    op.drop_table("schedules")
    op.drop_table("executions")
    op.drop_table("eval_scenarios")
    op.drop_table("scenario_personas")
    op.drop_table("evals")
    op.drop_table("agent_versions")
    op.drop_table("scenarios")
    op.drop_table("personas")
    op.drop_table("connectors")
    op.drop_table("agents")
    op.drop_table("workers")
    op.drop_table("snapshots")
    op.drop_table("projects")
    op.drop_table("limits")
