"""What executions come to, kept so that pages need not read all of their results.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_DOUBLE: sa.Double[float] = sa.Double()


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "execution_indexes",
        sa.Column("execution_id", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _DOUBLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_execution_indexes_execution_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_execution_indexes")),
    )


def downgrade() -> None:
    """Remove it. What is in it can be made again."""
    op.drop_table("execution_indexes")
