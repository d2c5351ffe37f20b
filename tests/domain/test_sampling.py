from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import derive_seed
from tests.helpers.properties import calm

seeds = st.integers()
paths = st.lists(st.integers() | st.text(), max_size=4).map(tuple)


@calm
@given(seeds, paths)
def test_the_same_path_gives_the_same_seed_again_and_it_fits_64_bits(
    seed: int, path: tuple[int | str, ...]
) -> None:
    derived = derive_seed(seed, *path)
    assert derived == derive_seed(seed, *path)
    assert derived is not None
    assert 0 <= derived < 2**63


@calm
@given(seeds, seeds, paths, paths)
def test_other_seeds_and_paths_give_other_seeds(
    seed: int, other_seed: int, path: tuple[int | str, ...], other: tuple[int | str, ...]
) -> None:
    same = (seed, path) == (other_seed, other)
    assert (derive_seed(seed, *path) == derive_seed(other_seed, *other)) is same


def test_a_word_and_a_number_are_different_paths() -> None:
    assert derive_seed(1, "1") != derive_seed(1, 1)
    assert derive_seed(1, "a", "b") != derive_seed(1, "ab")


def test_seeds_are_the_same_in_every_process() -> None:
    assert derive_seed(7, 3, "critique") == 2815084703224431307


@calm
@given(paths)
def test_no_seed_gives_no_seed(path: tuple[int | str, ...]) -> None:
    assert derive_seed(None, *path) is None
