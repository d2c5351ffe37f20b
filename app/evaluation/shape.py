"""The shape of a search as it is written down: defaults included, whoever chose them."""

from typing import Any

from app.domain.options import SearchOptions

SHAPE = ("n", "branch", "beam", "depth", "votes", "gate", "early_stop")
"""Everything that always has a value; the first look is left out where nobody asks for it."""


def search_shape(*names: str, **given: Any) -> dict[str, Any]:
    """The named parts by default, and what is given (not None) in their place or besides.

    A record of a run must say what the run was, also when the defaults are others one day.
    """
    defaults = SearchOptions()
    shape = {name: getattr(defaults, name) for name in names}
    return shape | {name: value for name, value in given.items() if value is not None}
