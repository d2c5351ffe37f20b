"""What a foreign page in somebody's browser may not do."""

import pytest

from app.api.authentication import check_origin
from app.errors import Forbidden

HOST = {"host": "127.0.0.1:8000"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "http://127.0.0.1:8001"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "cross-site"},
    ],
)
def test_a_foreign_page_may_read_what_the_browser_lets_it_and_change_nothing(
    headers: dict[str, str],
) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(Forbidden):
            check_origin(method, HOST | headers)
    check_origin("GET", HOST | headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_our_own_pages_and_programs_may(headers: dict[str, str]) -> None:
    check_origin("POST", HOST | headers)
