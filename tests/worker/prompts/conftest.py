import asyncio
from collections.abc import Iterator

import pytest

from app.constraints.checker import Checker


@pytest.fixture(scope="package")
def checker() -> Iterator[Checker]:
    """One pool of one process; a check may take five seconds."""
    made = Checker(processes=1, seconds=5.0)
    asyncio.run(made.start())
    yield made
    asyncio.run(made.close())
