"""How clients are built, and what failed requests raise."""

import json
from importlib.metadata import version

import httpx2
import pytest

from app.errors import ConfigurationError
from app.http_client import client_options, is_loopback, rejection


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_only_this_machine_reaches_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "spar", "localhost.example", "128.0.0.1"]
)
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "proxies"),
    [
        ("http://localhost:8000", False),
        ("http://127.8.9.1", False),
        ("https://spar.example/v1/", True),
    ],
)
def test_a_loopback_server_is_asked_without_a_proxy(url: str, proxies: bool) -> None:
    options = client_options(url, api_key="secret", read_seconds=1)
    assert options["trust_env"] is proxies
    assert not str(options["base_url"]).endswith("/v1")
    assert options["headers"] == {
        "User-Agent": f"spar/{version('spar')}",
        "Authorization": "Bearer secret",
    }


def test_connecting_takes_no_longer_than_reading() -> None:
    assert client_options("http://a", api_key=None, read_seconds=1)["timeout"].connect == 1
    assert client_options("http://a", api_key=None, read_seconds=None)["timeout"].connect == 10


@pytest.mark.parametrize("key", ["ключ", "two\nlines"])
def test_a_key_must_fit_in_a_header(key: str) -> None:
    with pytest.raises(ConfigurationError, match="API key"):
        client_options("http://a", api_key=key, read_seconds=1)


@pytest.mark.parametrize("url", ["", "ftp://host", "localhost:8000", "http://", "http://a:b"])
def test_an_address_must_be_one(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an address"):
        client_options(url, api_key=None, read_seconds=1)


UNEXPLAINED = (
    "http://a/x answered 409 Conflict without a reason; check that a spar server or vLLM runs there"
)


def rejected(content: object, **headers: str) -> httpx2.Response:
    text = content if isinstance(content, str) else json.dumps(content)
    request = httpx2.Request("GET", "http://a/x")
    return httpx2.Response(409, text=text, headers=headers, request=request)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"message": "ours", "field": "f"}, "ours"),
        ({"error": {"message": "vLLM's", "param": "p"}}, "vLLM's"),
        ({"detail": "FastAPI's"}, "FastAPI's"),
        ("<html>", UNEXPLAINED),
        ({"detail": "Conflict"}, UNEXPLAINED),
        ([], UNEXPLAINED),
    ],
)
def test_the_servers_reason_is_found(content: object, message: str) -> None:
    assert rejection(rejected(content)).message == message


def test_a_rejection_has_the_fields_that_it_names() -> None:
    ours = rejection(rejected({"message": "no", "field": "f"}, **{"retry-after": "7"}))
    assert (ours.status_code, ours.field, ours.param, ours.retry_after) == (409, "f", None, 7)
    theirs = rejection(rejected({"error": {"message": "no", "param": "p"}}))
    assert (theirs.field, theirs.param, theirs.retry_after) == (None, "p", None)
    dated = rejection(rejected({"message": "no"}, **{"retry-after": "Wed, 21 Oct 2026 07:28:00"}))
    assert dated.retry_after is None
