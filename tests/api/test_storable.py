"""Texts and JSON that the database or JSON readers cannot store are refused."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.schemas import storable_json, storable_text
from tests.helpers.properties import calm

any_text = st.text(st.characters(codec=None))
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=8,
)


def fits(value: Any) -> bool:
    """Whether PostgreSQL and every JSON reader accept it."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except ValueError:
        return False
    return "\x00" not in repr_texts(value)


def repr_texts(value: Any) -> str:
    """All texts inside, one after the other."""
    if isinstance(value, dict):
        return "".join(key + repr_texts(inner) for key, inner in value.items())
    if isinstance(value, list):
        return "".join(map(repr_texts, value))
    return value if isinstance(value, str) else ""


@given(st.dictionaries(any_text, any_json))
@calm
def test_json_is_refused_exactly_when_it_does_not_fit(values: dict[str, Any]) -> None:
    if fits(values):
        assert storable_json(values) is values
    else:
        with pytest.raises(ValueError, match=r"text must not|numbers must"):
            storable_json(values)


@pytest.mark.parametrize("text", ["", "plain", "é 漢 🌊", "\U0010ffff", "\x01"])
def test_ordinary_text_passes(text: str) -> None:
    assert storable_text(text) == text


@pytest.mark.parametrize(("text", "words"), [("a\0", "NUL"), ("\ud800", "surrogate")])
def test_text_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        storable_text(text)


def test_depth_is_no_problem() -> None:
    values: dict[str, Any] = {"at the bottom": math.nan}
    for _ in range(100_000):
        values = {"inside": [values]}
    with pytest.raises(ValueError, match="finite"):
        storable_json(values)
