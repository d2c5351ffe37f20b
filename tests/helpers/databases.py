"""Database selection for tests that do not run on all databases."""

import pytest

KINDS = ("sqlite", "postgresql")

on_sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
on_both = pytest.mark.parametrize("kind", KINDS, indirect=True)


def impatient_url(url: str) -> str:
    """The same database, without waiting for locks."""
    return f"{url}?timeout=0" if "sqlite" in url else f"{url}&options=-clock_timeout%3D1"
