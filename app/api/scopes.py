"""What each route needs: `admin`, if it is not named here, so that none is open by oversight."""

import re

from app.domain.key import Scope

Wanted = frozenset[Scope]

ADMIN: Wanted = frozenset({Scope.ADMIN})
GENERATE: Wanted = frozenset({Scope.GENERATE})
JUDGE: Wanted = frozenset({Scope.JUDGE})
EITHER = GENERATE | JUDGE
NOBODY_ASKED: Wanted = frozenset()
"""Of routes that are open to everybody."""

METRICS = "/metrics"
READING = frozenset({"GET", "HEAD"})

_OPEN = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
_READ = {"/constraints": EITHER, "/v1/models": EITHER}
_WRITTEN = {
    "/generate": GENERATE,
    "/v1/chat/completions": GENERATE,
    "/judge": JUDGE,
    "/feedback": GENERATE,
    "/tokenize": EITHER,
}
_PAGE = re.compile("/|/(ui|static)/.*")
"""Pages hold no data of their own: their scripts ask the routes above, with the reader's key."""
_ONE_SEARCH = re.compile("/searches/[0-9A-HJKMNP-TV-Z]{26}")
"""Who knows the id of a search, which nobody can guess, may see it; lists are for admins."""

SEARCHING = frozenset({"/generate", "/v1/chat/completions", "/judge"})
"""Where models work."""


def wanted_scopes(method: str, path: str) -> Wanted:
    """The scopes of which one is enough; empty for a route that is open."""
    if method in READING:
        if path in _OPEN or _PAGE.fullmatch(path):
            return NOBODY_ASKED
        if _ONE_SEARCH.fullmatch(path):
            return GENERATE
        return _READ.get(path, ADMIN)
    if method == "POST":
        return _WRITTEN.get(path, ADMIN)
    return ADMIN


def is_action(method: str, wanted: Wanted) -> bool:
    """Whether a request is an admin action, which is recorded: one that may change something."""
    return wanted == ADMIN and method not in READING and method != "OPTIONS"
