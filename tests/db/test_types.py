"""Column values are converted to what every database accepts."""

import json
import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.engine.default import DefaultDialect

from app.db.types import UtcDateTime, storable_json, storable_text

text = st.text(st.characters(exclude_categories=()))
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(text, inner),
    max_leaves=10,
)


@given(text)
def test_text_becomes_encodable_and_free_of_nul(given_text: str) -> None:
    stored = storable_text(given_text)
    assert b"\x00" not in stored.encode()
    assert len(stored) == len(given_text)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
def test_ordinary_text_is_left_alone(given_text: str) -> None:
    assert storable_text(given_text) == given_text


@given(json_like)
@example([math.nan, {"a": (math.inf, -math.inf)}])
def test_json_becomes_strict_and_encodable(value: Any) -> None:
    written = json.dumps(storable_json(value), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in written
    written.encode()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
        max_leaves=10,
    )
)
def test_ordinary_json_is_left_alone(value: Any) -> None:
    assert storable_json(value) == value


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), DefaultDialect())
