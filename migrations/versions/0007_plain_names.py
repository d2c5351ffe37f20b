"""Options and a column take the names that the API uses since 0.2.0."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

RENAMED = {
    "gate": "accept_threshold",
    "first_look": "quick_verdict",
    "own_pairs": "on_policy_pairs",
}
TABLES = ("searches", "iterations", "evaluations")


def upgrade() -> None:
    op.execute("ALTER TABLE nodes RENAME COLUMN first_look TO quick_verdict")
    _rename_keys(RENAMED)


def downgrade() -> None:
    _rename_keys({new: old for old, new in RENAMED.items()})
    op.execute("ALTER TABLE nodes RENAME COLUMN quick_verdict TO first_look")


def _rename_keys(names: dict[str, str]) -> None:
    """Rename keys of the stored options, in the text that `json.dumps` wrote.

    A key in a user's text is safe: its quotes are escaped there, so it does not match.
    """
    as_json = "json" if op.get_bind().dialect.name == "postgresql" else "text"
    for table in TABLES:
        changed = "CAST(options AS text)"
        values: dict[str, str] = {}
        for number, (old, new) in enumerate(names.items()):
            changed = f"replace({changed}, :old_{number}, :new_{number})"
            values |= {f"old_{number}": f'"{old}": ', f"new_{number}": f'"{new}": '}
        statement = f"UPDATE {table} SET options = CAST({changed} AS {as_json})"
        op.execute(sa.text(statement).bindparams(**values))
