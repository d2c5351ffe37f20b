"""How property tests run: without hypothesis' own time limit, which a busy machine can miss."""

from hypothesis import settings

calm = settings(deadline=None)
