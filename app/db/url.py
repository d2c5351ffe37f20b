"""Database URLs as people write them."""

from sqlalchemy import URL, make_url

DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def complete(url: str) -> URL:
    """The URL with our driver where it names none (`postgres://` means PostgreSQL as well).

    Raises SQLAlchemy's `ArgumentError` for what is no URL.
    """
    scheme, mark, rest = url.partition("://")
    return make_url(f"{DRIVERS.get(scheme, scheme)}{mark}{rest}")
