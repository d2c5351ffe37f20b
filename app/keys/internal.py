"""The key of the worker beside a server: made at the start, in no table, gone with the process."""

from app.domain.key import Key, Scope
from app.keys.policy import keys_needed
from app.keys.secret import digest_of, make_key
from app.settings import Settings

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
