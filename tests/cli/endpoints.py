"""A real admin endpoint for the command line to talk to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import Database

Result = TypeVar("Result")


@dataclass(frozen=True)
class Endpoint:
    """A server's admin endpoint, and its database for a test that acts as the worker."""

    url: str
    database_url: str

    def do(self, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
        """Do something in the database, in a transaction of its own."""

        async def run() -> Result:
            database = Database(self.database_url)
            try:
                async with database.session() as session:
                    return await work(session)
            finally:
                await database.close()

        return asyncio.run(run())
