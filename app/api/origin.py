"""Requests that a foreign web page makes in somebody's browser.

A browser reaches what its user reaches, servers on the user's own machine among them, where no
key may be needed.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from app.errors import Forbidden

Headers = dict[str, str]


def check_origin(method: str, headers: Headers) -> None:
    """Raise `Forbidden` for what a page of another site wants changed.

    Browsers name the page's site in `Origin`, and how it relates to ours in `Sec-Fetch-Site`
    (`none`: the user's own doing); other clients send neither.
    """
    if method in ("GET", "HEAD", "OPTIONS"):
        return
    host = headers.get("host", "").lower()
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != host
    if foreign or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Forbidden("requests from web pages of other sites are not taken")


def check_host(headers: Headers, allowed: str) -> None:
    """Raise `Forbidden` unless the request names this machine by an address or as localhost.

    For a server without keys: a foreign site can make its own name stand for 127.0.0.1, and its
    pages could then read here. `allowed` is a further name that is right.
    """
    name = urlsplit(f"//{headers.get('host', 'localhost')}").hostname or ""
    if name in ("localhost", allowed.lower()) or name.endswith(".localhost"):
        return
    try:
        ip_address(name)
    except ValueError:
        raise Forbidden(
            f"this server takes requests for localhost only, not for {name!r}; with keys"
            " (SPAR_KEYS=required) it takes them under any name"
        ) from None
