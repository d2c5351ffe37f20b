"""Every example, run as a user runs it, against the whole server on a scripted engine."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.constraints.checker import Checker
from app.db.iterations import IterationRepository
from app.domain.iteration import Status
from tests.helpers.iterating import World
from tests.helpers.scripts import Play
from tests.helpers.serving import served
from tests.helpers.whole import whole_server

EXAMPLES = Path(__file__).parents[2] / "examples"
in_module = pytest.mark.asyncio(loop_scope="module")
COMMA, NONE = "The sea is blue, and wide.", "The sea is wide and blue."


async def with_a_comma(number: int) -> str:
    return COMMA


async def without(number: int) -> str:
    return NONE


async def all_but_ignorance(text: str, number: int) -> bool:
    return "not know" not in text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> AsyncIterator[str]:
    """The address of a server whose first iteration has succeeded."""
    folder = tmp_path_factory.mktemp("examples")
    database = Path(shutil.copy(migrated_file, folder / "spar.db"))
    play = Play(respond=with_a_comma, rewrite=without, decide=all_but_ignorance)
    with pytest.MonkeyPatch.context() as patch:
        async with (
            whole_server(patch, folder, database, play=play, checker=Checker) as app,
            served(app) as address,
        ):
            services = app.state.services
            world = World(services.database, services.settings.data, folder / "base")
            iteration = await world.queue()
            await world.run(iteration)
            async with services.database.session() as session:
                await IterationRepository(session).finish(iteration, Status.SUCCEEDED)
            yield address


async def output(url: str, name: str) -> str:
    """What an example prints; fails unless it ends well."""
    environment = os.environ | {"SPAR_URL": url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name),
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@in_module
async def test_the_openai_client(url: str) -> None:
    printed = await output(url, "openai_client.py")
    assert "models: actor" in printed
    assert f"actor: {COMMA}" in printed
    assert f"actor:best_of_n: {COMMA}\nvalue 1.0, stopped: accepted" in printed


@in_module
async def test_the_judge_as_a_reward(url: str) -> None:
    printed = await output(url, "judge_reward.py")
    assert re.findall(r"^\d\.\d\d", printed, re.MULTILINE) == ["1.00", "0.00", "0.00"]


@in_module
async def test_constraints(url: str) -> None:
    greedy, searched = (await output(url, "constraints.py")).split("\n\n")[1:]
    assert greedy.startswith(f"greedy: {COMMA}")
    assert re.search(r"not met +punctuation:no_comma", greedy)
    assert searched.startswith(f"bfs: {NONE}")
    assert "not met" not in searched
    assert len(re.findall(r"^  met ", searched, re.MULTILINE)) == 3


@in_module
async def test_streaming_a_tree(url: str) -> None:
    printed = await output(url, "stream_tree.py")
    assert re.match(r"  response 1 \(of 0\)  1\.00 accepted  The sea", printed)
    assert printed.endswith(" s\n")
    assert f"\n{COMMA}\nstopped: accepted, " in printed


@in_module
async def test_export(url: str) -> None:
    printed = await output(url, "export_trl.py")
    actor, refiner = printed.split("\n\nrefiner: ")
    assert "features: ['prompt', 'chosen', 'rejected']" in actor
    assert "features: ['messages']" in refiner


def test_every_example_is_tested_and_in_the_readme() -> None:
    readme, tests = (EXAMPLES / "README.md").read_text(), Path(__file__).read_text()
    for example in EXAMPLES.glob("*.py"):
        assert f"`{example.name}`" in readme
        assert f'"{example.name}"' in tests
