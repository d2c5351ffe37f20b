"""Options that are declared once are options of every command that takes the bundle."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from app.cli.options import Command, bundled


@dataclass(frozen=True, slots=True)
class Size:
    """How large."""

    width: Annotated[int, typer.Option(help="Across.", min=1)]
    height: Annotated[int, typer.Option(help="Upwards.", min=1)] = 2


def output(command: Command, *arguments: str) -> tuple[int, str]:
    """The exit code and everything that was printed."""
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@bundled()
def draw(name: str, *, colour: str = "red", size: Size, shade: bool = False) -> None:
    """Draw it."""
    print(name, colour, size, shade)


@bundled(height=9)
def tower(size: Size) -> None:
    """Draw a tower."""
    print(size)


def test_the_command_is_given_the_whole_bundle() -> None:
    code, said = output(draw, "box", "--width", "3", "--shade")
    assert (code, said) == (0, "box red Size(width=3, height=2) True\n")


def test_fields_are_options_in_the_bundles_place() -> None:
    said = output(draw, "--help")[1]
    places = [said.index(one) for one in ("--colour", "--width", "--height", "--shade")]
    assert places == sorted(places)
    assert "Draw it." in said
    assert "Upwards." in said


def test_a_field_without_a_default_must_be_given_and_is_checked() -> None:
    assert output(draw, "box")[0] == 2
    assert output(draw, "box", "--width", "0")[0] == 2


def test_a_command_may_have_defaults_of_its_own() -> None:
    assert output(tower, "--width", "1")[1] == "Size(width=1, height=9)\n"
    assert "Size(width=1, height=2)" in output(draw, "box", "--width", "1")[1]


def test_a_default_of_no_option_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="depth"):
        bundled(depth=1)(lambda: None)
