"""`python -m worker`: run self-play iterations until terminated."""

import asyncio
import sys

from app.config.settings import settings_from
from app.db.upgrade import upgrade
from app.engine.orphans import exit_with_server
from app.errors import SparError
from app.model_files.resolve import resolve_model
from worker.main import configure_logging, run_worker


def main() -> None:
    """Run the worker; a `SparError` is printed as a message, without a traceback."""
    exit_with_server()
    try:
        settings = settings_from()
        configure_logging(settings)
        upgrade(settings.url)
        asyncio.run(run_worker(settings, resolve_model(settings.model)))
    except SparError as error:
        sys.exit(f"error: {error.message}")


if __name__ == "__main__":
    main()
