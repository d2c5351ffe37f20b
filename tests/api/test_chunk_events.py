"""Streams of chunks to clients that may disconnect."""

from collections.abc import AsyncGenerator

from app.api.openai import chunk_events
from app.api.openai_schemas import ChatChunkOut, ChunkChoiceOut, DeltaOut
from app.errors import EngineError, SparError

CHUNK = ChatChunkOut(
    id="chat",
    created=0,
    model="actor",
    system_fingerprint="actor@0",
    choices=[ChunkChoiceOut(index=0, delta=DeltaOut(content="word"))],
)


class Work:
    """Chunks, and whether their producer was cancelled."""

    def __init__(self, *chunks: ChatChunkOut | SparError) -> None:
        self._chunks = chunks
        self.ended = False

    async def follow(self) -> AsyncGenerator[ChatChunkOut | SparError, None]:
        try:
            for chunk in self._chunks:
                yield chunk
        finally:
            self.ended = True


async def test_work_ends_as_soon_as_its_events_are_closed() -> None:
    work = Work(CHUNK, CHUNK)
    chunks = work.follow()  # kept, so that it is not the garbage collection that ends it
    events = chunk_events(chunks)
    await anext(events)
    assert not work.ended
    await events.aclose()
    assert work.ended


async def test_an_error_ends_the_events_without_the_mark_of_a_whole_answer() -> None:
    work = Work(CHUNK, EngineError("the engine died"), CHUNK)
    data = [str(event.data) async for event in chunk_events(work.follow())]
    assert len(data) == 2
    assert "the engine died" in data[1]
    assert work.ended


async def test_a_whole_answer_ends_with_the_mark_of_openai() -> None:
    data = [str(event.data) async for event in chunk_events(Work(CHUNK).follow())]
    assert data[1:] == ["[DONE]"]
