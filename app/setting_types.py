"""What a setting may be, beyond the plain types: each with the words that refuse the rest."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from app.domain.presets import PRESETS

Fraction = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
PositiveInt = Annotated[int, Field(ge=1)]
RANKS = (8, 16, 32, 64, 128, 256)
"""What vLLM can set aside for an adapter."""


def _cron_expression(text: str | None) -> str | None:
    if not text:
        return None
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(text, datetime.now(UTC)))
    except CronSimError as error:
        example = "write it like '0 3 * * *' (minute, hour, day, month, weekday)"
        raise ValueError(f"not a cron expression: {error}; {example}") from error
    except StopIteration as error:
        raise ValueError("this moment never comes") from error
    return text


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"there is no such preset: use one of {', '.join(PRESETS)}")
    return name


def _rank(rank: int) -> int:
    if rank not in RANKS:
        raise ValueError(f"the engine knows {', '.join(map(str, RANKS))}")
    return rank


def _address_list(given: object) -> object:
    """Addresses with commas between them, or as a JSON list."""
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("["):
        return json.loads(given)
    return [address.strip() for address in given.split(",") if address.strip()]


def _json_object(given: object) -> object:
    return (json.loads(given) if given.strip() else {}) if isinstance(given, str) else given


Rank = Annotated[int, AfterValidator(_rank)]
Cron = Annotated[str | None, AfterValidator(_cron_expression)]
PresetName = Annotated[str, AfterValidator(_preset)]
Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_address_list)]
Arguments = Annotated[dict[str, Any], NoDecode, BeforeValidator(_json_object)]
