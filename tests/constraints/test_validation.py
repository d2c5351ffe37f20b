from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.constraints.catalogue import validate
from app.domain.prompt import Constraint
from app.errors import InvalidRequest

DEEP: dict[str, Any] = {}
for _ in range(100):
    DEEP = {"items": DEEP}


@pytest.mark.parametrize(
    ("constraint_id", "kwargs", "field", "message"),
    [
        ("length_constraint:number_words", {}, "id", "length_constraints:number_words"),
        ("no such thing at all", {}, "id", "GET /constraints lists them all"),
        ("keywords:existence", {}, "kwargs.keywords", "missing: keywords:existence takes keywords"),
        ("keywords:existence", {"keywords": None}, "kwargs.keywords", "missing"),
        ("keywords:existence", {"keywords": "rain"}, "kwargs.keywords", "valid list"),
        ("keywords:existence", {"keywords": []}, "kwargs.keywords", "at least 1"),
        ("keywords:existence", {"keywords": ["rain", " "]}, "kwargs.keywords.1", "match"),
        ("keywords:forbidden_words", {"forbidden_words": ["C++"]}, "kwargs.forbidden_words.0", ""),
        ("punctuation:no_comma", {"x": 1}, "kwargs.x", "punctuation:no_comma takes no arguments"),
        (
            "length_constraints:number_words",
            {"num_words": "100", "relation": "at most"},
            "kwargs.num_words",
            "valid integer",
        ),
        (
            "length_constraints:number_words",
            {"num_words": True, "relation": "at most"},
            "kwargs.num_words",
            "valid integer",
        ),
        (
            "length_constraints:number_words",
            {"num_words": -1, "relation": "at most"},
            "kwargs.num_words",
            "greater than or equal to 0",
        ),
        (
            "length_constraints:number_words",
            {"num_words": 1, "relation": "about"},
            "kwargs.relation",
            "'less than', 'at least' or 'at most'",
        ),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 1, "nth_paragraph": 2, "first_word": "x"},
            "kwargs",
            "nth_paragraph must not be greater than num_paragraphs",
        ),
        (
            "keywords:letter_frequency",
            {"letter": "!", "let_frequency": 1, "let_relation": "at least"},
            "kwargs.letter",
            "match",
        ),
        ("language:response_language", {"language": "xx"}, "kwargs.language", "'de'"),
        ("regex", {"pattern": "(a"}, "kwargs.pattern", "not a regular expression: missing )"),
        ("regex", {"pattern": "(" * 2000 + ")" * 2000}, "kwargs.pattern", "nested too deeply"),
        ("regex", {"pattern": "a" * 5000}, "kwargs.pattern", "at most 4096"),
        ("regex", {"pattern": "a", "match": "start"}, "kwargs.match", "'search' or 'fullmatch'"),
        ("regex", {"pattern": "a", "flags": "q"}, "kwargs.flags", "match"),
        ("json_schema", {}, "kwargs.schema", "json_schema takes schema"),
        ("json_schema", {"schema": []}, "kwargs.schema", "valid dictionary"),
        ("json_schema", {"schema": {"type": "thing"}}, "kwargs.schema", "at $.type: 'thing'"),
        ("json_schema", {"schema": {"pattern": "("}}, "kwargs.schema", "at $.pattern"),
        ("json_schema", {"schema": DEEP}, "kwargs.schema", "more than 64 levels deep"),
        (
            "json_schema",
            {"schema": {"const": "x" * 70_000}},
            "kwargs.schema",
            "larger than 65536 bytes",
        ),
        (
            "json_schema",
            {"schema": {"$ref": "https://example.com/schema.json"}},
            "kwargs.schema",
            "schemas elsewhere are not fetched",
        ),
        (
            "json_schema",
            {"schema": {"items": {"$ref": "#/$defs/missing"}}},
            "kwargs.schema",
            "points to nothing",
        ),
    ],
)
def test_names_the_field_and_says_what_is_wrong(
    constraint_id: str, kwargs: dict[str, Any], field: str, message: str
) -> None:
    constraints = [Constraint("punctuation:no_comma"), Constraint(constraint_id, kwargs)]
    with pytest.raises(InvalidRequest) as caught:
        validate(constraints, "constraints")
    assert caught.value.field == f"constraints.1.{field}"
    assert message in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}},
        {"$defs": {"n": {"$id": "https://example.com/n"}}, "$ref": "https://example.com/n"},
        {"properties": {"$ref": {"type": "string"}}, "const": {"$ref": "https://example.com"}},
        {"items": {"$ref": "#"}},
    ],
)
def test_sound_schemas_are_taken(schema: dict[str, Any]) -> None:
    validate([Constraint("json_schema", {"schema": schema})])


def test_a_hostile_pattern_is_not_run() -> None:
    validate([Constraint("regex", {"pattern": "(a+)+$"})])
    validate(
        [Constraint("json_schema", {"schema": {"const": "a" * 40 + "b", "pattern": "(a+)+$"}})]
    )


KEYWORDS = ["$id", "$ref", "$anchor", "$dynamicRef", "$defs", "$schema", "items", "properties",
            "allOf", "pattern", "patternProperties", "type", "const", "minimum"]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["#", "#/items", "http://[", "object", "(", "urn:x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(KEYWORDS) | st.text(max_size=3), inner, max_size=4),
)  # fmt: skip


@settings(deadline=None)
@given(kwargs=st.dictionaries(st.sampled_from(["schema", "pattern", "letter"]), VALUES))
@pytest.mark.parametrize("constraint_id", ["json_schema", "regex", "keywords:letter_frequency"])
def test_any_json_is_taken_or_refused(constraint_id: str, kwargs: dict[str, Any]) -> None:
    field = "constraints.0.kwargs"
    try:
        validate([Constraint(constraint_id, kwargs)])
    except InvalidRequest as error:
        field = str(error.field)
    assert field.startswith("constraints.0.kwargs")
