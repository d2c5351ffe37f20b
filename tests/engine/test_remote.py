"""The remote engine against a real server: spar's OpenAI endpoint, and vLLM's error replies."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Delta
from app.engine.remote import CONTEXT_TOKENS, RemoteEngine
from app.engine.remote_protocol import CallRefused, ServerBusy
from app.errors import ConfigurationError, EngineError, EngineUnavailable, PromptTooLong
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.serving import endpoint, served

USER = Message("user", "Name three rivers.")
OPENED = (USER, Message("assistant", "The Nile,\n"))
CALL = Call((Message("system", "be brief"), USER), "actor", Sampling(0.7, 0.9, 8))
SCORES = {" yes": math.log(0.75), " no": math.log(0.25), "never": -math.inf}
SECONDS_UNTIL_STUCK = 20

Json = dict[str, Any]


async def rivers(call: Call) -> str:
    return "Nile Rhine Ganges"


def by_table(call: Call, option: str) -> float:
    return SCORES.get(option, -5.0)


@asynccontextmanager
async def remote(
    url: str, *, connections: int = 4, timeout_s: float = 60
) -> AsyncIterator[RemoteEngine]:
    """A started engine, with a timeout shorter than its own."""
    engine = RemoteEngine(url, connections=connections, timeout_s=timeout_s)
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        try:
            await engine.start()
            yield engine
        finally:
            await engine.close()


@asynccontextmanager
async def over(
    scripted: ScriptedEngine, *, connections: int = 4, running: int = 64, waiting: int = 64
) -> AsyncIterator[RemoteEngine]:
    """A remote engine whose server runs a scripted one."""
    app = endpoint(scripted, running=running, waiting=waiting)
    async with served(app) as url, remote(url, connections=connections) as engine:
        yield engine


def answering(reply: Callable[[Request], Awaitable[Response]]) -> FastAPI:
    """A server with one model that answers every other request with `reply`."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> Json:
        return {"object": "list", "data": [{"id": "base", "object": "model"}]}

    @app.post("/{path:path}")
    async def post(request: Request) -> Response:
        return await reply(request)

    return app


async def test_a_call_is_transmitted_unchanged_and_its_result_is_returned() -> None:
    scripted = ScriptedEngine(rivers, by_table)
    sampling = Sampling(0.3, 0.8, 2, seed=2**62, stop=("Ganges", "\n"))
    call = Call(CALL.messages, "refiner", sampling, priority=7, logprobs=2)
    deltas: list[Delta] = []
    async with over(scripted) as engine:
        completion = await engine.complete(call, deltas.append)
    [made] = scripted.started
    assert made.messages == call.messages
    assert (made.sampling, made.priority, made.logprobs) == (sampling, 7, 2)
    assert made.model == "refiner@0"
    assert (completion.text, completion.finish_reason) == ("Nile Rhine", "length")
    assert (completion.prompt_tokens, completion.completion_tokens) == (5, 2)
    assert deltas == [Delta(prompt_tokens=5), Delta("Nile Rhine", 2)]


async def test_a_streamed_call_has_the_same_result() -> None:
    scripted = ScriptedEngine(rivers, by_table)
    shown = replace(CALL, shown=True, logprobs=1)
    deltas: list[Delta] = []
    async with over(scripted) as engine:
        completion = await engine.complete(shown, deltas.append)
        whole = await engine.complete(replace(shown, shown=False))
    assert completion == whole
    assert "".join(delta.text for delta in deltas) == completion.text
    assert sum(delta.completion_tokens for delta in deltas) == completion.completion_tokens
    assert sum(delta.prompt_tokens for delta in deltas) == completion.prompt_tokens


BROKEN = {"error": {"message": "out of memory"}}


@pytest.mark.parametrize(
    ("stream", "error", "message"),
    [
        ("", EngineUnavailable, "broke off"),
        ('data: {"choices": [{"delta": {"content": "Nile"}}]}\n\n', EngineUnavailable, "broke off"),
        (f"data: {json.dumps(BROKEN)}\n\n", EngineError, "out of memory"),
        ("data: Nile\n\n", EngineError, "cannot be understood"),
    ],
)
async def test_an_invalid_stream_raises(
    stream: str, error: type[EngineError], message: str
) -> None:
    async def reply(_: Request) -> Response:
        return Response(stream, media_type="text/event-stream")

    async with served(answering(reply)) as url, remote(url) as engine:
        with pytest.raises(error, match=message):
            await engine.complete(replace(CALL, shown=True))
        assert engine.unfinished == 0


