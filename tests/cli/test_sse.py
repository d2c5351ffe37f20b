import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.client import ServerEvent, read_events


def parse(*chunks: bytes) -> list[ServerEvent]:
    return list(read_events(chunks))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_reads_names_and_data_whatever_ends_the_lines(end: bytes) -> None:
    lines = [b"event: node", b"data: {", b"data: }", b"", b"data:bare", b"", b""]
    stream = end.join(lines)
    events = [ServerEvent("node", "{\n}"), ServerEvent("message", "bare")]
    assert parse(stream) == events
    assert parse(*(bytes([byte]) for byte in stream)) == events


def test_skips_comments_unknown_fields_and_events_without_data() -> None:
    stream = b": heartbeat\n\nid: 4\nretry: 9\nevent: empty\n\nevent: a\ndata: 1\n\n"
    assert parse(stream) == [ServerEvent("a", "1")]


def test_a_name_holds_for_one_event_only() -> None:
    assert parse(b"event: a\ndata: 1\n\ndata: 2\n\n")[1] == ServerEvent("message", "2")


def test_only_one_space_after_the_colon_is_not_data() -> None:
    assert parse(b"data:  two\n\n") == [ServerEvent("message", " two")]


def test_a_field_without_a_colon_has_no_value() -> None:
    assert parse(b"data\n\n") == [ServerEvent("message", "")]


def test_drops_an_event_that_the_end_cuts_off() -> None:
    assert parse(b"data: 1\n\ndata: 2\n") == [ServerEvent("message", "1")]


def test_a_byte_order_mark_is_not_part_of_the_first_field() -> None:
    assert parse("\ufeffdata: 1\n\n".encode()) == [ServerEvent("message", "1")]


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_other_line_separators_are_text(separator: str) -> None:
    text = f"a{separator}b"
    assert parse(f"data: {text}\n\n".encode()) == [ServerEvent("message", text)]


@given(
    texts=st.lists(st.text(alphabet="aé雨😀:\n ", max_size=12), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_chunks_may_be_cut_anywhere(texts: list[str], end: str, cuts: list[int]) -> None:
    blocks = [re.sub("^", "data: ", text, flags=re.M) + "\n\n" for text in texts]
    stream = "".join(blocks).replace("\n", end).encode()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(places)]
    assert parse(*chunks) == [ServerEvent("message", text) for text in texts]
