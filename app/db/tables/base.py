"""What every table shares."""

from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from app.db.types import StorableJSON, StorableText, UtcDateTime

ULID_LENGTH = 26
SHA256_LENGTH = 64


def _values(enum: type[Enum]) -> list[str]:
    return [member.value for member in enum]


class Base(DeclarativeBase):
    """Base of every table: constraint names are stable, so that migrations can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        str: StorableText(),
        Any: StorableJSON(),
        float: sa.Double(),
        datetime: UtcDateTime(),
        # Plain strings in the database: a new member needs no migration.
        Enum: sa.Enum(Enum, native_enum=False, length=16, values_callable=_values),
    }
