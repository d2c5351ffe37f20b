"""Command groups that do something when they are named alone."""

from typing import Any

from typer.core import TyperGroup


def with_default(command: str) -> type[TyperGroup]:
    """A group that runs `command` when none is named: `spar prompts` is `spar prompts count`."""

    class Group(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            """Name the command where there are only options, or nothing."""
            named = args and (args[0] == "--help" or not args[0].startswith("-"))
            return super().parse_args(ctx, args if named else [command, *args])

    return Group
