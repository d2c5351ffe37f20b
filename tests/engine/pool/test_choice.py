"""Routing by affinity and load."""

from collections import Counter
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from app.engine.pool.replica import AFFINITY_CALLS, Load, choose
from tests.helpers.properties import calm

urls = st.lists(st.integers(0, 99).map("http://server-{}".format), min_size=1, unique=True)
keys = st.text()


@st.composite
def pools(draw: st.DrawFn) -> list[Load]:
    """Servers with any load."""
    return [Load(url, draw(st.integers(0, 60))) for url in draw(urls)]


@calm
@given(pools(), keys, st.integers(0, 40))
def test_the_chosen_server_is_within_the_load_slack(
    loads: list[Load], key: str, slack: int
) -> None:
    chosen = choose(loads, key, slack)
    [load] = [load for load in loads if load.url == chosen]
    assert load.calls <= min(other.calls for other in loads) + slack


@calm
@given(pools(), keys, st.randoms())
def test_the_order_of_the_servers_does_not_matter(
    loads: list[Load], key: str, random: Random
) -> None:
    shuffled = list(loads)
    random.shuffle(shuffled)
    assert choose(shuffled, key) == choose(loads, key)


@calm
@given(urls, keys, st.data())
def test_only_the_keys_of_a_lost_server_move(
    names: list[str], key: str, data: st.DataObject
) -> None:
    assume(len(names) > 1)
    lost = data.draw(st.sampled_from(names))
    before = choose([Load(url, 0) for url in names], key)
    after = choose([Load(url, 0) for url in names if url != lost], key)
    assert before in (after, lost)


def test_a_key_keeps_its_server_within_the_load_slack() -> None:
    first = choose([Load("a", 0), Load("b", 0)], "prompt")
    busy = [Load(url, AFFINITY_CALLS if url == first else 0) for url in ("a", "b")]
    assert choose(busy, "prompt") == first
    too_busy = [Load(url, 1 + AFFINITY_CALLS if url == first else 0) for url in ("a", "b")]
    assert choose(too_busy, "prompt") != first


def test_keys_are_spread_evenly() -> None:
    servers = [Load(f"http://server-{number}", 0) for number in range(4)]
    counts = Counter(choose(servers, f"prompt {number}") for number in range(4000))
    assert len(counts) == 4
    assert all(900 < count < 1100 for count in counts.values())


def test_without_servers_none_is_chosen() -> None:
    assert choose([], "prompt") is None
