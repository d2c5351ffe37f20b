"""Whether a server asks for keys, and whether it may start as it is configured."""

from ipaddress import ip_address

from app.db.keys import KeyRepository
from app.db.session import Database
from app.errors import ConfigurationError
from app.settings import Settings


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server at `host`. A name other than localhost may lie."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def keys_needed(settings: Settings) -> bool:
    """Whether requests need a key."""
    if settings.keys == "auto":
        return not is_loopback(settings.host)
    return settings.keys == "required"


async def check_keys(settings: Settings) -> None:
    """Raise `ConfigurationError` where a key is needed and there is none."""
    if not keys_needed(settings):
        return
    database = Database(settings.url)
    try:
        async with database.session() as session:
            if await KeyRepository(session).in_use():
                return
    finally:
        await database.close()
    raise ConfigurationError(
        f"A server at {settings.host} needs keys, and there is none. Make one with `spar keys"
        " create NAME --scope generate` (with the same SPAR_DATA or SPAR_DATABASE_URL), or set"
        " SPAR_KEYS=off if everybody who can reach the server may use it.",
        field="keys",
    )
