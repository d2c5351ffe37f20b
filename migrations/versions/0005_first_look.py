"""How a judgment without votes was reached."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("first_look", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("late_critique", sa.String(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.drop_column("late_critique")
        batch_op.drop_column("first_look")
