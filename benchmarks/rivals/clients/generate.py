"""This project's own endpoint: one request to `/generate` per answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from benchmarks.rivals.clients.protocol import Ask, Job, Question, work


@asynccontextmanager
async def searching(job: Job) -> AsyncIterator[Ask]:
    """The job's options: `mode`, `search`, and whether to tell the `constraints`."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=job.url, timeout=None, limits=limits) as client:

        async def ask(question: Question, number: int) -> str:
            response = await client.post("/generate", json=body(job, question, number))
            response.raise_for_status()
            return str(response.json()["response"])

        yield ask


def body(job: Job, question: Question, number: int) -> dict[str, Any]:
    """What is posted to `/generate`."""
    told = question.constraints if job.options.get("constraints") else []
    return {
        "messages": question.messages,
        "mode": job.options["mode"],
        "search": job.options.get("search", {}),
        "constraints": told,
        "sampling": {"max_tokens": job.response_tokens, "seed": number},
    }


if __name__ == "__main__":
    work(searching)
