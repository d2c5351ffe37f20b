"""A small HTTP server that behaves as `vllm serve` does at the endpoints a pool uses."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

Json = dict[str, Any]
CONTEXT = 512
END_OF_TURN = 1
IDS = {" yes": 11, " no": 12, " two": 13}


class VllmLike:
    """A fake `vllm serve` with configurable capabilities and faults.

    A call is answered with the model's name as text. `adapters` are served from their paths.

    runtime_lora, prefill, wanted_logprobs, logprobs, tokenizer, priorities: its capabilities.
    unwell: `/health` returns 503. failing: calls return this status. holding: calls and loads
    block until released. refused: names of adapters that cannot be loaded. breaking: a
    stream ends after its first letter.
    """

    def __init__(self, model: str = "base-model") -> None:
        self.model = model
        self.adapters: dict[str, str] = {}
        self.calls: list[Json] = []
        self.loads: list[str] = []
        self.runtime_lora = self.prefill = self.wanted_logprobs = True
        self.logprobs = self.tokenizer = self.priorities = True
        self.unwell = False
        self.failing: int | None = None
        self.refused: set[str] = set()
        self.holding = self.breaking = False
        self.released = asyncio.Event()
        self.app = FastAPI()
        self.app.get("/health")(self._health)
        self.app.get("/v1/models")(self._models)
        self.app.post("/v1/chat/completions")(self._chat)
        self.app.post("/tokenize")(self._tokenize)
        self.app.post("/v1/load_lora_adapter")(self._load)
        self.app.post("/v1/unload_lora_adapter")(self._unload)

    @property
    def real_calls(self) -> list[Json]:
        """The calls without those of capability detection."""
        return [call for call in self.calls if call["messages"][0]["content"] != "Count."]

    async def _health(self) -> Response:
        return Response(status_code=503 if self.unwell else 200)

    async def _models(self) -> Json:
        own = {"id": self.model, "root": "/models/base", "max_model_len": CONTEXT}
        served = [{"id": name, "root": path} for name, path in self.adapters.items()]
        return {"object": "list", "data": [own, *served]}

    async def _load(self, request: Request) -> Response:
        if not self.runtime_lora:
            return _refusal(404, "Not Found")
        body = await request.json()
        name = body.get("lora_name")
        if name is None:
            return _refusal(400, "lora_name: field required")
        self.loads.append(name)
        if self.holding:
            await self.released.wait()
        if name in self.adapters:
            return _refusal(400, f"The lora adapter '{name}' has already been loaded.")
        if name in self.refused:
            return _refusal(500, "size mismatch")
        self.adapters[name] = body["lora_path"]
        return Response("Success")

    async def _unload(self, request: Request) -> Response:
        name = (await request.json())["lora_name"]
        if self.adapters.pop(name, None) is None:
            return _refusal(404, f"The lora adapter '{name}' cannot be found.")
        return Response("Success")

    async def _tokenize(self, request: Request) -> Response:
        if not self.tokenizer:
            return _refusal(404, "Not Found")
        body = await request.json()
        if "prompt" in body:
            tokens = [IDS.get(body["prompt"], 99)]
        else:
            words = " ".join(message["content"] for message in body["messages"]).split()
            tokens = [IDS.get(f" {word}", 99) for word in words]
            if not (self.prefill and body.get("continue_final_message")):
                tokens.append(END_OF_TURN)
        return JSONResponse({"count": len(tokens), "tokens": tokens, "max_model_len": CONTEXT})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.calls.append(body)
        if (refusal := self._refused(body)) is not None:
            return refusal
        if self.holding and body in self.real_calls:
            await self.released.wait()
        if self.failing is not None:
            return _refusal(self.failing, "it failed")
        answer = self._answer(body)
        if body.get("stream"):
            return StreamingResponse(self._events(answer), media_type="text/event-stream")
        return JSONResponse(answer)

    def _events(self, answer: Json) -> Iterator[str]:
        """Stream the answer letter by letter as vLLM does: role, texts, finish reason, usage."""
        text = answer["choices"][0]["message"]["content"]
        yield _event(choices=[{"delta": {"role": "assistant", "content": ""}}])
        for letter in text[:1] if self.breaking else text:
            yield _event(choices=[{"delta": {"content": letter}}])
        if not self.breaking:
            yield _event(choices=[{"delta": {"content": ""}, "finish_reason": "stop"}])
            yield _event(choices=[], usage={**answer["usage"], "completion_tokens": 40})
            yield "data: [DONE]\n\n"

    def _refused(self, body: Json) -> Response | None:
        if body["model"] != self.model and body["model"] not in self.adapters:
            return _refusal(404, f"The model `{body['model']}` does not exist.")
        if body.get("priority") and not self.priorities:
            return _refusal(400, "Got priority, but priority scheduling is not enabled.")
        if not self.wanted_logprobs and "logprob_token_ids" in body:
            return _refusal(400, "unknown field logprob_token_ids")
        if not self.prefill and "continue_final_message" in body:
            return _refusal(400, "unknown field continue_final_message")
        if not self.logprobs and body.get("logprobs"):
            return _refusal(400, "logprobs are not supported")
        return None

    def _answer(self, body: Json) -> Json:
        asked = body["messages"][-1]["content"].startswith("Go on with one word")
        logprobs = None
        if ids := body.get("logprob_token_ids"):
            top = [{"token": f"token_id:{token}", "logprob": -token / 10} for token in ids]
            logprobs = {"content": [{**top[0], "top_logprobs": top}]}
        elif body.get("logprobs"):
            top = [{"token": "Yes", "logprob": -0.5}, {"token": " no", "logprob": -1.5}]
            logprobs = {"content": [{**top[0], "top_logprobs": top}]}
        message = {"role": "assistant", "content": "Yes." if asked else body["model"]}
        choice = {"message": message, "finish_reason": "stop", "logprobs": logprobs}
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        return {"choices": [choice], "usage": usage}


def _event(**values: Any) -> str:
    return f"data: {json.dumps(values)}\n\n"


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "code": status}}, status)
