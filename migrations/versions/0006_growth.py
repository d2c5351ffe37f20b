"""Indexes for queries on large tables."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FILTERS = ("mode", "accepted", "stop_reason", "actor_version", "refiner_version")


def upgrade() -> None:
    op.create_index(
        op.f("ix_prompts_source_last_used_id"), "prompts", ["source", "last_used", "id"]
    )
    op.create_index(op.f("ix_samples_search_id"), "samples", ["search_id"])
    for column in FILTERS:
        op.create_index(op.f(f"ix_searches_{column}_id"), "searches", [column, "id"])


def downgrade() -> None:
    for column in FILTERS:
        op.drop_index(op.f(f"ix_searches_{column}_id"), table_name="searches")
    op.drop_index(op.f("ix_samples_search_id"), table_name="samples")
    op.drop_index(op.f("ix_prompts_source_last_used_id"), table_name="prompts")
