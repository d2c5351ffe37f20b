"""Requests from pages of other sites (CSRF)."""

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
def test_a_cross_site_page_may_read_but_not_change_state(
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
def test_same_origin_pages_and_programs_may_change_state(headers: dict[str, str]) -> None:
    check_origin("POST", HOST | headers)
