"""Whether a server asks for keys, and whether it may start as it is configured."""

from app.config.settings import Settings
from app.db.keys import KeyRepository
from app.db.session import Database
from app.domain.key import Key, Scope
from app.errors import ConfigurationError
from app.http_client import is_loopback
from app.keys.cache import digest_of, make_key


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


NAME = "the worker beside the server"


def internal_key(settings: Settings) -> tuple[Settings, Key | None]:
    """The worker's settings, with a key if it needs one, and that key as the server knows it.

    A worker that is sent to another server shows that one the configured key.
    """
    if settings.worker_url is not None or not keys_needed(settings):
        return settings, None
    made = make_key()
    scopes = frozenset({Scope.GENERATE, Scope.JUDGE})
    key = Key(made.id, NAME, scopes, digest_of(made.secret))
    return settings.model_copy(update={"api_key": made.text}), key
