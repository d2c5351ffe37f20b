"""Load generator: concurrent clients."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from tests.chaos.asking import STREAMED, Ask, Endpoint, ask_for
from tests.chaos.outcome import (
    Answer,
    End,
    Garbled,
    Outcome,
    Version,
    is_problem,
    read_answer,
    read_version,
)

PAUSE_SECONDS = 0.1
"""Pause of a client after a failed request."""


@dataclass
class Load:
    """Concurrent clients, each of which sends one request after another.

    seconds: response timeout.
    """

    url: str
    seed: int
    clients: int
    seconds: float
    started: float = field(default_factory=time.monotonic)
    outcomes: list[Outcome] = field(default_factory=list)
    _until: float = math.inf
    _numbers: "count[int]" = field(default_factory=count)

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    async def run(self) -> None:
        """Send requests until `stop_at`; waits for those in progress."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.clients):
                group.create_task(self._client())

    def stop_at(self, moment: float) -> None:
        """Send no requests after that time of the run."""
        self._until = moment

    async def _client(self) -> None:
        while self.now < self._until:
            outcome = await self.ask(ask_for(self.seed, next(self._numbers)))
            self.outcomes.append(outcome)
            if outcome.end is not End.ANSWERED:
                await asyncio.sleep(PAUSE_SECONDS)

    async def ask(self, wanted: Ask) -> Outcome:
        """Send one request on a new connection: a kept-alive one may be closed meanwhile."""
        began = self.now
        end, answer, detail = End.LEFT, None, ""
        try:
            async with asyncio.timeout(wanted.leave_after):
                end, answer, detail = await self._ask(wanted)
        except TimeoutError:
            pass
        return Outcome(wanted, began, self.now, end, answer, detail)

    async def _ask(self, wanted: Ask) -> tuple[End, Answer | None, str]:
        try:
            async with asyncio.timeout(self.seconds), self._client_of_one() as client:
                return await _exchange(client, wanted)
        except TimeoutError:
            return End.SILENT, None, f"after {self.seconds:g} s"
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return End.TURNED_AWAY, None, repr(error)
        except httpx.HTTPError as error:
            return End.CUT, None, repr(error)
        except Garbled as error:
            return End.GARBLED, None, str(error)

    def _client_of_one(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=None, trust_env=False)


async def _exchange(client: httpx.AsyncClient, wanted: Ask) -> tuple[End, Answer | None, str]:
    async with client.stream("POST", wanted.path, json=wanted.body) as response:
        if response.status_code != httpx.codes.OK:
            return _refused(response.status_code, response.headers, await response.aread())
        if wanted.endpoint not in STREAMED:
            found = _json(await response.aread())
            return End.ANSWERED, read_answer(wanted.endpoint, found), ""
        if wanted.endpoint is Endpoint.GENERATE_STREAM:
            return await _follow_search(response)
        return await _follow_chat(wanted.endpoint, response)


def _refused(status: int, headers: httpx.Headers, body: bytes) -> tuple[End, Answer | None, str]:
    if not is_problem(status, headers.get("content-type", ""), body):
        raise Garbled(f"{status}: {body[:200]!r}")
    return End.CLEAN_ERROR, None, f"{status} {json.loads(body)['type']}"


async def _follow_search(response: httpx.Response) -> tuple[End, Answer | None, str]:
    announced: Version | None = None
    async for name, data in _events(response):
        if name == "start":
            announced = read_version(data["checkpoint"])
        elif name == "final":
            return End.ANSWERED, read_answer(Endpoint.GENERATE_STREAM, data, announced), ""
        elif name == "error":
            return End.CLEAN_ERROR, None, f"event {data['type']}"
    raise httpx.RemoteProtocolError("the stream ended early")


async def _follow_chat(
    endpoint: Endpoint, response: httpx.Response
) -> tuple[End, Answer | None, str]:
    """Concatenate the chunks into one answer."""
    whole: dict[str, Any] = {}
    text = ""
    async for _, data in _events(response):
        if data is None:
            whole["choices"] = [{"message": {"content": text}}]
            return End.ANSWERED, read_answer(endpoint, whole), ""
        if "error" in data:
            return End.CLEAN_ERROR, None, f"event {data['error']['type']}"
        text += "".join(choice["delta"].get("content") or "" for choice in data["choices"])
        whole |= {key: value for key, value in data.items() if value is not None}
    raise httpx.RemoteProtocolError("the stream ended early")


async def _events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Server-sent events as names and JSON; `[DONE]` is None."""
    name = "message"
    async for line in response.aiter_lines():
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            text = line.removeprefix("data:").strip()
            yield name, None if text == "[DONE]" else _json(text)
            name = "message"


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Garbled(f"not JSON: {text[:200]!r}") from error
