"""Keys of items: results are stored under them, so no two items may share one."""

from collections.abc import Iterable

from app.errors import ConfigurationError
from app.evaluation.base import Item


def unique(placed: Iterable[tuple[str, Item]]) -> list[Item]:
    """The items, given with their places. Raises `ConfigurationError` for a key met again."""
    items: dict[str, Item] = {}
    for place, item in placed:
        if item.key in items:
            raise ConfigurationError(f'{place}: the key "{item.key}" was there before')
        items[item.key] = item
    return list(items.values())
