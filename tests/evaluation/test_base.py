"""The shape of a search is written down whole."""

from app.domain.search import SearchOptions
from app.evaluation.base import SHAPE, search_shape


def test_what_is_not_given_has_its_default() -> None:
    defaults = SearchOptions()
    shape = search_shape(*SHAPE, beam=7, votes=None)
    assert shape == {name: getattr(defaults, name) for name in SHAPE} | {"beam": 7}


def test_what_is_given_is_there_without_being_named_and_a_false_counts() -> None:
    assert search_shape("accept_threshold", quick_verdict=False) == {
        "accept_threshold": SearchOptions().accept_threshold,
        "quick_verdict": False,
    }
