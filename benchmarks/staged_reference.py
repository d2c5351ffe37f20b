"""The other side of `staged`: one stage after the other, as published reference code does it.

All responses are one batch and all judgments are the next, as vLLM's offline batch has them; each
tree is then searched by itself, one call at a time. Nothing is stored.
"""

import asyncio

import httpx

from app.domain.iteration import Stage
from benchmarks.rivals.clients.protocol import Job
from benchmarks.rivals.clients.sequential import Search, Shape
from benchmarks.staged_load import Load, Stages


async def play_staged(http: httpx.AsyncClient, load: Load, stages: Stages) -> None:
    """The three stages over HTTP; raises httpx's errors. Every text is forced by the server."""
    data = load.data
    job = Job(str(http.base_url), 1, True, data.max_tokens, load.critique_tokens, [])
    shape = Shape(data.branch, data.beam, data.depth, data.votes)
    searches = [Search(http, job, prompt, shape) for prompt in load.prompts]
    async with stages.timed(Stage.RESPOND):
        each = [search for search in searches for _ in range(data.responses)]
        responses = await asyncio.gather(*(search.respond() for search in each))
    async with stages.timed(Stage.JUDGE):
        pairs = zip(each, responses, strict=True)
        judged = await asyncio.gather(*(search.judged(text.strip()) for search, text in pairs))
    async with stages.timed(Stage.REFINE):
        for search, rejected in zip(searches, judged[:: data.responses], strict=True):
            await search.repair(rejected)
