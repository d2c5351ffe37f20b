"""The schedule of faults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.scenario import LASTING, Kind, count, scenario

kinds = st.sets(st.sampled_from(list(Kind)), min_size=1)
seeds = st.integers(0, 2**32)
lengths = st.floats(0.1, 300)
pauses = st.floats(0.1, 10)


@given(seeds, lengths, kinds, pauses)
def test_a_seed_reproduces_its_faults(
    seed: int, seconds: float, chosen: set[Kind], pause: float
) -> None:
    faults = scenario(seed, seconds, chosen, pause=pause)
    assert faults == scenario(seed, seconds, sorted(chosen, reverse=True), pause=pause)


@given(seeds, lengths, kinds, pauses)
def test_faults_are_ordered_and_end_in_time(
    seed: int, seconds: float, chosen: set[Kind], pause: float
) -> None:
    faults = scenario(seed, seconds, chosen, pause=pause)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    for fault in faults:
        assert fault.kind in chosen
        assert 0 < fault.at < seconds
        assert 0 <= fault.seconds <= LASTING.get(fault.kind, (0.0, 0.0))[1]
        assert fault.at + fault.seconds <= seconds + 1e-9


@given(seeds, kinds)
def test_every_kind_occurs_once_before_any_repeats(seed: int, chosen: set[Kind]) -> None:
    faults = scenario(seed, 100, chosen)
    numbers = [count(faults[:length]) for length in range(len(faults) + 1)]
    for found in numbers:
        times = [found.get(kind, 0) for kind in chosen]
        assert max(times) - min(times) <= 1


def test_different_seeds_give_different_faults() -> None:
    assert len({scenario(seed, 60, list(Kind)) for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("seconds", "chosen", "pause"), [(0, list(Kind), 1), (9, [], 1), (9, list(Kind), 0)]
)
def test_an_empty_scenario_is_rejected(seconds: float, chosen: list[Kind], pause: float) -> None:
    with pytest.raises(ValueError, match="needs kinds"):
        scenario(1, seconds, chosen, pause=pause)
