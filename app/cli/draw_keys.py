"""What keys and the audit look like on a terminal."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from app.cli.console import clean
from app.cli.draw import new_table
from app.db.audit import StoredAction
from app.domain.key import Key, KeyLimits


def draw_keys(keys: Sequence[Key]) -> Table:
    """Keys, one line each."""
    table = new_table("Key", "Name", "Scopes", "Limits", "Created", "Last used")
    for key in keys:
        revoked = key.revoked_at is not None
        used = f"revoked {_time(key.revoked_at)}" if revoked else _time(key.used_at) or "never"
        table.add_row(
            Text(key.id, no_wrap=True),
            Text(clean(key.name)),
            Text(" ".join(sorted(key.scopes))),
            Text(_limits(key.limits)),
            Text(_time(key.created_at), no_wrap=True),
            Text(used, "red" if revoked else ""),
        )
    return table


def draw_audit(actions: Sequence[StoredAction]) -> Table:
    """Actions, one line each; what failed stands out."""
    table = new_table("When", "Who", "What", "Outcome")
    for one in actions:
        outcome = "unknown" if one.status is None else str(one.status)
        good = one.status is not None and one.status < 400
        table.add_row(
            Text(_time(one.created_at), no_wrap=True),
            Text(clean(one.action.who)),
            Text(clean(one.action.action)),
            Text(outcome, "" if good else "red"),
        )
    return table


def _limits(limits: KeyLimits) -> str:
    said = (
        (limits.requests_per_minute, "requests/min"),
        (limits.tokens_per_minute, "tokens/min"),
        (limits.searches, "at a time"),
    )
    return ", ".join(f"{number:,} {what}" for number, what in said if number is not None) or "none"


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
