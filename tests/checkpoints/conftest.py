"""A base model, adapters for it, and a database."""

from tests.helpers.swapping import base, database, engine, world  # noqa: F401 (fixtures)
