"""Which server takes a call: pure arithmetic over what is known of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

AFFINITY_CALLS = 16
"""So many calls more than the least loaded server may one have, to be preferred all the same.

About what one search asks at once: it stays together, and several do not pile up.
"""


@dataclass(frozen=True, slots=True)
class Load:
    """A server and how many calls it is working on."""

    url: str
    calls: int


def choose(loads: Iterable[Load], key: str, slack: int = AFFINITY_CALLS) -> str | None:
    """The server for a call with this affinity; None where there is no server.

    Among those within `slack` calls of the least loaded, the one that ranks first for the key
    (rendezvous hashing): a server that comes or goes moves only the keys that are its own.
    """
    known = list(loads)
    if not known:
        return None
    most = min(load.calls for load in known) + slack
    return max((load.url for load in known if load.calls <= most), key=lambda url: _rank(url, key))


def _rank(url: str, key: str) -> tuple[bytes, str]:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, person=_person(url))
    return digest.digest(), url


def _person(url: str) -> bytes:
    return blake2b(url.encode(), digest_size=16).digest()
