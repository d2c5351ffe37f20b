"""What the command line changes is in the audit too."""

import getpass

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.audit import Action, AuditRepository


async def record(session: AsyncSession, action: str) -> None:
    """Put an action into the audit, in the transaction that it happens in."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "?"
    done = Action(who=f"command line ({user})", action=action)
    await AuditRepository(session).begin(done, status=200)
