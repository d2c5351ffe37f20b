"""The shape of a search is written down whole."""

from app.domain.search import SearchOptions
from app.evaluation.base import SHAPE, search_shape


def test_missing_options_have_defaults() -> None:
    defaults = SearchOptions()
    shape = search_shape(*SHAPE, beam=7, votes=None)
    assert shape == {name: getattr(defaults, name) for name in SHAPE} | {"beam": 7}


def test_given_options_are_kept_including_false() -> None:
    assert search_shape("accept_threshold", quick_verdict=False) == {
        "accept_threshold": SearchOptions().accept_threshold,
        "quick_verdict": False,
    }
