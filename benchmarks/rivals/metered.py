"""The benchmark's server as a process, and its endpoints that only the benchmark uses."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.rivals.server import Tally
from benchmarks.servers import Command, running

SERVER = ("-m", "benchmarks.rivals.server")


@dataclass(frozen=True, slots=True)
class MeteredServer:
    """A running server with a meter before its engine. All methods raise httpx's errors.

    folder: its own, removed with it; free for logs and databases.
    """

    url: str
    folder: Path
    http: httpx.AsyncClient

    async def begin(self, *, forced: bool, limit: int | None = None) -> None:
        """Empty the prefix cache and count from zero; see `Meter.begin`."""
        body = {"forced": forced, "limit": limit}
        (await self.http.post("/benchmark/begin", json=body)).raise_for_status()

    async def tally(self) -> Tally:
        """The counts since `begin`."""
        response = (await self.http.get("/benchmark/tally")).raise_for_status()
        return Tally(**response.json())

    async def raw(self, texts: Sequence[str], max_tokens: int) -> float:
        """The seconds the bare engine needs to answer all these texts at once."""
        body = {"texts": list(texts), "max_tokens": max_tokens}
        response = (await self.http.post("/benchmark/raw", json=body)).raise_for_status()
        return float(response.json())


@asynccontextmanager
async def metered_server(
    model: str,
    critique_tokens: int,
    program: Sequence[str] = SERVER,
    options: Sequence[str] = (),
) -> AsyncIterator[MeteredServer]:
    """Start the server with additional `options`.

    Raises:
        RuntimeError: It does not start.
    """
    with TemporaryDirectory(prefix="spar-benchmark-") as name:
        folder = Path(name)
        arguments = [
            *program,
            *("--model", model),
            *("--data", str(folder / "data")),
            *("--critique-tokens", str(critique_tokens)),
            *options,
        ]
        command = Command("benchmark server", arguments, "/readyz")
        limits = httpx.Limits(max_connections=None)
        async with (
            running(command, folder) as url,
            httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as http,
        ):
            yield MeteredServer(url, folder, http)
