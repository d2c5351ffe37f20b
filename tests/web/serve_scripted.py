"""Serves the pages with a scripted engine: `python -m tests.web.serve_scripted [--hostile]`."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from app.db.upgrade import upgrade
from tests.web.playing import hostile_engine, plausible_engine
from tests.web.serving import site


async def main() -> None:
    """Serve until interrupted, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hostile", action="store_true", help="play a model that says markup")
    hostile = parser.parse_args().hostile
    with tempfile.TemporaryDirectory() as folder:
        migrated = Path(folder, "migrated.db")
        await asyncio.to_thread(upgrade, f"sqlite+aiosqlite:///{migrated}")
        engine = hostile_engine() if hostile else plausible_engine()
        async with site(engine, migrated, Path(folder)) as served:
            print(served.url, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
