"""Files of prompts of any content: they are sent, or an error names the invalid line."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.endpoints import Endpoint
from tests.cli.replay import Run
from tests.helpers.properties import at_most

texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
messages = st.lists(
    st.fixed_dictionaries({}, optional={"role": texts | st.just("user"), "content": values})
)
ids = st.lists(st.just("punctuation:no_comma") | values, max_size=2)
rows = st.fixed_dictionaries(
    {},
    optional={
        "prompt": texts | values,
        "messages": messages | values,
        "constraints": st.lists(st.fixed_dictionaries({"id": texts, "kwargs": values})) | values,
        "instruction_id_list": ids | values,
        "kwargs": st.lists(st.dictionaries(texts, values), max_size=2) | values,
        "role": st.sampled_from(["actor", "refiner"]) | values,
    },
)
lines = (rows | values).map(lambda row: json.dumps(row).encode()) | st.binary(max_size=32)

often = settings(
    max_examples=at_most(60), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
REFUSAL = re.compile(r"error: line \d+: .+\n")


def printed(run: Run, folder: Path, command: tuple[str, ...], content: bytes) -> str:
    """What is printed for a file, which is accepted or rejected with the number of a line."""
    file = folder / "rows.jsonl"
    file.write_bytes(content)
    result = run(*command, str(file))
    errors: str = result.stderr
    if result.exit_code:
        assert result.exit_code == 1, errors
        assert REFUSAL.match(errors), errors
    return errors


@often
@given(st.lists(lines, max_size=3))
def test_any_file_of_prompts_is_accepted_or_rejected_by_line(
    spar: Run, endpoint: Endpoint, tmp_path: Path, content: list[bytes]
) -> None:
    printed(spar, tmp_path, ("prompts", "import", "--url", endpoint.url), b"\n".join(content))


@often
@given(st.lists(lines, max_size=3))
def test_any_file_of_conversations_is_accepted_or_rejected_by_line(
    spar: Run, endpoint: Endpoint, tmp_path: Path, content: list[bytes]
) -> None:
    command = ("bootstrap", "--detach", "--url", endpoint.url)
    printed(spar, tmp_path, command, b"\n".join([*content, b"{"]))


@pytest.mark.parametrize(
    "row",
    [
        '{"prompt": "\\ud800"}',
        '{"prompt": 1e999}',
        '{"prompt": "x", "constraints": 5, "instruction_id_list": [], "kwargs": []}',
        '{"prompt": "x", "constraints": null, "instruction_id_list": [], "kwargs": []}',
        f'{{"prompt": {"[" * 100_000}}}',
        f'{{"prompt": {"9" * 5000}}}',
    ],
    ids=["surrogate", "infinity", "number", "null", "deep", "digits"],
)
def test_an_extreme_row_is_rejected(
    spar: Run, endpoint: Endpoint, tmp_path: Path, row: str
) -> None:
    errors = printed(spar, tmp_path, ("prompts", "import", "--url", endpoint.url), row.encode())
    assert errors.startswith("error: line 1: ")
