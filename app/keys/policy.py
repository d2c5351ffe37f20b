"""Whether a server requires API keys, and the key of its own worker."""

from app.config.settings import Settings
from app.db.keys import KeyRepository
from app.db.session import Database
from app.domain.key import Key, Scope
from app.errors import ConfigurationError
from app.http_client import is_loopback
from app.keys.cache import digest_of, make_key


def keys_needed(settings: Settings) -> bool:
    """Whether requests require a key."""
    if settings.keys == "auto":
        return not is_loopback(settings.host)
    return settings.keys == "required"


async def check_keys(settings: Settings) -> None:
    """Check that a key exists if requests require one.

    Raises:
        ConfigurationError: no key exists.
        DatabaseError: the keys cannot be read.
    """
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
        f"A server at {settings.host} requires API keys, and none exists. Create one with `spar"
        " keys create NAME --scope generate` (with the same SPAR_DATA or SPAR_DATABASE_URL), or"
        " set SPAR_KEYS=off to allow every client that can reach the server.",
        field="keys",
    )


WORKER_NAME = "the worker beside the server"


def internal_key(settings: Settings) -> tuple[Settings, Key | None]:
    """The settings of the supervised worker, and its key, which is in no table.

    The settings contain the key. None if no key is required, or if the worker calls another
    server, to which it sends the configured key.
    """
    if settings.worker_url is not None or not keys_needed(settings):
        return settings, None
    made = make_key()
    scopes = frozenset({Scope.GENERATE, Scope.JUDGE})
    key = Key(made.id, WORKER_NAME, scopes, digest_of(made.secret))
    return settings.model_copy(update={"api_key": made.text}), key
