"""its-hub: its `BestOfN` with its `LLMJudge`, over its OpenAI-compatible client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from its_hub import (  # type: ignore[import-not-found]
    BestOfN,
    LLMJudge,
    OpenAICompatibleLanguageModel,
)
from its_hub.api import ChatMessage  # type: ignore[import-not-found]

from benchmarks.rivals.clients.protocol import Ask, Job, Question, work


@asynccontextmanager
async def best_of_n(job: Job) -> AsyncIterator[Ask]:
    """The job's options: `n`."""
    answering = _model(job, "actor", job.response_tokens)
    judging = _model(job, "refiner", job.judgment_tokens)
    # Its structured output is left out: a forced text has no structure, and the endpoint has none.
    algorithm = BestOfN(LLMJudge(judging, response_format=None))

    async def ask(question: Question, _: int) -> str:
        messages = [ChatMessage(**message) for message in question.messages]
        answer = await algorithm.ainfer(answering, messages, job.options["n"])
        return str(answer["content"])

    try:
        yield ask
    finally:
        await answering.close()
        await judging.close()


def _model(job: Job, name: str, max_tokens: int) -> OpenAICompatibleLanguageModel:
    model = OpenAICompatibleLanguageModel(
        f"{job.url}/v1", "none", name, max_completion_tokens=max_tokens
    )
    # Else it sends a field `extra_body` that only the openai package takes out of a request.
    model.endpoint_type = "openai"
    return model


if __name__ == "__main__":
    work(best_of_n)
