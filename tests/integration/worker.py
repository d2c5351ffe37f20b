"""A real worker of ours as a process, beside the real server."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.integration.server import Server, wait_until

LEASE_SECONDS = 1
ITERATION_SECONDS = 300
TOPICS = ("rivers", "bread", "the moon", "bicycles", "winter", "tea", "old maps", "bees")


@dataclass
class Worker:
    """Starts and kills workers of one server."""

    server: Server
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, **more: str) -> None:
        """Start one, in a folder where it finds no settings but these and the given ones."""
        settings = {
            "data": str(self.server.data),
            "worker_url": self.server.url,
            "lease_seconds": str(LEASE_SECONDS),
            "critique_tokens": "16",
            **more,
        }
        environment = os.environ | {f"SPAR_{key.upper()}": text for key, text in settings.items()}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def kill(self) -> None:
        """SIGKILL, and wait until nothing it started is left."""
        assert self.process is not None
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(map(is_running, family)), 10)

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            # A worker that is just starting has no handler yet, and simply ends.
            assert self.process.wait(30) in (0, -signal.SIGTERM), self.log.read_text()[-3000:]

    def trainers(self) -> list[psutil.Process]:
        """The processes that train now."""
        return [
            process
            for process in psutil.process_iter()
            if is_running(process)
            and "training" in command_of(process)
            and str(self.server.data) in " ".join(command_of(process))
        ]


def start_iteration(client: httpx.Client, **body: Any) -> str:
    """Queue a small iteration on prompts without constraints: the votes alone decide there.

    So some responses are accepted and some are not, and there is something to train on. What
    other tests have queued is cancelled.
    """
    for queued in client.get("/admin/iterations", params={"limit": 100}).json()["iterations"]:
        client.post(f"/admin/iterations/{queued['id']}/cancel")
    prompts = [{"prompt": f"Tell me something about {topic}."} for topic in TOPICS]
    assert client.post("/admin/prompts", json={"prompts": prompts}).status_code == 200
    answer = client.post("/admin/iterations", json={"preset": "micro", **body})
    assert answer.status_code == 202, answer.text
    identifier: str = answer.json()["id"]
    return identifier


def wait_for_end(client: httpx.Client, iteration_id: str) -> dict[str, Any]:
    """Wait until an iteration has succeeded; anything else fails."""
    endings = ("succeeded", "failed", "cancelled")
    wait_until(lambda: iteration(client, iteration_id)["status"] in endings, ITERATION_SECONDS)
    found = iteration(client, iteration_id)
    assert found["status"] == "succeeded", found["error"]
    return found


def is_running(process: psutil.Process) -> bool:
    """Whether it exists and is not just waiting to be reaped."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty when it has ended."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def iteration(client: httpx.Client, iteration_id: str) -> dict[str, Any]:
    """The iteration as the server tells it."""
    answer = client.get(f"/admin/iterations/{iteration_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