async def test_a_last_assistant_message_is_a_prefill() -> None:
    scripted = ScriptedEngine(rivers, by_table)
    async with over(scripted) as engine:
        await engine.complete(Call(OPENED, "actor", CALL.sampling))
        assert scripted.started[0].messages == OPENED
        assert await engine.count_tokens(OPENED) == 5


async def test_a_prefill_sets_continue_final_message() -> None:
    bodies: list[Json] = []

    async def reply(request: Request) -> Response:
        bodies.append(await request.json())
        return JSONResponse({"count": 3, "max_model_len": 9, "tokens": [1, 2, 3]})

    async with served(answering(reply)) as url, remote(url) as engine:
        for messages in (OPENED, (USER,)):
            await engine.count_tokens(messages)
            with pytest.raises(EngineError, match="cannot be understood"):
                await engine.complete(Call(messages, "actor@3", CALL.sampling))
    tokenized, completed, *others = bodies
    marked = {"continue_final_message": True, "add_generation_prompt": False}
    assert marked.items() <= tokenized.items()
    assert marked.items() <= completed.items()
    assert (tokenized["model"], completed["model"]) == ("base", "actor@3")
    assert all(body.keys().isdisjoint(marked) for body in others)


async def test_scores_are_those_of_the_single_token_options() -> None:
    scripted = ScriptedEngine(rivers, by_table)
    deltas: list[Delta] = []
    async with over(scripted) as engine:
        options = (" yes", " no", " not one token", "never")
        scores = await engine.score(Call(OPENED, "actor", CALL.sampling), options, deltas.append)
    assert scores == {" yes": SCORES[" yes"], " no": SCORES[" no"], "never": -9999.0}
    assert [made.sampling for made in scripted.started] == [Sampling(0.0, 1.0, 1)]
    assert scripted.started[0].messages == OPENED
    assert sum(delta.prompt_tokens for delta in deltas) == 5
    assert sum(delta.completion_tokens for delta in deltas) == 1


async def test_without_a_single_token_option_nothing_is_scored() -> None:
    scripted = ScriptedEngine(rivers, by_table)
    async with over(scripted) as engine:
        assert await engine.score(CALL, (" not one",)) == {}
    assert scripted.started == []


async def test_an_option_is_tokenized_once_per_model() -> None:
    asked: list[tuple[str, str]] = []

    async def reply(request: Request) -> Response:
        body = await request.json()
        if request.url.path == "/tokenize":
            assert body["add_special_tokens"] is False
            asked.append((body["model"], body["prompt"]))
            return JSONResponse({"count": 1, "max_model_len": 9, "tokens": [5]})
        top = [
            {"token": "token_id:9", "logprob": -0.1, "bytes": []},
            {"token": "token_id:5", "logprob": -2.5, "bytes": []},
        ]
        assert body["logprob_token_ids"] == [5]
        assert body["return_tokens_as_token_ids"] is True
        return vllm_answer("x", {"content": [{**top[0], "top_logprobs": top}]})

    async with served(answering(reply)) as url, remote(url) as engine:
        for model in ("actor@1", "actor@1", "actor@2"):
            call = Call(OPENED, model, CALL.sampling)
            assert await engine.score(call, (" yes",)) == {" yes": -2.5}
    assert asked == [("actor@1", " yes"), ("actor@2", " yes")]


