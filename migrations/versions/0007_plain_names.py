"""Stored options, metrics and a column take the names that the API uses since 0.2.0."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SEARCH = {
    "gate": "accept_threshold",
    "first_look": "quick_verdict",
}
ITERATION = {
    "own_pairs": "on_policy_pairs",
    "method": "kind",
    "rank": "lora_rank",
    "alpha": "lora_alpha",
    "targets": "lora_targets",
    "warmup": "warmup_ratio",
}
RENAMED = (
    ("searches", "options", SEARCH),
    ("iterations", "options", SEARCH | ITERATION),
    ("evaluations", "options", SEARCH),
    ("evaluations", "summary", {"figures": "metrics"}),
)


def upgrade() -> None:
    op.execute("ALTER TABLE nodes RENAME COLUMN first_look TO quick_verdict")
    for table, column, names in RENAMED:
        _rename_keys(table, column, names)
    _rename_in_judgments("gate", "accept_threshold")


def downgrade() -> None:
    _rename_in_judgments("accept_threshold", "gate")
    for table, column, names in RENAMED:
        _rename_keys(table, column, {new: old for old, new in names.items()})
    op.execute("ALTER TABLE nodes RENAME COLUMN quick_verdict TO first_look")


def _rename_keys(table: str, column: str, names: dict[str, str]) -> None:
    """Rename keys of a column's JSON, in the text that `json.dumps` wrote.

    A key in a user's text is safe: its quotes are escaped there, so it does not match.
    """
    as_json = "json" if op.get_bind().dialect.name == "postgresql" else "text"
    changed = f"CAST({column} AS text)"
    values: dict[str, str] = {}
    for number, (old, new) in enumerate(names.items()):
        changed = f"replace({changed}, :old_{number}, :new_{number})"
        values |= {f"old_{number}": f'"{old}": ', f"new_{number}": f'"{new}": '}
    statement = f"UPDATE {table} SET {column} = CAST({changed} AS {as_json})"
    op.execute(sa.text(statement).bindparams(**values))


def _rename_in_judgments(old: str, new: str) -> None:
    """Rename a key of the judgments among the results of unfinished stages.

    Not in the text, because a judgment also has the arguments of constraints, a JSON schema's keys
    among them.
    """
    items = sa.table(
        "items",
        sa.column("iteration_id"),
        sa.column("stage"),
        sa.column("key"),
        sa.column("result", sa.JSON),
    )
    connection = op.get_bind()
    mentions = sa.cast(items.c.result, sa.Text).contains(f'"{old}": ')
    for row in connection.execute(sa.select(items).where(mentions)).all():
        same = (items.c[name] == row._mapping[name] for name in ("iteration_id", "stage", "key"))
        result = _renamed(row.result, old, new)
        connection.execute(items.update().where(*same).values(result=result))


def _renamed(value: Any, old: str, new: str) -> Any:
    match value:
        case list():
            return [_renamed(item, old, new) for item in value]
        case {"votes": _, "constraints": _}:
            return {new if key == old else key: item for key, item in value.items()}
        case dict():
            return {key: _renamed(item, old, new) for key, item in value.items()}
    return value
