"""Writes docs/configuration.md from the settings: `python -m scripts.configuration`."""

from pathlib import Path

from app.config.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

HEAD = """\
# Configuration

Every setting is an environment variable, or a line in a file `.env` in the folder the server is
started in. `spar serve --help` lists those that are options of the command too; an option wins
over a variable. A value that cannot be right is refused at start, by name.

This page is written by `python -m scripts.configuration`; a test keeps it true.

| variable | default | meaning |
| --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(
        f"| `SPAR_{name.upper()}` | {_default(field.default)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )


def _default(value: object) -> str:
    return "none" if value is None else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
