"""The real server and worker as processes, on a scripted engine and trainer."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.checkpoint_files import make_base
from tests.integration.server import Server, free_port
from tests.integration.worker import Worker


def start_scripted_server(folder: Path, **settings: str) -> Server:
    """Start a server with its data in `folder`; settings are named without `SPAR_`."""
    base = make_base(folder / "base")
    (base / "tokenizer.json").write_text("{}")
    port, data, log = free_port(), folder / "data", folder / "server.log"
    data.mkdir()
    usual = {
        "model": str(base),
        "data": str(data),
        "port": str(port),
        "worker": "false",
        "heartbeat_seconds": "0.5",
    }
    process = _start("tests.chaos.scripted_server", log, usual | settings)
    return Server(process, f"http://127.0.0.1:{port}", data, log)


def start_scripted_worker(server: Server, module: str, **settings: str) -> Worker:
    """Start a worker of the server; `module` is the one that runs it."""
    worker = Worker(server, server.log.with_name("worker.log"))
    usual = {
        "model": str(server.data.parent / "base"),
        "data": str(server.data),
        "worker_url": server.url,
        "lease_seconds": "2",
        "critique_tokens": "16",
    }
    worker.process = _start(module, worker.log, usual | settings)
    return worker


def _start(module: str, log: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {f"SPAR_{name.upper()}": text for name, text in settings.items()}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
