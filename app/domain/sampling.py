"""How tokens are drawn, and how independent seeds come from one."""

from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters of one model call.

    temperature 0 is greedy decoding; `max_tokens` counts generated tokens; `stop` strings end
    the text and are not part of it; a `seed` makes the draw reproducible.
    """

    temperature: float
    top_p: float
    max_tokens: int
    seed: int | None = None
    stop: tuple[str, ...] = ()


def derive_seed(seed: int | None, *path: int | str) -> int | None:
    """A seed for one draw inside a search, independent of how many other draws there are.

    The same `seed` and `path` (for example a node's id and the word "vote") always give the
    same result; no seed gives no seed. The result fits a signed 64-bit integer.
    """
    if seed is None:
        return None
    digest = blake2b(repr((seed, *path)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
