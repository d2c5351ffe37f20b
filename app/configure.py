"""Settings of a process: what is given to it wins over the environment."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.errors import ConfigurationError
from app.settings import Settings


def settings_from(**options: object) -> Settings:
    """The settings with the options that are not None put over the environment's.

    Raises `ConfigurationError` naming the first setting that is wrong.
    """
    overrides = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings.model_validate(overrides)
    except ValidationError as error:
        raise ConfigurationError(_explain(error.errors(include_url=False)[0], overrides)) from error


def _explain(problem: ErrorDetails, overrides: dict[str, object]) -> str:
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = str(problem["loc"][0])
    source = "--" + name.replace("_", "-") if name in overrides else f"SPAR_{name.upper()}"
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{source} is set to {problem['input']!r}: {reason}"
