"""A real server of ours as a process: real vLLM, real model, real database file."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

SPAR_SERVE = (sys.executable, "-m", "app.cli", "serve")
START_SECONDS = 240
POLL_SECONDS = 0.1


@dataclass
class Server:
    """A running server and its folder."""

    process: subprocess.Popen[bytes]
    url: str
    data: Path
    log: Path

    @property
    def client(self) -> httpx.Client:
        """A new client of this server."""
        return httpx.Client(base_url=self.url, timeout=120)

    def health(self) -> dict[str, Any]:
        """What `/healthz` says."""
        health: dict[str, Any] = httpx.get(f"{self.url}/healthz", timeout=30).json()
        return health

    def engine_processes(self) -> list[psutil.Process]:
        """The processes vLLM started, its engine core first."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "VLLM" in " ".join(child.cmdline())]

    def wait_ready(self) -> None:
        """Wait until `/readyz` says yes; fails with the log's end when the process ends."""
        try:
            wait_until(lambda: self.is_ready() or self.ended(), START_SECONDS)
        finally:
            if not self.is_ready():
                pytest.fail(f"the server is not ready:\n{self.log.read_text()[-4000:]}")

    def is_ready(self) -> bool:
        """Whether `/readyz` answers 200 now."""
        return self._status("/readyz") == 200

    def answers(self) -> bool:
        """Whether the server listens, with or without an engine."""
        return self._status("/healthz") == 200

    def _status(self, path: str) -> int | None:
        try:
            return httpx.get(f"{self.url}{path}", timeout=30).status_code
        except httpx.TransportError:
            return None

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if not self.ended():
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def wait_until(condition: Any, seconds: float) -> None:
    """Poll until the condition holds; an assertion error after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting after {seconds} s"
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def start_server(folder: Path, *, log_name: str = "server.log", **settings: str) -> Server:
    """Start `spar serve` with its data in `folder`; settings are named without `SPAR_`.

    Servers that share a folder have logs of their own.
    """
    port = free_port()
    log = folder / log_name
    environment = os.environ | {f"SPAR_{name.upper()}": value for name, value in settings.items()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*SPAR_SERVE, "--port", str(port), "--data", str(folder / "data")],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    return Server(process, f"http://127.0.0.1:{port}", folder / "data", log)


def read_events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Server-sent events as pairs of name and data; comments come as ("", text)."""
    name = "message"
    for line in lines:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield name, json.loads(line.removeprefix("data:"))
            name = "message"
        elif line.startswith(":"):
            yield "", line
