"""vLLM's own figures reach `/metrics` of a real server."""

import re

import httpx
import pytest

pytestmark = pytest.mark.engine


def value(client: httpx.Client, name: str) -> float:
    """A figure of the engine."""
    found = re.search(rf'^{name}{{engine="all"}} (\S+)$', client.get("/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_the_engine_s_tokens_and_cache_are_counted(client: httpx.Client) -> None:
    before = value(client, "spar_engine_generated_tokens_total")
    hits = value(client, "spar_engine_prefix_cache_hit_tokens_total")
    body = {
        "prompt": "Count to ten. " * 40,
        "mode": "best_of_n",
        "search": {"n": 2, "votes": 2},
        "sampling": {"max_tokens": 16},
    }
    spent = client.post("/generate", json=body).json()["usage"]["completion_tokens"]
    assert value(client, "spar_engine_generated_tokens_total") - before >= spent > 0
    assert value(client, "spar_engine_prefix_cache_hit_tokens_total") > hits
    assert 0 <= value(client, "spar_engine_kv_cache_usage_ratio") <= 1
