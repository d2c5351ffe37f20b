"""Prompts, conversations and training data, to and from a real admin endpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.iterations import IterationRepository, NewIteration, Sample, SampleRepository
from app.db.prompts import PromptRepository
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import PRESETS, IterationKind, SampleKind
from tests.cli.endpoints import Endpoint
from tests.cli.replay import Run, Server

WORDS = {"relation": "at most", "num_words": 9}
CHAT = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]


def write(folder: Path, *rows: Any) -> str:
    """A JSONL file of these rows; texts are lines as they are."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file = folder / "rows.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def pool(endpoint: Endpoint) -> list[tuple[str, list[str]]]:
    """The pool's texts with the ids of their constraints, oldest first."""

    async def read(session: AsyncSession) -> list[tuple[str, list[str]]]:
        page, _ = await PromptRepository(session).page(1000)
        return [
            (one.prompt.instruction, [each.id for each in one.prompt.constraints])
            for one in reversed(page)
        ]

    return endpoint.do(read)


def test_every_way_to_write_a_prompt_is_read(spar: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {"prompt": "Plain.", "id": "not ours"},
        "",
        {"prompt": "Ours.", "constraints": [{"id": "punctuation:no_comma"}]},
        {
            "prompt": "IFEval's.",
            "instruction_id_list": ["length_constraints:number_words", "punctuation:no_comma"],
            "kwargs": [WORDS | {"keyword": None}, {}],
        },
        {"messages": [{"role": "system", "content": "Be brief."}, CHAT[0]]},
    )
    result = spar("prompts", "import", file, "--url", endpoint.url)
    assert (result.exit_code, result.stdout) == (0, "4 new, 0 known already\n")
    assert pool(endpoint) == [
        ("Plain.", []),
        ("Ours.", ["punctuation:no_comma"]),
        ("IFEval's.", ["length_constraints:number_words", "punctuation:no_comma"]),
        ("Hi.", []),
    ]
    again = spar("prompts", "import", file, "--url", endpoint.url)
    assert again.stdout == "0 new, 4 known already\n"


