"""Servers that follow promotions; see `tests.helpers.swapping`."""

from tests.helpers.swapping import base, database, engine, world  # noqa: F401 (fixtures)
