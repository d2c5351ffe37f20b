"""The text of a key: `spar_<id>_<secret>`.

The id finds the stored key, the secret proves it. The secret has 256 random bits, so a plain
SHA-256 of it is safe to store: slow hashes protect what people make up and others can guess, and
would only make each request slow here.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

PREFIX = "spar_"
ID_BYTES = 6
SECRET_BYTES = 32
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Presented:
    """A key that somebody shows; neither part is known to be right."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The whole key."""
        return f"{PREFIX}{self.id}_{self.secret}"


def make_key() -> Presented:
    """A new key from the system's random numbers."""
    return Presented(secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES))


def read_key(text: str) -> Presented | None:
    """The parts of a key; None for what is none."""
    if not text.startswith(PREFIX) or len(text) > LONGEST:
        return None
    key_id, _, secret = text.removeprefix(PREFIX).partition("_")
    return Presented(key_id, secret) if key_id and secret else None


def digest_of(secret: str) -> str:
    """What is stored of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def proves(secret: str, digest: str) -> bool:
    """Whether this is the secret of that digest, in the same time wherever they differ."""
    return hmac.compare_digest(digest_of(secret), digest)
