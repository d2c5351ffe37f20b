"""Serves the pages with a scripted engine: `python -m tests.web.serve_scripted`.

`--hostile` plays a model that says markup; `--played` begins with iterations and measurements.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from app.constraints.checker import Checker
from app.db.upgrade import upgrade
from app.domain.iteration import Policy
from tests.web.played import measure, play
from tests.web.playing import hostile_engine, plausible_engine
from tests.web.serving import site


async def main() -> None:
    """Serve until interrupted, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hostile", action="store_true", help="play a model that says markup")
    parser.add_argument("--played", action="store_true", help="begin with some iterations")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        migrated = Path(folder, "migrated.db")
        await asyncio.to_thread(upgrade, f"sqlite+aiosqlite:///{migrated}")
        engine = hostile_engine() if given.hostile else plausible_engine()
        checker = Checker(1, 2.0)
        await checker.start()
        try:
            async with site(engine, migrated, Path(folder), checker) as served:
                if given.played:
                    for promote in (Policy.ALWAYS, Policy.GATE, Policy.NEVER):
                        await play(served, promote=promote)
                    await measure(served, 0.31, 0.36, 0.34)
                print(served.url, flush=True)
                await asyncio.Event().wait()
        finally:
            await checker.close()


if __name__ == "__main__":
    asyncio.run(main())
