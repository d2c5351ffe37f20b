"""The adapters that the servers of a fleet are to have."""

from collections.abc import Mapping, Set
from pathlib import Path

from app.domain.checkpoint import Role, parse_served_name
from app.errors import CheckpointRefused

BASE_VERSION = 0
"""The version of a role that is the server's own model, without an adapter."""


class Shelf:
    """Names of adapters, their folders, and which of them are wanted now.

    A name stands for one folder for ever (servers keep what they computed under it), and is not
    forgotten: searches that began with an adapter end with it, also after it is put away.
    """

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self._wanted: set[str] = set()

    def put(self, name: str, path: Path) -> Role:
        """Want an adapter from now on; its role. Raises `CheckpointRefused`."""
        served = parse_served_name(name)
        if served is None or served[1] == BASE_VERSION:
            raise CheckpointRefused(f"{name} is no name of an adapter")
        known = self._folders.setdefault(name, path)
        if known != path:
            raise CheckpointRefused(f"{name} is served from {known} already")
        self._wanted.add(name)
        return served[0]

    def put_away(self, name: str) -> None:
        """Want it no more."""
        self._wanted.discard(name)

    def forget(self, name: str) -> None:
        """It was never served: its name may get another folder."""
        self._wanted.discard(name)
        self._folders.pop(name, None)

    def folder(self, name: str) -> Path | None:
        """Where an adapter is that was ever served under this name."""
        return self._folders.get(name)

    def wanted(self, roles: Set[Role]) -> Mapping[str, Path]:
        """The adapters that a server of these roles is to have, with their folders."""
        return {
            name: self._folders[name]
            for name in sorted(self._wanted)
            if (served := parse_served_name(name)) is not None and served[0] in roles
        }
