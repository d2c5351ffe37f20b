"""Starting and stopping the two servers that are compared over HTTP."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.config.settings import Settings
from app.engine.arguments import serving_dtype

START_SECONDS = 300
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a server on a port, and the path that answers 200 once it takes requests.

    `cores` are those it may use; None is all that this process may.
    """

    name: str
    arguments: Sequence[str]
    ready_path: str
    cores: Sequence[int] | None = None


def our_server(model: str, data: Path) -> Command:
    """`spar serve` with the environment's settings, its database in `data`."""
    arguments = ["-m", "app.cli", "serve", "--model", model, "--data", str(data)]
    return Command("spar serve", arguments, "/readyz")


def reference_server(model: str, settings: Settings) -> Command:
    """`vllm serve` (by its module) on the same model with the same engine settings.

    Chunked prefill stays at its default, which is on; logs are off, as they are in ours.
    """
    arguments = [
        *("-m", "vllm.entrypoints.openai.api_server"),
        *("--model", model),
        *("--served-model-name", "actor"),
        *("--dtype", serving_dtype(settings.dtype).dtype),
        *("--max-model-len", str(settings.context_tokens)),
        *("--max-num-seqs", str(settings.max_num_seqs)),
        *("--block-size", str(settings.block_size)),
        *("--kv-cache-memory-bytes", str(int(settings.kv_cache_gib * 2**30))),
        *([] if settings.compile else ["--enforce-eager"]),
        *("--disable-log-stats", "--disable-uvicorn-access-log"),
        *("--uvicorn-log-level", "warning"),
    ]
    return Command("vllm serve", arguments, "/health")


@asynccontextmanager
async def running(command: Command, logs: Path) -> AsyncIterator[str]:
    """Run a server; yields its URL when it is ready.

    Raises:
        RuntimeError: It does not start.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    cores = command.cores or sorted(os.sched_getaffinity(0))
    log = logs / f"{command.name.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command.arguments,
            *("--port", str(port)),
            stdout=output,
            stderr=output,
            env=_environment(cores),
            start_new_session=True,
        )
        os.sched_setaffinity(process.pid, cores)
        try:
            await _wait_until_ready(process, command, url, log)
            yield url
        finally:
            await _stop(process)


def _environment(cores: Sequence[int]) -> dict[str, str]:
    defaults = {
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores)),
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    return defaults | os.environ


async def _wait_until_ready(
    process: asyncio.subprocess.Process, command: Command, url: str, log: Path
) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            try:
                response = await client.get(url + command.ready_path)
                if response.status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.5)
    raise RuntimeError(f"{command.name} ended before it was ready:\n{_log_tail(log)}")


def _log_tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Send SIGTERM to the server, then SIGKILL to its process group after `STOP_SECONDS`."""
    try:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
