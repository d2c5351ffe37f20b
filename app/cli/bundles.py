"""Options that belong together: declared once as a dataclass, taken by any command."""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

Command = Callable[..., None]


def bundled(**defaults: Any) -> Callable[[Command], Command]:
    """Have a command take the options of every bundle among its parameters.

    A bundle is a parameter whose type is a dataclass. Each field of it is an option, in the
    bundle's place among the others; the command itself is given the dataclass, filled in.

    defaults: of these options, instead of the dataclass's own. Raises `TypeError` for a default of
    an option that no bundle has.
    """

    def decorate(command: Command) -> Command:
        bundles: dict[str, Any] = {}
        options: list[Parameter] = []
        for parameter in signature(command, eval_str=True).parameters.values():
            if is_dataclass(parameter.annotation):
                bundles[parameter.name] = parameter.annotation
                options += [_option(one, defaults) for one in fields(parameter.annotation)]
            else:
                options.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
        if unknown := defaults.keys() - {one.name for one in options}:
            raise TypeError(f"no option is called {', '.join(sorted(unknown))}")

        @wraps(command)
        def taking(**values: Any) -> None:
            for name, bundle in bundles.items():
                given = {one.name: values.pop(one.name) for one in fields(bundle)}
                values[name] = bundle(**given)
            command(**values)

        # Typer reads both, and must see the options instead of the bundles.
        taking.__signature__ = Signature(options)  # type: ignore[attr-defined]
        taking.__annotations__ = {one.name: one.annotation for one in options}
        return taking

    return decorate


def _option(field: "Field[Any]", defaults: dict[str, Any]) -> Parameter:
    default = defaults.get(field.name, field.default)
    return Parameter(
        field.name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if default is MISSING else default,
        annotation=field.type,
    )
