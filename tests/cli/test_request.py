from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.replay import Run, Server, answer

USAGE = 2


def flat(result: Result) -> str:
    """What was printed to standard error, without the frame and the line breaks around it."""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hi", "--n", "many"], "'--n'"),
        (["hi", "--n", "0"], "--n: Input should be greater than or equal to 1"),
        (["hi", "--accept-threshold", "nan"], "--accept-threshold"),
        (["hi", "--temperature", "inf"], "--temperature"),
        (["hi", "--length", "0"], "--length"),
        (["hi", "--max-tokens", "0"], "--max-tokens"),
        (["hi", "--deadline", "-5"], "--deadline"),
        (["hi", "--seed", str(2**70)], "--seed"),
        (["hi", "--mode", "magic"], "'magic'"),
        (["hi", "--url", "localhost:8000"], "write it like http://127.0.0.1:8000"),
        (["hi", "--url", "http://host:port"], "write it like http://127.0.0.1:8000"),
        (["hi", "--constraint", "a:b={"], "`a:b=` is not JSON"),
        (["hi", "--constraint", "a:b=[1]"], "must be a JSON object"),
        (["hi", "--constraint", 'a:b={"x": NaN}'], "is not JSON"),
        (["hi", "--constraint", 'a:b={"x": 1e999}'], "is not JSON"),
        (["hi", "--constraint", 'a:b={"x": "\\ud800"}'], "is not JSON"),
        (["hi", "--constraint", "a:b=" + "[" * 100_000], "is not JSON"),
        ([" "], "`prompt` is empty"),
        ([""], "PROMPT"),
        (["bad \udc80 text"], "not UTF-8"),
        (["hi", "--nonsense"], "--nonsense"),
    ],
)
def test_a_bad_argument_is_named_before_anything_is_sent(
    spar: Run, server: Server, arguments: list[str], message: str
) -> None:
    result = spar("generate", "--url", server.url, *arguments)
    assert result.exit_code == USAGE
    assert message in flat(result)
    assert server.asked == []


def test_only_given_options_are_sent(spar: Run, server: Server) -> None:
    server.events = [("final", answer())]
    spar("generate", "hi", "--url", server.url)
    assert server.asked == [
        {
            "prompt": "hi",
            "mode": "bfs",
            "constraints": [],
            "search": {},
            "budget": {},
            "sampling": {},
            "stream": True,
            "include_tree": False,
        }
    ]


def test_every_option_reaches_its_field(spar: Run, server: Server) -> None:
    server.events = [("final", answer())]
    options = (
        "--mode dfs --n 2 --branch 4 --beam 1 --depth 5 --votes 3 --accept-threshold 0.25 "
        "--no-early-stop --max-nodes 9 --max-tokens 800 --deadline 2500 --temperature 0.5 "
        "--top-p 0.75 --length 64 --seed 7 --stop END --stop FIN --tree"
    )
    constraints = ["--constraint", "punctuation:no_comma", "--constraint", 'regex={"pattern": "="}']
    spar("generate", "hi", *options.split(), *constraints, "--url", server.url)
    assert server.asked == [
        {
            "prompt": "hi",
            "mode": "dfs",
            "constraints": [
                {"id": "punctuation:no_comma", "kwargs": {}},
                {"id": "regex", "kwargs": {"pattern": "="}},
            ],
            "search": {
                "n": 2,
                "branch": 4,
                "beam": 1,
                "depth": 5,
                "votes": 3,
                "accept_threshold": 0.25,
                "early_stop": False,
            },
            "budget": {"max_nodes": 9, "max_tokens": 800, "deadline_ms": 2500},
            "sampling": {
                "temperature": 0.5,
                "top_p": 0.75,
                "max_tokens": 64,
                "seed": 7,
                "stop": ["END", "FIN"],
            },
            "stream": True,
            "include_tree": True,
        }
    ]


@pytest.mark.parametrize("arguments", [["-"], []])
def test_the_prompt_may_come_from_standard_input(
    spar: Run, server: Server, arguments: list[str]
) -> None:
    server.events = [("final", answer())]
    result = spar("generate", *arguments, "--url", server.url, stdin="two\nlines: é".encode())
    assert result.exit_code == 0
    assert server.asked[0]["prompt"] == "two\nlines: é"


def test_standard_input_must_be_utf8(spar: Run, server: Server) -> None:
    result = spar("generate", "-", "--url", server.url, stdin=b"\xff\xfe")
    assert result.exit_code == USAGE
    assert "not UTF-8" in flat(result)


@pytest.mark.parametrize("arguments", [[], ["--response", "a", "--response-file", "-"]])
def test_judge_wants_exactly_one_response(spar: Run, server: Server, arguments: list[str]) -> None:
    result = spar("judge", "hi", *arguments, "--url", server.url)
    assert result.exit_code == USAGE
    assert "either --response or --response-file" in flat(result)


def test_a_response_file_that_cannot_be_read_is_named(
    spar: Run, server: Server, tmp_path: Path
) -> None:
    missing = tmp_path / "none.txt"
    result = spar("judge", "hi", "--response-file", str(missing), "--url", server.url)
    assert result.exit_code == USAGE
    assert "No such file" in flat(result)
