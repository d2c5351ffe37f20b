"""`python -m tests.chaos --seed S --minutes M`: a long run."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.chaos.report import Report, to_json
from tests.chaos.run import Plan, run_chaos
from tests.chaos.scenario import Kind


def main() -> int:
    """Run and print the report; exit status 1 if an invariant is violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults (default 0)")
    parser.add_argument(
        "--minutes", type=float, default=10, help="duration of the faults (default 10)"
    )
    parser.add_argument("--real", action="store_true", help="the real engine, not a scripted one")
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    parser.add_argument("--clients", type=int, default=8, help="concurrent clients (default 8)")
    parser.add_argument("--pause", type=float, default=2, help="seconds between faults (default 2)")
    parser.add_argument("--only", action="append", type=Kind, metavar="KIND", help=", ".join(Kind))
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--folder", type=Path, help="new folder to keep data and logs in")
    chosen = parser.parse_args()
    if chosen.folder is None:
        with tempfile.TemporaryDirectory(prefix="spar-chaos-") as folder:
            report = _run(chosen, Path(folder))
    else:
        chosen.folder.mkdir(parents=True)
        report = _run(chosen, chosen.folder.absolute())
    print(report.as_text())
    if chosen.json is not None:
        chosen.json.write_text(to_json(report), encoding="utf-8")
    return 1 if report.violations else 0


def _run(chosen: argparse.Namespace, folder: Path) -> Report:
    plan = Plan(
        chosen.seed,
        60 * chosen.minutes,
        scripted=not chosen.real,
        on_postgresql=chosen.postgresql,
        kinds=chosen.only or tuple(Kind),
        clients=chosen.clients,
        pause=chosen.pause,
    )
    return asyncio.run(run_chaos(folder, plan))


if __name__ == "__main__":
    sys.exit(main())
