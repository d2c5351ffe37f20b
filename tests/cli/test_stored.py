import json
from typing import Any

from fastapi import Response

from tests.cli.replay import Run, Server, answer, node


def summary(**fields: Any) -> dict[str, Any]:
    left_out = {"critique", "constraints", "tree"}
    stored = {name: value for name, value in answer().items() if name not in left_out}
    return {**stored, "created_at": "2026-01-01T00:00:00Z", "prompt": "Write about rain.", **fields}


def reply(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value), media_type="application/json")


def test_searches_are_listed(spar: Run, server: Server) -> None:
    unjudged = summary(id="01HZOTHER", accepted=None, value=None, mode="greedy", prompt="Hi\x1b[2J")
    server.response = reply({"searches": [summary(), unjudged], "next_cursor": None})
    result = spar("searches", "--limit", "2", "--url", server.url)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "01HZSEARCH bfs 0.80 ✓ 3 8.2 Write about rain." in lines
    assert "01HZOTHER greedy … 3 8.2 Hi[2J" in lines
    assert server.asked == [{"target": "/searches?limit=2"}]


def test_an_id_is_listed_whole_however_long_the_prompt(spar: Run, server: Server) -> None:
    search = summary(id="01M842P4K5MD8P0XHK8WS2RV2T", mode="best_of_n", prompt="word " * 50)
    server.response = reply({"searches": [search], "next_cursor": None})
    assert search["id"] in spar("searches", "--url", server.url).stdout


def test_a_stored_tree_is_drawn(spar: Run, server: Server) -> None:
    detail = {"messages": [], "critique": "", "constraints": [], "options": {}, "asked": []}
    tree = [node(1, value=0.8, accepted=True)]
    server.response = reply(summary(**detail, best_node=1, tree=tree))
    result = spar("show", "01HZSEARCH", "--url", server.url)
    assert result.stdout.splitlines() == [
        "prompt  Write about rain.",
        "└── response 1  0.80 ✓  7 tokens  Text of node 1.",
        "",
        "Rain falls softly.",
    ]
    assert "search 01HZSEARCH" in result.stderr


def test_both_give_the_servers_object_as_json(spar: Run, server: Server) -> None:
    page = {"searches": [summary()], "next_cursor": "x"}
    server.response = reply(page)
    assert json.loads(spar("searches", "--json", "--url", server.url).stdout) == page
    assert json.loads(spar("show", "x", "--json", "--url", server.url).stdout) == page


def test_an_unknown_search_is_an_error(spar: Run, server: Server) -> None:
    server.refuse(404, message="there is no search `../x?`")
    result = spar("show", "../x?", "--url", server.url)
    assert result.exit_code == 1
    assert result.stderr == "error: there is no search `../x?`\n"
    assert server.asked == [{"target": "/searches/..%2Fx%3F"}]
