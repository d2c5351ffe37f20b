"""optillm: its function `best_of_n_sampling`, in a thread per question."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from openai import OpenAI  # type: ignore[import-not-found,unused-ignore]
from optillm.bon import best_of_n_sampling  # type: ignore[import-not-found]

from benchmarks.rivals.clients.protocol import Ask, Job, Question, work

BUILT_IN_JUDGMENT_TOKENS = 256


@asynccontextmanager
async def optimizing(job: Job) -> AsyncIterator[Ask]:
    """The job's option is `n`, the number of answers."""
    logging.getLogger().setLevel(logging.WARNING)
    client = _client(job)
    limits = {"max_tokens": job.response_tokens}

    def answer(question: Question) -> str:
        asked = (question.system, question.user, client, "actor")
        text, _ = best_of_n_sampling(*asked, job.options["n"], request_config=limits)
        return str(text)

    with ThreadPoolExecutor(job.at_once) as threads:

        async def ask(question: Question, _: int) -> str:
            return await asyncio.get_running_loop().run_in_executor(threads, answer, question)

        yield ask


def _client(job: Job) -> SimpleNamespace:
    """An OpenAI client; judgments, whose length optillm fixes, get the length of everybody's."""
    client = OpenAI(base_url=f"{job.url}/v1", api_key="none", max_retries=0, timeout=3600)

    def create(**request: Any) -> Any:
        if request["max_tokens"] == BUILT_IN_JUDGMENT_TOKENS:
            request["max_tokens"] = job.judgment_tokens
        return client.chat.completions.create(**request)

    return SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))


if __name__ == "__main__":
    work(optimizing)
