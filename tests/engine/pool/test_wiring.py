"""The complete server on a pool of remote engines."""

import shutil
from pathlib import Path

import pytest

from app import main
from app.config.settings import Settings
from tests.helpers.checkpoint_files import make_base
from tests.helpers.serving import served
from tests.helpers.swapping import until
from tests.helpers.vllm_like import VllmLike
from tests.helpers.whole import NoChecks, client_of


async def test_searches_run_on_the_configured_servers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, migrated_file: Path
) -> None:
    monkeypatch.setattr(main, "Checker", NoChecks)
    database = Path(shutil.copy(migrated_file, tmp_path / "spar.db"))
    engines = VllmLike("the-actor"), VllmLike("the-refiner")
    async with served(engines[0].app) as actor, served(engines[1].app) as refiner:
        settings = Settings(
            _env_file=None,
            data=tmp_path / "data",
            database_url=f"sqlite+aiosqlite:///{database}",
            worker=False,
            actor_engines=(actor,),
            refiner_engines=(refiner,),
        )
        app = main.create_app(settings, str(make_base(tmp_path / "base")))
        async with app.router.lifespan_context(app), client_of(app) as client:
            await until(lambda: app.state.services.engine.ready)
            await until(lambda: app.state.services.registry.ready)
            body = {"prompt": "Name three rivers.", "mode": "best_of_n", "search": {"n": 1}}
            answer = await client.post("/generate", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["response"] == "the-actor"
    assert engines[1].real_calls, "no call to the judge"