def test_a_long_file_goes_in_several_batches(spar: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    short = [{"prompt": f"Number {n}."} for n in range(450)]
    long = [{"prompt": f"{n} " + "long " * 20_000} for n in range(12)]
    result = spar("prompts", "import", write(tmp_path, *short, *long), "--url", endpoint.url)
    assert result.stdout == "462 new, 0 known already\n", result.stderr
    assert [text for text, _ in pool(endpoint)][:450] == [row["prompt"] for row in short]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{nonsense", "it is not JSON"),
        ("[1]", "it is not a JSON object"),
        ('{"prompt": NaN}', "NaN is not JSON"),
        ({}, "give either `prompt` or `messages`"),
        ({"prompt": " "}, "`prompt` is empty"),
        ({"prompt": "x", "constraints": [{"id": "nonsense"}]}, 'no constraint "nonsense"'),
        ({"prompt": "x", "instruction_id_list": ["a"]}, "lists of the same length"),
        ({"messages": CHAT}, "must be a user message"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_sent(
    spar: Run, endpoint: Endpoint, tmp_path: Path, bad: Any, words: str
) -> None:
    file = write(tmp_path, {"prompt": "One."}, "", {"prompt": "Two."}, bad, {"prompt": "Three."})
    result = spar("prompts", "import", file, "--url", endpoint.url)
    assert result.exit_code == 1
    first, last = result.stderr.splitlines()
    assert first.startswith("error: line 4: ")
    assert words in first
    assert last == "error: 1 of 4 rows cannot be used; nothing was sent"
    assert result.stdout == ""
    assert pool(endpoint) == []


def test_every_bad_line_is_named(spar: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    unknown = {"prompt": "x", "constraints": [{"id": "nonsense"}]}
    rows: list[Any] = [{"prompt": f"Number {n}."} for n in range(450)]
    rows[1], rows[300], rows[449] = unknown, {"prompt": 7}, "{"
    result = spar("prompts", "import", write(tmp_path, *rows), "--url", endpoint.url)
    assert [line.split(": ")[1] for line in result.stderr.splitlines()[:-1]] == [
        "line 2",
        "line 301",
        "line 450",
    ]
    assert "`prompt`: Input should be a valid string" in result.stderr
    assert pool(endpoint) == []


def test_a_dry_run_needs_no_server(spar: Run, tmp_path: Path) -> None:
    file = write(tmp_path, {"prompt": "One."}, {"prompt": "Two."})
    closed = ("--url", "http://127.0.0.1:9")
    result = spar("prompts", "import", file, "--dry-run", *closed)
    assert (result.exit_code, result.stdout) == (0, "2 valid rows; nothing was sent\n")
    as_json = spar("prompts", "import", file, "--dry-run", "--json", *closed)
    assert json.loads(as_json.stdout) == {"valid": 2}
    bad = spar("prompts", "import", write(tmp_path, "{"), "--dry-run", *closed)
    assert bad.exit_code == 1


def test_a_row_that_only_the_server_rejects_is_named_by_its_line(
    spar: Run, server: Server, tmp_path: Path
) -> None:
    file = write(tmp_path, {"prompt": "One."}, "", {"prompt": "Two."})
    server.refuse(422, message="unknown constraint", field="prompts.1.constraints.0.id")
    result = spar("prompts", "import", file, "--url", server.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: line 3: unknown constraint")


def test_a_line_in_another_encoding_is_named(spar: Run, endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "latin.jsonl"
    file.write_bytes('{"prompt": "Ü"}\n'.encode("latin-1"))
    result = spar("prompts", "import", str(file), "--url", endpoint.url)
    assert result.stderr.startswith("error: line 1: it is not UTF-8\n")


def test_a_file_that_is_not_there_is_a_usage_error(spar: Run, endpoint: Endpoint) -> None:
    assert spar("prompts", "import", "no/file", "--url", endpoint.url).exit_code == 2


@pytest.mark.parametrize("command", [["prompts"], ["prompts", "count"]])
def test_prompts_are_counted_by_source(
    spar: Run, endpoint: Endpoint, tmp_path: Path, command: list[str]
) -> None:
    spar("prompts", "import", write(tmp_path, {"prompt": "One."}), "--url", endpoint.url)
    lines = spar(*command, "--url", endpoint.url).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["imported", "1"],
        ["recorded", "0"],
        ["generated", "0"],
    ]
    counted = json.loads(spar(*command, "--json", "--url", endpoint.url).stdout)
    assert counted == {"imported": 1, "recorded": 0, "generated": 0}


def test_a_bootstrap_sends_its_conversations_and_is_queued(
    spar: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    rows = [{"role": role, "messages": CHAT, "source": "hand"} for role in ("actor", "refiner")]
    file = write(tmp_path, *rows)
    result = spar("bootstrap", file, "--detach", "--promote", "always", "--url", endpoint.url)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("2 new, 0 known already\nIteration ")

    async def read(session: AsyncSession) -> Any:
        [queued] = (await IterationRepository(session).page(10))[0]
        kept = await PromptRepository(session).conversations(Role.REFINER)
        return queued.kind, queued.promote, len(kept)

    assert endpoint.do(read) == (IterationKind.BOOTSTRAP, "always", 1)


def test_a_bootstrap_with_a_bad_line_queues_nothing(
    spar: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    file = write(tmp_path, {"role": "actor", "messages": CHAT[:1]})
    result = spar("bootstrap", file, "--detach", "--url", endpoint.url)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: line 1: the last of `messages` must be")

    async def count(session: AsyncSession) -> int:
        return len((await IterationRepository(session).page(10))[0])

    assert endpoint.do(count) == 0


def test_training_data_is_exported_as_it_was_made(
    spar: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    pairs = [
        {"prompt": [CHAT[0]], "chosen": [CHAT[1]], "rejected": [{"n": n, "text": "é\u2028"}]}
        for n in range(450)
    ]

    async def make(session: AsyncSession) -> str:
        iteration = await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))
        made = [Sample(Role.ACTOR, SampleKind.PREFERENCE, pair, Versions()) for pair in pairs]
        await SampleRepository(session, iteration).replace_samples(Role.ACTOR, made)
        return iteration

    iteration, folder = endpoint.do(make), tmp_path / "new" / "folder"
    result = spar("export", iteration, "--to", str(folder), "--url", endpoint.url)
    assert result.exit_code == 0, result.stderr
    assert "actor: 450 samples" in result.stdout
    assert "refiner: 0 samples" in result.stdout
    assert [file.name for file in folder.iterdir()] == ["actor.jsonl"]
    with (folder / "actor.jsonl").open(encoding="utf-8") as lines:
        assert [json.loads(line) for line in lines] == pairs


def test_an_export_of_an_unknown_iteration_writes_no_file(
    spar: Run, endpoint: Endpoint, tmp_path: Path
) -> None:
    unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    result = spar("export", unknown, "--to", str(tmp_path / "out"), "--url", endpoint.url)
    assert (result.exit_code, result.stderr) == (1, f"error: there is no iteration {unknown}\n")
    assert list((tmp_path / "out").iterdir()) == []