def vllm_answer(text: str | None, logprobs: Json | None = None, reason: str = "stop") -> Response:
    """A chat completion as vLLM writes it."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None, "tool_calls": []},
        "logprobs": logprobs,
        "finish_reason": reason,
        "stop_reason": None,
    }
    usage = {
        "prompt_tokens": 40,
        "total_tokens": 41,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 32},
    }
    return JSONResponse({"id": "1", "choices": [choice], "usage": usage, "prompt_logprobs": None})


async def test_cached_tokens_are_counted_and_an_empty_answer_is_a_text() -> None:
    async def reply(_: Request) -> Response:
        return vllm_answer(None)

    async with served(answering(reply)) as url, remote(url) as engine:
        completion = await engine.complete(CALL)
    assert (completion.text, completion.finish_reason) == ("", "stop")
    assert (completion.prompt_tokens, completion.cached_tokens) == (40, 32)


async def test_a_call_aborted_by_the_server_raises() -> None:
    async def reply(_: Request) -> Response:
        return vllm_answer("half", reason="abort")

    async with served(answering(reply)) as url, remote(url) as engine:
        with pytest.raises(EngineError, match="abort"):
            await engine.complete(CALL)


async def test_a_text_and_a_conversation_are_tokenized() -> None:
    scripted = ScriptedEngine(rivers, by_table)
    async with over(scripted) as engine:
        assert await engine.tokenize("a b a") == await scripted.tokenize("a b a")
        special = await engine.tokenize("a b", special_tokens=True)
        assert special == await scripted.tokenize("a b", special_tokens=True)
        assert len(special) == 3
        assert await engine.tokenize(OPENED) == await scripted.tokenize(OPENED)


async def test_the_context_length_is_the_servers() -> None:
    scripted = ScriptedEngine(rivers, by_table)
    scripted.context_tokens = 777
    async with over(scripted) as engine:
        assert engine.context_tokens == 777
        await engine.complete(Call((USER,), "actor", Sampling(0, 1, 10_000)))
    assert scripted.started[0].sampling.max_tokens == 777


async def test_the_context_length_defaults_if_not_reported() -> None:
    async def reply(_: Request) -> Response:
        return Response(status_code=500)

    async with served(answering(reply)) as url, remote(f"{url}/v1/") as engine:
        assert engine.context_tokens == CONTEXT_TOKENS


@pytest.mark.parametrize("work", ["complete", "score"])
async def test_cancelling_a_call_aborts_it_on_the_server(work: str) -> None:
    begun, aborted = asyncio.Event(), asyncio.Event()

    async def stuck(call: Call) -> str:
        begun.set()
        try:
            return await asyncio.Future()
        finally:
            aborted.set()

    scripted = ScriptedEngine(stuck, by_table)
    deltas: list[Delta] = []
    async with over(scripted, connections=1) as engine:
        coroutine: Any = (
            engine.complete(CALL, deltas.append)
            if work == "complete"
            else engine.score(CALL, (" yes",), deltas.append)
        )
        running = asyncio.create_task(coroutine)
        await begun.wait()
        assert (engine.unfinished, scripted.unfinished) == (1, 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await aborted.wait()
        assert engine.unfinished == 0
        assert deltas == []
        assert await engine.count_tokens((USER,)) == 3, "the connection was not released"
    assert len(scripted.aborted) == 1


async def test_connections_limit_concurrent_calls() -> None:
    running, peak, both = 0, 0, asyncio.Event()

    async def counted(call: Call) -> str:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        if running == 2:
            both.set()
        await both.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        running -= 1
        return "done"

    async with over(ScriptedEngine(counted, by_table), connections=2) as engine:
        completions = await asyncio.gather(*(engine.complete(CALL) for _ in range(8)))
    assert [completion.text for completion in completions] == ["done"] * 8
    assert peak == 2


async def test_our_server_refuses_a_prompt_that_is_too_long() -> None:
    async def too_long(call: Call) -> str:
        raise PromptTooLong("the conversation has 5000 tokens")

    async with over(ScriptedEngine(too_long, by_table)) as engine:
        with pytest.raises(PromptTooLong, match="5000 tokens"):
            await engine.complete(CALL)
        assert engine.ready


async def test_other_spar_errors_map_to_engine_errors() -> None:
    errors = iter([EngineError("out of luck"), EngineUnavailable("loading", retry_after=17)])

    async def fail(call: Call) -> str:
        raise next(errors)

    async with over(ScriptedEngine(fail, by_table)) as engine:
        with pytest.raises(EngineError, match="out of luck") as failed:
            await engine.complete(CALL)
        assert not isinstance(failed.value, EngineUnavailable)
        assert engine.ready
        with pytest.raises(EngineUnavailable, match="loading") as unavailable:
            await engine.complete(CALL)
        assert unavailable.value.retry_after == 17
        assert not engine.ready
        await engine.start()
        assert engine.ready


async def test_a_full_queue_is_unavailable_with_retry_after() -> None:
    begun = asyncio.Event()

    async def stuck(call: Call) -> str:
        begun.set()
        return await asyncio.Future()

    async with over(ScriptedEngine(stuck, by_table), running=1, waiting=0) as engine:
        first = asyncio.create_task(engine.complete(CALL))
        await begun.wait()
        with pytest.raises(EngineUnavailable, match="1 requests") as refused:
            await engine.complete(CALL)
        assert refused.value.retry_after is not None
        assert engine.ready
        first.cancel()


async def test_an_unknown_model_raises_with_the_servers_message() -> None:
    async with over(ScriptedEngine(rivers, by_table)) as engine:
        with pytest.raises(EngineError, match=r"\(404\).*there is no model 'poet'"):
            await engine.complete(Call((USER,), "poet", CALL.sampling))


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "This model's maximum context length is 9 tokens."}, PromptTooLong),
        (
            400,
            {"message": "max_tokens must be at least 1, got 0.", "param": "max_tokens"},
            PromptTooLong,
        ),
        (400, {"message": "temperature must be non-negative"}, CallRefused),
        (404, {"message": "The model `actor@9` does not exist."}, CallRefused),
        (500, {"message": "Internal server error"}, EngineError),
        (503, {"message": "The request queue is full"}, ServerBusy),
        (429, {"message": "slow down"}, ServerBusy),
    ],
)
async def test_vllm_rejections(status: int, error: Json, kind: type[Exception]) -> None:
    async def reply(_: Request) -> Response:
        return JSONResponse({"error": {"type": "?", "code": status, **error}}, status)

    async with served(answering(reply)) as url, remote(url) as engine:
        with pytest.raises(kind) as refused:
            await engine.complete(CALL)
    assert type(refused.value) is kind
    assert error["message"] in str(refused.value)


@pytest.mark.parametrize("body", ["<html>gone</html>", "[]", ""])
async def test_a_reply_of_another_program_raises(body: str) -> None:
    async def reply(request: Request) -> Response:
        return Response(body, 502 if request.url.path.startswith("/v1") else 200)

    async with served(answering(reply)) as url, remote(url) as engine:
        with pytest.raises(EngineError, match="502"):
            await engine.complete(CALL)
        with pytest.raises(EngineError, match="cannot be understood"):
            await engine.count_tokens((USER,))


async def test_a_stopped_server_is_unavailable_until_restarted() -> None:
    app = endpoint(ScriptedEngine(rivers, by_table))
    async with served(app) as url:
        engine = RemoteEngine(url, connections=2, timeout_s=10)
        assert not engine.ready
        await engine.start()
        assert engine.ready
    for call in (engine.complete(CALL), engine.score(CALL, (" yes",)), engine.start()):
        with pytest.raises(EngineUnavailable, match="does not answer") as gone:
            await call
        assert gone.value.retry_after is not None
    assert not engine.ready
    assert engine.unfinished == 0
    await engine.close()


async def test_a_broken_connection_is_unavailable() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        engine = RemoteEngine(f"http://{host}:{port}", connections=1, timeout_s=10)
        with pytest.raises(EngineUnavailable, match="connection broke"):
            await engine.complete(CALL)
        await engine.close()


async def test_a_read_timeout_is_unavailable() -> None:
    async def stuck(call: Call) -> str:
        return await asyncio.Future()

    app = endpoint(ScriptedEngine(stuck, by_table))
    async with served(app) as url:
        # Not started: on a busy machine that could also time out.
        engine = RemoteEngine(url, connections=1, timeout_s=0.3)
        with pytest.raises(EngineUnavailable, match=r"silent for 0\.3 seconds"):
            await engine.complete(CALL)
        await engine.close()


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://here", "http://"])
def test_an_invalid_url_is_rejected(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not an address"):
        RemoteEngine(url, connections=1, timeout_s=1)
